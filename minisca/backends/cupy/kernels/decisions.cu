// The winner of every map among its candidates (proposals.cu): their units are computed in fp32,
// channel by channel, tap by tap, as the plain kernels do it (direct.cu, tiles.cu): same bits.
//
// A warp has MAPS maps, a lane the images whose number differs from its own by a multiple of kWarp.
// A channel of all of the block's images lies in shared memory, the next ones on their way, an
// image a column: whatever the places of the candidates, 32 lanes read from 32 banks. A lane
// computes kChains candidates of a map at once, as far as it has so many; where one has more, the
// block goes through the channels again. The weights are the same for the whole warp: one read,
// wide, serves all.

#include "common.cuh"
#include "candidates.cuh"
#include "tensor.cuh"

constexpr int kTaps = FILTER_WIDTH * FILTER_WIDTH;
constexpr int kTapsPadded = (kTaps + kPack - 1) / kPack * kPack;
constexpr int kLaneImages = IMAGES / kWarp;
constexpr int kChains = 12;
constexpr int kMostThreads = 512;
constexpr int kWeightShare = (kTaps + kWarp - 1) / kWarp;
static_assert(sizeof(REAL) == 4, "candidates are found for float alone");

// The candidates of a map in a lane's images, one after the other; none of a crowd.
struct Candidates {
    const unsigned short* of_map;  // (n, kListed), from the block's first image on
    int n_images;                  // of the block
    int own = 0, listed = 0;  // which of the lane's images, and how many of its places are passed

    // The next one's image, as its number among the lane's, and place. Whether there is one.
    __device__ bool next(int& image, int& place) {
        for (; own < kLaneImages; ++own, listed = 0) {
            const int column = own * kWarp + int(threadIdx.x) % kWarp;
            if (column >= n_images) return false;
            if (listed == kListed) continue;
            place = of_map[column * kListed + listed];
            if (place >= kCrowd) continue;
            image = own;
            ++listed;
            return true;
        }
        return false;
    }
};

// What a lane computes of one map in one go through the channels.
struct Chains {
    int n;  // of the lane of the warp that has most
    int own, columns[kChains];
    REAL sums[kChains];

    __device__ void begin(Candidates& left, int width, REAL bias, bool has_map) {
        const int lane = threadIdx.x % kWarp;
        own = 0;
        #pragma unroll
        for (int j = 0; j < kChains; ++j) {
            int image, place;
            sums[j] = bias;
            columns[j] = lane;
            if (!has_map || !left.next(image, place)) continue;
            columns[j] += (place / width * PITCH + place % width) * IMAGES + image * kWarp;
            own = j + 1;
        }
        n = own;
        for (int away = kWarp / 2; away > 0; away /= 2)
            n = max(n, __shfl_xor_sync(kAllLanes, n, away));
    }

    __device__ void end(int width, Unit (&best)[kLaneImages]) const {
        #pragma unroll
        for (int j = 0; j < kChains; ++j) {
            if (j >= own || !(sums[j] > 0)) continue;
            const int pixel = columns[j] / IMAGES;
            const Unit unit{sums[j], pixel / PITCH * width + pixel % PITCH};
            #pragma unroll
            for (int image = 0; image < kLaneImages; ++image)
                if (columns[j] % IMAGES / kWarp == image) best[image] = larger(best[image], unit);
        }
    }

    // Adds a channel's products to the first N sums.
    template <int N>
    __device__ void add(const REAL* pixels, const REAL* weights) {
        #pragma unroll
        for (int first = 0; first < kTaps; first += kPack) {
            const Pack pack = *reinterpret_cast<const Pack*>(weights + first);
            #pragma unroll
            for (int i = 0; i < kPack; ++i) {
                const int tap = first + i;
                if (tap >= kTaps) break;
                const int shift = (tap / FILTER_WIDTH * PITCH + tap % FILTER_WIDTH) * IMAGES;
                #pragma unroll
                for (int j = 0; j < N; ++j) sums[j] += pack.lane[i] * pixels[columns[j] + shift];
            }
        }
    }

    __device__ void add(const REAL* pixels, const REAL* weights) {
        if (n == 0) return;  // not every number has a text of its own: they compile long
        if (n <= 2) return add<2>(pixels, weights);
        if (n <= 4) return add<4>(pixels, weights);
        if (n == 5) return add<5>(pixels, weights);
        if (n == 6) return add<6>(pixels, weights);
        if (n <= 8) return add<8>(pixels, weights);
        if (n <= 10) return add<10>(pixels, weights);
        return add<kChains>(pixels, weights);
    }
};

// columns (c, h * w, n_columns), an image a column; candidates (m, n, kListed); values, positions
// (n, m).
extern "C" __global__ void __launch_bounds__(kMostThreads, 1)
decide(const REAL* columns, const REAL* filters, const REAL* bias,
       const unsigned short* candidates, int n, int n_columns, int channels, int height, int width,
       int n_maps, REAL* values, int* positions) {
    extern __shared__ __align__(16) REAL shared[];
    __shared__ int more;
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int n_warps = blockDim.x / kWarp, n_places = height * width;
    const int n_pixels = (height + FILTER_WIDTH - 1) * PITCH + FILTER_WIDTH / 2;
    const int groups = (n + IMAGES - 1) / IMAGES;
    const int first_image = int(blockIdx.x % groups) * IMAGES;
    const int first_map = (int(blockIdx.x / groups) * n_warps + warp) * MAPS;
    REAL* const weights = shared + STAGES * n_pixels * IMAGES + warp * MAPS * kTapsPadded;
    int* const pixel_of = reinterpret_cast<int*>(  // of a place
        shared + STAGES * n_pixels * IMAGES + n_warps * MAPS * kTapsPadded);

    const int n_numbers = STAGES * n_pixels * IMAGES + n_warps * MAPS * kTapsPadded;
    for (int i = threadIdx.x; i < n_numbers / kPack; i += blockDim.x)
        reinterpret_cast<Pack*>(shared)[i] = Pack{};
    for (int i = threadIdx.x; i < n_places; i += blockDim.x)
        pixel_of[i] = (i / width + FILTER_WIDTH / 2) * PITCH + i % width + FILTER_WIDTH / 2;
    __syncthreads();

    // Start to copy a channel: a warp a place, a lane four images.
    const auto copy_pixels = [&](int channel) {
        const int n_pieces = min(IMAGES, n_columns - first_image) / kPack;
        REAL* const to = shared + channel % STAGES * n_pixels * IMAGES;
        const REAL* from = columns + Index(channel) * n_places * n_columns + first_image;
        for (int place = warp; place < n_places; place += n_warps)
            for (int piece = lane; piece < n_pieces; piece += kWarp)
                start_copy(to + pixel_of[place] * IMAGES + piece * kPack,
                           from + place * n_columns + piece * kPack);
    };
    REAL own_weights[MAPS][kWeightShare];  // of the next channel, on their way
    const auto fetch_weights = [&](int channel) {
        #pragma unroll
        for (int i = 0; i < MAPS; ++i) {
            const Index map = min(first_map + i, n_maps - 1);
            #pragma unroll
            for (int j = 0; j < kWeightShare; ++j)
                if (j * kWarp + lane < kTaps)
                    own_weights[i][j] = filters[(map * channels + channel) * kTaps + j * kWarp + lane];
        }
    };

    Candidates left[MAPS];
    Unit best[MAPS][kLaneImages] = {};
    #pragma unroll
    for (int i = 0; i < MAPS; ++i) {
        const Index map = min(first_map + i, n_maps - 1);
        left[i] = Candidates{candidates + (map * n + first_image) * kListed, n - first_image};
    }
    for (bool again = true; again;) {
        Chains chains[MAPS];
        #pragma unroll
        for (int i = 0; i < MAPS; ++i)
            chains[i].begin(left[i], width, bias[min(first_map + i, n_maps - 1)],
                            first_map + i < n_maps);
        for (int channel = 0; channel < STAGES - 1; ++channel) {
            if (channel < channels) copy_pixels(channel);
            commit_copies();
        }
        fetch_weights(0);
        for (int channel = 0; channel < channels; ++channel) {
            wait_for_copies<STAGES - 2>();
            #pragma unroll
            for (int i = 0; i < MAPS; ++i)
                #pragma unroll
                for (int j = 0; j < kWeightShare; ++j)
                    if (j * kWarp + lane < kTaps)
                        weights[i * kTapsPadded + j * kWarp + lane] = own_weights[i][j];
            __syncthreads();
            if (channel + STAGES - 1 < channels) copy_pixels(channel + STAGES - 1);
            commit_copies();
            if (channel + 1 < channels) fetch_weights(channel + 1);
            const REAL* pixels = shared + channel % STAGES * n_pixels * IMAGES;
            #pragma unroll
            for (int i = 0; i < MAPS; ++i) chains[i].add(pixels, weights + i * kTapsPadded);
            __syncwarp();  // the weights are read
        }
        #pragma unroll
        for (int i = 0; i < MAPS; ++i) chains[i].end(width, best[i]);
        // Whether a lane of the block is not through.
        if (threadIdx.x == 0) more = 0;
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < MAPS; ++i) {
            Candidates ahead = left[i];
            int image, place;
            if (first_map + i < n_maps && ahead.next(image, place)) atomicAdd(&more, 1);
        }
        __syncthreads();
        again = more != 0;
        __syncthreads();
    }
    #pragma unroll
    for (int i = 0; i < MAPS; ++i)
        #pragma unroll
        for (int j = 0; j < kLaneImages; ++j) {
            const Index image = first_image + j * kWarp + lane;
            if (image >= n || first_map + i >= n_maps) continue;
            values[image * n_maps + first_map + i] = best[i][j].value;
            positions[image * n_maps + first_map + i] = best[i][j].position;
        }
}

// The winners of crowds, to which `decide` has given none: a warp has an image, a lane every
// kWarp-th place. Seldom are there any.
extern "C" __global__ void __launch_bounds__(256, 1)
decide_crowds(const REAL* x, const REAL* filters, const REAL* bias,
              const unsigned short* candidates, int n, int channels, int height, int width,
              int n_maps, REAL* values, int* positions) {
    constexpr int kPlaces = 4;  // that a lane computes at once
    const int lane = threadIdx.x % kWarp, n_warps = blockDim.x / kWarp;
    const int map = blockIdx.x, n_places = height * width;
    for (int image = threadIdx.x / kWarp; image < n; image += n_warps) {
        if (candidates[(Index(map) * n + image) * kListed] != kCrowd) continue;
        Unit best{0, 0};
        for (int first = lane; first < n_places; first += kPlaces * kWarp) {
            REAL sums[kPlaces];
            #pragma unroll
            for (int j = 0; j < kPlaces; ++j) sums[j] = bias[map];
            for (int channel = 0; channel < channels; ++channel) {
                const REAL* from = x + (Index(image) * channels + channel) * n_places;
                const REAL* weights = filters + (Index(map) * channels + channel) * kTaps;
                for (int tap = 0; tap < kTaps; ++tap) {
                    const int dy = tap / FILTER_WIDTH - FILTER_WIDTH / 2;
                    const int dx = tap % FILTER_WIDTH - FILTER_WIDTH / 2;
                    #pragma unroll
                    for (int j = 0; j < kPlaces; ++j) {
                        const int place = first + j * kWarp;
                        const int row = place / width + dy, column = place % width + dx;
                        const bool inside = place < n_places && 0 <= row && row < height &&
                                            0 <= column && column < width;
                        sums[j] += weights[tap] * (inside ? from[row * width + column] : REAL(0));
                    }
                }
            }
            #pragma unroll
            for (int j = 0; j < kPlaces; ++j)
                if (first + j * kWarp < n_places && sums[j] > best.value)
                    best = Unit{sums[j], first + j * kWarp};
        }
        best = warp_largest(best, kWarp);
        if (lane != 0) continue;
        values[Index(image) * n_maps + map] = best.value;
        positions[Index(image) * n_maps + map] = best.position;
    }
}
