// The linear decoder of a code with one slot a map: every survivor pastes its filter, times its
// value, around its position.
//
// A block has a slice of the channels of some images in shared memory (slices.cuh), perhaps in
// several copies, each for a share of the maps. A warp has kOwn images of a copy and walks through
// the share's maps in their order: a filter's weights, once read, are pasted into all of them.
// Nothing collides, so warps do not wait for one another. At the end the copies are added in order.
//
// Macros, besides those of slices.cuh: OWN, images of a warp.

#include "slices.cuh"

constexpr int kThreads = 640;  // of a block, at most
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

// The block's images, and what it does: without_bias(image, channel, y, x, total) of every pixel of
// its slice, once each.
template <class Finish>
__device__ void paste_code(const Code& code, int images_of_block, int n_shares,
                           const Layout& layout, Finish finish) {
    extern __shared__ REAL memory[];
    const int n_pixels = layout.image_pixels(), n_taps = layout.k * layout.k;
    const int n_slices = layout.n_slices(), copy_pixels = images_of_block * n_pixels;
    const int first_channel = int(blockIdx.x % n_slices) * kChannels;
    const int n_channels = min(kChannels, layout.channels - first_channel);
    const Index first_image = Index(blockIdx.x / n_slices) * images_of_block;
    const int n_here = int(min(Index(images_of_block), code.n - first_image));

    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int warps_of_share = blockDim.x / kWarp / n_shares;
    const int share = warp / warps_of_share, first_own = warp % warps_of_share;
    auto* const all_values = reinterpret_cast<OfOwn<REAL>*>(memory);
    auto* const all_places = reinterpret_cast<OfOwn<int>*>(all_values + blockDim.x);
    Pixel* const copies = reinterpret_cast<Pixel*>(all_places + blockDim.x);
    OfOwn<REAL>* const values = all_values + warp * kWarp;
    OfOwn<int>* const places = all_places + warp * kWarp;

    const int maps_of_share = (code.n_maps + n_shares - 1) / n_shares;
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
        own[j] = copies + share * copy_pixels + (first_own + j * warps_of_share) * n_pixels;

    // Read ahead: the next maps' weights; for 32 maps, a lane each, what is pasted.
    Weights weights[kAhead];
    int read = start;
    const auto read_weights = [&](Weights& next) {
        next.read(filter, n_channels, n_taps);
        if (++read < end) filter += filter_size;
    };
    OfOwn<REAL> own_values;
    OfOwn<int> own_places;
    const auto read_code = [&](int first) {
        #pragma unroll
        for (int j = 0; j < kOwn; ++j) {
            const int image = min(first_own + j * warps_of_share, n_here - 1);
            const Index slot = (first_image + image) * code.n_maps + min(first + lane, end - 1);
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
    __syncthreads();
    const int n_positions = layout.height * layout.width;
    for (int i = threadIdx.x; i < n_here * n_positions; i += blockDim.x) {
        const int image = i / n_positions, position = i - image * n_positions;
        const int y = position / layout.width, x = position - y * layout.width;
        const Pixel* const pixel = copies + image * n_pixels + y * layout.pitch + x;
        Pixel total = *pixel;
        #pragma unroll 4
        for (int copy = 1; copy < n_shares; ++copy) {
            const Pixel more = pixel[copy * copy_pixels];
            #pragma unroll
            for (int c = 0; c < kChannels; ++c) total.of[c] += more.of[c];
        }
        const Index plane = (first_image + image) * layout.channels + first_channel;
        #pragma unroll
        for (int c = 0; c < kChannels; ++c)
            if (c < n_channels)
                finish(total.of[c], first_channel + c, (plane + c) * n_positions + position);
    }
}

// values, positions (n, m), filters (m, c, k, k), bias (c) -> images (n, c, h, w)
extern "C" __global__ void __launch_bounds__(kThreads, 1)
paste(const REAL* values, const int* positions, const REAL* filters, const REAL* bias, int n,
      int n_maps, int images_of_block, int n_shares, int channels, int height, int width, int k,
      int pitch, REAL* images) {
    paste_code({values, positions, filters, n, n_maps}, images_of_block, n_shares,
               {channels, height, width, k, pitch},
               [&](REAL total, int channel, Index at) { images[at] = bias[channel] + total; });
}

// As `paste`, and error <- (images - x) / divisor; losses (blocks): in double, the block's share of
// the squares of images - x.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
paste_and_subtract(const REAL* values, const int* positions, const REAL* filters,
                   const REAL* bias, int n, int n_maps, int images_of_block, int n_shares,
                   int channels, int height, int width, int k, int pitch, const REAL* x,
                   REAL divisor, REAL* error, double* losses) {
    double loss = 0;
    paste_code({values, positions, filters, n, n_maps}, images_of_block, n_shares,
               {channels, height, width, k, pitch}, [&](REAL total, int channel, Index at) {
                   const REAL difference = bias[channel] + total - x[at];
                   loss += double(difference) * double(difference);
                   error[at] = difference / divisor;
               });
    loss = block_sum(loss);
    if (threadIdx.x == 0) losses[blockIdx.x] = loss;
}
