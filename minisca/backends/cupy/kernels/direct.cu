// Same-padded convolution of images of few channels, fused with what comes after it: nothing but
// winners, or pooled maps, reaches global memory (or the maps, where they are asked for).
//
// A block has one image, padded, in shared memory, and the filters of some maps. A thread has a
// strip of units in kMaps maps at once (strips.cuh): about ten products a read, where product.cuh
// has five.
// Threads of a block form groups of `group_size`, whole warps; a group has the same kMaps maps.
// Strips beyond `group_size` are done in further rounds.
//
// Products are added in the order of tiles.cu, channel by channel, tap by tap: same bits.

#include "strips.cuh"

constexpr int kMaps = 8;
// Blocks of 256 threads, two on a multiprocessor: 128 registers a thread, twice that in double.
constexpr int kMostThreads = 256;
constexpr int kBlocksAtOnce = sizeof(REAL) == 4 ? 2 : 1;

struct Layer {
    const REAL *x, *filters, *bias;
    int channels, height, width, n_maps;
    int group_size;   // threads of a group
    int image_pitch;  // of a padded row in shared memory
};

struct Block {
    Index image;
    int first_map, n_groups;  // the first map of the block
    int own_map;  // the first of this thread's maps, counted from the block's first
    int member;   // this thread's number in its group
    REAL *pixels, *taps, *rest;

    __device__ Block(const Layer& layer, REAL* shared) {
        n_groups = blockDim.x / layer.group_size;
        const int blocks = (layer.n_maps + n_groups * kMaps - 1) / (n_groups * kMaps);
        image = blockIdx.x / blocks;
        first_map = int(blockIdx.x % blocks) * n_groups * kMaps;
        own_map = int(threadIdx.x) / layer.group_size * kMaps;
        member = int(threadIdx.x) % layer.group_size;
        taps = shared;
        pixels = taps + layer.channels * kTaps * tap_pitch();
        rest = pixels + layer.channels * (layer.height + FILTER_WIDTH - 1) * layer.image_pitch;
    }
    // Weights of a tap lie map by map; a little apart, so that they are written to several banks.
    __device__ int tap_pitch() const { return n_groups * kMaps + 4; }
};

// The image with its margin of zeros, and the filters of the block's maps, into shared memory.
__device__ inline void load(const Layer& layer, const Block& block) {
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int n_warps = blockDim.x / kWarp;
    const int n_rows = layer.height + FILTER_WIDTH - 1;
    for (int row = warp; row < layer.channels * n_rows; row += n_warps) {
        const int y = row % n_rows - kMargin;
        const REAL* from = layer.x + ((block.image * layer.channels + row / n_rows) *
                                      layer.height + y) * layer.width;
        for (int i = lane; i < layer.image_pitch; i += kWarp) {
            const int x = i - kMargin;
            const bool inside = 0 <= y && y < layer.height && 0 <= x && x < layer.width;
            block.pixels[row * layer.image_pitch + i] = inside ? from[x] : REAL(0);
        }
    }
    const int n_taps = layer.channels * kTaps, n_maps = block.n_groups * kMaps;
    for (int map = warp; map < n_maps; map += n_warps) {
        const bool exists = block.first_map + map < layer.n_maps;
        const REAL* filter = layer.filters + Index(block.first_map + map) * n_taps;
        for (int tap = lane; tap < n_taps; tap += kWarp)
            block.taps[tap * block.tap_pitch() + map] = exists ? filter[tap] : REAL(0);
    }
    __syncthreads();
}

// Where a round's strip lies. A thread without one repeats the last strip; it must not use it.
struct Strip {
    int y, x;
    bool exists;

    __device__ Strip(const Layer& layer, int number) {
        const int of_row = (layer.width + STRIP - 1) / STRIP;
        const int last = layer.height * of_row - 1;
        exists = number <= last;
        y = min(number, last) / of_row;
        x = min(number, last) % of_row * STRIP;
    }
};

__device__ inline int n_strips(const Layer& layer) {
    return layer.height * ((layer.width + STRIP - 1) / STRIP);
}

// sums <- this thread's strip of pre-activations, bias included.
__device__ inline void convolve_strip(const Layer& layer, const Block& block, const Strip& strip,
                                      REAL (&sums)[kMaps][STRIP]) {
    const int first_map = block.first_map + block.own_map;
    start_strip(layer.bias + first_map, layer.n_maps - first_map, sums);
    const int pitch = block.tap_pitch();
    const int plane = (layer.height + FILTER_WIDTH - 1) * layer.image_pitch;
    const REAL* weights = block.taps + block.own_map;
    for (int channel = 0; channel < layer.channels; ++channel) {
        const REAL* from =
            block.pixels + channel * plane + strip.y * layer.image_pitch + strip.x;
        #pragma unroll 1
        for (int dy = 0; dy < FILTER_WIDTH; ++dy) {
            add_row(from, weights, pitch, sums);
            from += layer.image_pitch;
        }
    }
}

__device__ inline Unit largest_of_strip(const Layer& layer, const Strip& strip,
                                        const REAL (&sums)[STRIP]) {
    Unit best{0, 0};
    #pragma unroll
    for (int p = 0; p < STRIP; ++p)
        if (strip.exists && strip.x + p < layer.width && sums[p] > best.value)
            best = Unit{sums[p], strip.y * layer.width + strip.x + p};
    return best;
}

// The warp's largest unit of each map, map j's to be found in lanes j * kWarp / kMaps and up. Lanes
// that differ in one bit share the maps out between them, then again by the next bit, until a
// lane has one map: 9 exchanges where reducing map after map takes 40.
__device__ inline Unit share_out(Unit (&best)[kMaps]) {
    int away = kWarp / 2;
    #pragma unroll
    for (int half = kMaps / 2; half > 0; half /= 2, away /= 2)
        #pragma unroll
        for (int j = 0; j < half; ++j) {
            const bool upper = (threadIdx.x & away) != 0;
            const Unit kept = upper ? best[j + half] : best[j];
            const Unit given = upper ? best[j] : best[j + half];
            best[j] = larger(kept, from_lane_across(given, away, kWarp));
        }
    return warp_largest(best[0], kWarp / kMaps);
}

// values, positions (n, m): the largest positive unit of every map.
extern "C" __global__ void __launch_bounds__(kMostThreads, kBlocksAtOnce)
direct_winners(const REAL* x, const REAL* filters, const REAL* bias, int channels, int height,
               int width, int n_maps, int group_size, int image_pitch, REAL* values,
               int* positions) {
    extern __shared__ __align__(16) REAL shared[];
    const Layer layer{x, filters, bias, channels, height, width, n_maps, group_size, image_pitch};
    const Block block(layer, shared);
    load(layer, block);
    Unit winner{0, 0};  // of one map, that which `share_out` leaves to this lane
    for (int number = block.member; number - block.member < n_strips(layer); number += group_size) {
        const Strip strip(layer, number);
        REAL sums[kMaps][STRIP];
        convolve_strip(layer, block, strip, sums);
        Unit best[kMaps];
        #pragma unroll
        for (int j = 0; j < kMaps; ++j) best[j] = largest_of_strip(layer, strip, sums[j]);
        winner = larger(winner, share_out(best));
    }
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    __shared__ REAL found[kMostThreads / kWarp * kMaps];
    __shared__ int found_at[kMostThreads / kWarp * kMaps];
    if (lane % (kWarp / kMaps) == 0) {
        found[warp * kMaps + lane / (kWarp / kMaps)] = winner.value;
        found_at[warp * kMaps + lane / (kWarp / kMaps)] = winner.position;
    }
    __syncthreads();
    const int map = threadIdx.x, warps = group_size / kWarp;  // of a group
    if (map >= block.n_groups * kMaps || block.first_map + map >= n_maps) return;
    winner = Unit{0, 0};
    for (int w = map / kMaps * warps; w < (map / kMaps + 1) * warps; ++w)
        winner = larger(winner, Unit{found[w * kMaps + map % kMaps],
                                     found_at[w * kMaps + map % kMaps]});
    values[block.image * n_maps + block.first_map + map] = winner.value;
    positions[block.image * n_maps + block.first_map + map] = winner.position;
}

// maps (n, m, h, w)
extern "C" __global__ void __launch_bounds__(kMostThreads, kBlocksAtOnce)
direct_maps(const REAL* x, const REAL* filters, const REAL* bias, int channels, int height,
            int width, int n_maps, int group_size, int image_pitch, REAL* maps) {
    extern __shared__ __align__(16) REAL shared[];
    const Layer layer{x, filters, bias, channels, height, width, n_maps, group_size, image_pitch};
    const Block block(layer, shared);
    load(layer, block);
    for (int number = block.member; number - block.member < n_strips(layer); number += group_size) {
        const Strip strip(layer, number);
        REAL sums[kMaps][STRIP];
        convolve_strip(layer, block, strip, sums);
        const int first_map = block.first_map + block.own_map;
        const int n_here = strip.exists ? n_maps - first_map : 0;
        REAL* own = maps + ((block.image * n_maps + first_map) * height + strip.y) * width + strip.x;
        #pragma unroll
        for (int j = 0; j < kMaps; ++j) {
            #pragma unroll
            for (int p = 0; p < STRIP; ++p)
                if (j < n_here && strip.x + p < width) own[p] = sums[j][p];
            own += height * width;
        }
    }
}

// pooled (n, m, rows, columns): ReLU and max-pooling. The block's maps lie in shared memory, too.
extern "C" __global__ void __launch_bounds__(kMostThreads, kBlocksAtOnce)
direct_pooled(const REAL* x, const REAL* filters, const REAL* bias, int channels, int height,
              int width, int n_maps, int group_size, int image_pitch, int rows, int columns,
              int pool_width, int stride, int first_row, int first_column, REAL* pooled) {
    extern __shared__ __align__(16) REAL shared[];
    const Layer layer{x, filters, bias, channels, height, width, n_maps, group_size, image_pitch};
    const Block block(layer, shared);
    const int n_positions = height * width;
    load(layer, block);
    for (int number = block.member; number - block.member < n_strips(layer); number += group_size) {
        const Strip strip(layer, number);
        REAL sums[kMaps][STRIP];
        convolve_strip(layer, block, strip, sums);
        #pragma unroll
        for (int j = 0; j < kMaps; ++j) {
            REAL* row = block.rest + (block.own_map + j) * n_positions + strip.y * width;
            #pragma unroll
            for (int p = 0; p < STRIP; ++p)
                if (strip.exists && strip.x + p < width) row[strip.x + p] = sums[j][p];
        }
    }
    __syncthreads();
    const int n_here = min(block.n_groups * kMaps, n_maps - block.first_map);
    for (int i = threadIdx.x; i < n_here * rows * columns; i += blockDim.x) {
        const REAL* map = block.rest + i / (rows * columns) * n_positions;
        const int top = first_row + i / columns % rows * stride;
        const int left = first_column + i % columns * stride;
        REAL largest = 0;  // the ReLU
        for (int y = max(0, top); y < min(height, top + pool_width); ++y)
            for (int x = max(0, left); x < min(width, left + pool_width); ++x)
                largest = map[y * width + x] > largest ? map[y * width + x] : largest;
        pooled[(block.image * n_maps + block.first_map) * (rows * columns) + i] = largest;
    }
}
