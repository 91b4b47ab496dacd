// The linear decoder of a code with one slot a map: every survivor pastes its filter, times its
// value, around its position.
//
// A block has a slice of the channels of some images in shared memory (slices.cuh), perhaps in
// several copies, each for a share of the maps. A warp has kOwn images of a copy and walks through
// the share's maps in their order: a filter's weights, once read, are pasted into all of them.
// Nothing collides, so warps do not wait for one another. At the end the copies are added in order.
// Where not all shares of all images fit into shared memory, some of them come at once.
//
// Macros, besides those of slices.cuh: OWN, images of a warp; IN_ROUNDS, 1 where some come at once, 0
// where all do.

#include "slices.cuh"

constexpr int kThreads = 640;  // of a block, at most
constexpr bool kInRounds = IN_ROUNDS;
constexpr int kOwn = OWN, kAhead = kOwn > 1 ? 1 : kRounds == 1 ? 4 : 2;

// Something of each of the warp's images.
template <class T>
struct __align__(sizeof(T) * kOwn < 16 ? sizeof(T) * kOwn : 16) OfOwn {
    T of[kOwn];
};

struct Code {
    const REAL* values;
    const int* positions;
    const REAL* filters;
    int n, n_maps;
};

// How a block's work is cut: images and shares of the maps, all of them and those that come at once.
struct Cut {
    int n_images, n_shares, images_at_once, shares_at_once;
    __device__ int warps_of_share() const { return (images_at_once + kOwn - 1) / kOwn; }
    __device__ int rounds_of_shares() const {
        return (n_shares + shares_at_once - 1) / shares_at_once;
    }
};

// What comes at once: shares of some images, until these have all; then those of others.
struct Round {
    Index first_image;
    int before, n_images;  // images of the block that came before; here; none when all is done
    int first_share, n_shares;

    __device__ Round(int number, const Cut& cut, const Code& code, const Layout& layout) {
        const Index of_block = Index(blockIdx.x / layout.n_slices()) * cut.n_images;
        before = number / cut.rounds_of_shares() * cut.images_at_once;
        first_image = of_block + before;
        n_images = int(min(Index(cut.images_at_once),
                           min(Index(code.n), of_block + cut.n_images) - first_image));
        first_share = number % cut.rounds_of_shares() * cut.shares_at_once;
        n_shares = min(cut.shares_at_once, cut.n_shares - first_share);
    }
};

// copies <- what the round's shares of the maps paste into its images, a copy a share.
__device__ inline void paste_shares(const Code& code, const Cut& cut, const Round& round,
                                    const Layout& layout, OfOwn<REAL>* values, OfOwn<int>* places,
                                    Pixel* copies) {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int warps_of_share = cut.warps_of_share(), first_own = warp % warps_of_share;
    const int copy = warp / warps_of_share, share = round.first_share + copy;
    if (copy >= round.n_shares) return;
    const int n_here = round.n_images;
    values += warp * kWarp;
    places += warp * kWarp;

    const int n_pixels = layout.image_pixels(), n_taps = layout.k * layout.k;
    const int first_channel = int(blockIdx.x % layout.n_slices()) * kChannels;
    const int n_channels = min(kChannels, layout.channels - first_channel);
    const int maps_of_share = (code.n_maps + cut.n_shares - 1) / cut.n_shares;
    const int start = min(code.n_maps, share * maps_of_share);
    const int end = min(code.n_maps, start + maps_of_share);
    const Index filter_size = Index(layout.channels) * n_taps;
    const REAL* filter = code.filters + start * filter_size + Index(first_channel) * n_taps;
    int taps[kRounds];
    Pixel* own[kOwn];
    #pragma unroll
    for (int round = 0; round < kRounds; ++round) taps[round] = layout.tap_offset(round);
    #pragma unroll
    for (int j = 0; j < kOwn; ++j)
        own[j] = copies + (copy * cut.images_at_once + first_own + j * warps_of_share) * n_pixels;

    // Read ahead: the next maps' weights; for 32 maps, a lane each, what is pasted.
    LaneTaps weights[kAhead];
    int read = start;
    const auto read_weights = [&](LaneTaps& next) {
        next.read(filter, n_channels, n_taps);
        if (++read < end) filter += filter_size;
    };
    OfOwn<REAL> own_values;
    OfOwn<int> own_places;
    const auto read_code = [&](int first) {
        #pragma unroll
        for (int j = 0; j < kOwn; ++j) {
            const int image = min(first_own + j * warps_of_share, n_here - 1);
            const Index slot =
                (round.first_image + image) * code.n_maps + min(first + lane, end - 1);
            own_values.of[j] = code.values[slot];
            own_places.of[j] = code.positions[slot];
        }
    };
    if (start < end) {
        #pragma unroll
        for (int ahead = 0; ahead < kAhead; ++ahead) read_weights(weights[ahead]);
        read_code(start);
    }
    #pragma unroll
    for (int j = 0; j < kOwn; ++j)
        if (first_own + j * warps_of_share < n_here)
            for (int i = lane; i < n_pixels; i += kWarp) own[j][i] = Pixel{};
    for (int first = start; first < end; first += kWarp) {
        if (first > start) read_code(first);
        #pragma unroll
        for (int j = 0; j < kOwn; ++j) {
            const bool there = first_own + j * warps_of_share < n_here && first + lane < end;
            own_places.of[j] = there && own_values.of[j] > 0 ? layout.first_pixel(own_places.of[j])
                                                             : kNowhere;
        }
        values[lane] = own_values;
        places[lane] = own_places;
        __syncwarp();
        for (int map = 0; map < min(kWarp, end - first); map += kAhead)
            #pragma unroll
            for (int ahead = 0; ahead < kAhead; ++ahead) {
                const OfOwn<REAL> value = values[map + ahead];
                const OfOwn<int> place = places[map + ahead];
                #pragma unroll
                for (int round = 0; round < kRounds; ++round) {
                    Pixel pixels[kOwn];
                    int at[kOwn];
                    #pragma unroll
                    for (int j = 0; j < kOwn; ++j) {
                        at[j] = place.of[j] + taps[round];
                        if (unsigned(at[j]) < unsigned(n_pixels)) pixels[j] = own[j][at[j]];
                    }
                    #pragma unroll
                    for (int j = 0; j < kOwn; ++j) {
                        #pragma unroll
                        for (int c = 0; c < kChannels; ++c)
                            pixels[j].of[c] += value.of[j] * weights[ahead].of[round][c];
                        if (unsigned(at[j]) < unsigned(n_pixels)) own[j][at[j]] = pixels[j];
                    }
                }
                read_weights(weights[ahead]);
                __syncwarp();
            }
    }
}

// finish(total, channel, at) of every pixel of the round's images that has all its shares; of the
// others, sums (n, c, h, w) <- what they have so far.
template <class Finish>
__device__ void add_copies(const Cut& cut, const Round& round, const Layout& layout,
                           const Pixel* copies, REAL* sums, Finish finish) {
    const int n_positions = layout.height * layout.width, n_pixels = layout.image_pixels();
    const int first_channel = int(blockIdx.x % layout.n_slices()) * kChannels;
    const int n_channels = min(kChannels, layout.channels - first_channel);
    const bool is_first = round.first_share == 0;
    const bool is_last = !kInRounds || round.first_share + round.n_shares == cut.n_shares;
    // a thread has every blockDim.x-th of the block's positions, whatever comes at once
    const int before = round.before * n_positions % blockDim.x;
    int i = (threadIdx.x + blockDim.x - before) % blockDim.x;
    for (; i < round.n_images * n_positions; i += blockDim.x) {
        const int image = i / n_positions, position = i - image * n_positions;
        const int y = position / layout.width, x = position - y * layout.width;
        const Pixel* const pixel = copies + image * n_pixels + y * layout.pitch + x;
        const Index plane = (round.first_image + image) * layout.channels + first_channel;
        REAL* const at = sums + plane * n_positions + position;
        Pixel total{};
        #pragma unroll
        for (int c = 0; c < kChannels; ++c)
            if (!is_first && c < n_channels) total.of[c] = at[c * n_positions];
        #pragma unroll 4
        for (int copy = 0; copy < round.n_shares; ++copy) {
            const Pixel more = pixel[copy * cut.images_at_once * n_pixels];
            #pragma unroll
            for (int c = 0; c < kChannels; ++c) total.of[c] += more.of[c];
        }
        #pragma unroll
        for (int c = 0; c < kChannels; ++c) {
            if (c >= n_channels) continue;
            if (is_last)
                finish(total.of[c], first_channel + c, (plane + c) * n_positions + position);
            else
                at[c * n_positions] = total.of[c];
        }
    }
}

// All of a block: see add_copies.
template <class Finish>
__device__ void paste_code(const Code& code, const Cut& cut, const Layout& layout, REAL* sums,
                           Finish finish) {
    extern __shared__ REAL memory[];
    const int n_staged = cut.warps_of_share() * cut.shares_at_once * kWarp;
    auto* const values = reinterpret_cast<OfOwn<REAL>*>(memory);
    auto* const places = reinterpret_cast<OfOwn<int>*>(values + n_staged);
    Pixel* const copies = reinterpret_cast<Pixel*>(places + n_staged);
    #pragma unroll 1
    for (int number = 0;; ++number) {
        const Round round(number, cut, code, layout);
        if (round.n_images <= 0) return;
        if (kInRounds) __syncthreads();  // all have done with the copies before
        paste_shares(code, cut, round, layout, values, places, copies);
        __syncthreads();
        add_copies(cut, round, layout, copies, sums, finish);
        if (!kInRounds) return;
    }
}

// values, positions (n, m), filters (m, c, k, k), bias (c) -> images (n, c, h, w)
extern "C" __global__ void __launch_bounds__(kThreads, 1)
paste(const REAL* values, const int* positions, const REAL* filters, const REAL* bias, int n,
      int n_maps, int images_of_block, int n_shares, int images_at_once, int shares_at_once,
      int channels, int height, int width, int k, int pitch, REAL* images) {
    paste_code({values, positions, filters, n, n_maps},
               {images_of_block, n_shares, images_at_once, shares_at_once},
               {channels, height, width, k, pitch}, images,
               [&](REAL total, int channel, Index at) { images[at] = bias[channel] + total; });
}

// As `paste`, and error <- (images - x) / divisor; losses (blocks): in double, the block's share of
// the squares of images - x.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
paste_and_subtract(const REAL* values, const int* positions, const REAL* filters,
                   const REAL* bias, int n, int n_maps, int images_of_block, int n_shares,
                   int images_at_once, int shares_at_once, int channels, int height, int width,
                   int k, int pitch, const REAL* x, REAL divisor, REAL* error, double* losses) {
    double loss = 0;
    paste_code({values, positions, filters, n, n_maps},
               {images_of_block, n_shares, images_at_once, shares_at_once},
               {channels, height, width, k, pitch}, error,
               [&](REAL total, int channel, Index at) {
                   const REAL difference = bias[channel] + total - x[at];
                   loss += double(difference) * double(difference);
                   error[at] = difference / divisor;
               });
    loss = block_sum(loss);
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
}
