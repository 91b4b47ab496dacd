// Same-padded convolution of images of many channels: what a block needs of one channel after the
// other is copied to shared memory in the background, kStages of them at a time.
//
// A thread has a strip of units in kMaps maps at once (strips.cuh). GROUP threads share their maps and
// have as many strips that follow each other, in a row, from row to row, and from image to image.
//
// `pad` and `pack` prepare it: images with their margin of zeros, channel by channel, and filters
// with the weights of a tap for kBlockMaps maps together. Both copies of a block are then one run
// of 16-byte packs a channel, and nothing is checked against a border.
//
// Products are added in the order of tiles.cu, channel by channel, tap by tap: same bits.

#include "strips.cuh"
#include "copies.cuh"

constexpr int kThreads = 256;
constexpr int kMaps = MAPS;  // of a thread
constexpr int kBlockMaps = kThreads / GROUP * kMaps;
constexpr int kWeights = kTaps * kBlockMaps;  // of a channel
constexpr int kStages = 3;
// Two blocks on a multiprocessor: 128 registers a thread, twice that in double.
constexpr int kBlocksAtOnce = sizeof(REAL) == 4 ? 2 : 1;

// padded (c, n, plane): a row of `pitch` numbers for each of x's, and for each of the margin.
extern "C" __global__ void pad(const REAL* x, int channels, int height, int width, int pitch,
                               int plane, REAL* padded, Index size) {
    const Index n = size / plane / channels;
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const int place = int(i % plane);
        const Index image = i / plane % n, channel = i / plane / n;
        const int row = place / pitch - kMargin, column = place % pitch - kMargin;
        const bool inside = 0 <= row && row < height && 0 <= column && column < width;
        padded[i] = inside ? x[((image * channels + channel) * height + row) * width + column] : 0;
    }
}

// packed (blocks, c, taps, kBlockMaps): zeros for the maps that are not there.
extern "C" __global__ void pack(const REAL* filters, int channels, int n_maps, REAL* packed,
                                Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const int map_of_block = int(i % kBlockMaps), tap = int(i / kBlockMaps % kTaps);
        const int channel = int(i / kWeights % channels);
        const Index map = i / kWeights / channels * kBlockMaps + map_of_block;
        packed[i] = map < n_maps ? filters[(map * channels + channel) * kTaps + tap] : REAL(0);
    }
}

struct Layer {
    const REAL *padded, *packed, *bias;
    int n, channels, height, width, n_maps;
    int pitch, plane;   // of a padded image
    int stage_numbers;  // of shared memory
};

// Where a thread's strip lies. A thread without one repeats the last strip; it must not use it.
struct Strip {
    int image, y, x;
    int first_image, n_images;  // of the block
    int first_map, own_map;     // of the block; of this thread, counted from there
    bool exists;

    __device__ explicit Strip(const Layer& layer) {
        const int of_row = (layer.width + STRIP - 1) / STRIP, of_image = layer.height * of_row;
        const Index n_strips = Index(layer.n) * of_image;
        const int tiles = int((n_strips + GROUP - 1) / GROUP);
        const Index first = Index(blockIdx.x % tiles) * GROUP;
        const Index last = min(first + GROUP, n_strips) - 1, own = first + threadIdx.x % GROUP;
        exists = own <= last;
        const int of_own = int(min(own, last) % of_image);
        image = int(min(own, last) / of_image);
        y = of_own / of_row;
        x = of_own % of_row * STRIP;
        first_image = int(first / of_image);
        n_images = int(last / of_image) - first_image + 1;
        first_map = int(blockIdx.x / tiles) * kBlockMaps;
        own_map = int(threadIdx.x) / GROUP * kMaps;
    }
};

__device__ inline void start_copies(REAL* to, const REAL* from, int n_numbers) {
    #pragma unroll 1  // unrolled, it takes registers that the sums need
    for (int i = threadIdx.x * kPack; i < n_numbers; i += kThreads * kPack)
        start_copy(to + i, from + i);
}

// sums <- this thread's strip of pre-activations, bias included.
__device__ inline void convolve_strip(const Layer& layer, const Strip& strip, REAL* shared,
                                      REAL (&sums)[kMaps][STRIP]) {
    // of the channel that is copied next
    const REAL* weights_from =
        layer.packed + Index(strip.first_map / kBlockMaps) * layer.channels * kWeights;
    const REAL* pixels_from = layer.padded + Index(strip.first_image) * layer.plane;
    const auto start = [&](int channel) {
        if (channel < layer.channels) {
            REAL* stage = shared + channel % kStages * layer.stage_numbers;
            start_copies(stage, weights_from, kWeights);
            start_copies(stage + kWeights, pixels_from, strip.n_images * layer.plane);
            weights_from += kWeights;
            pixels_from += Index(layer.n) * layer.plane;
        }
        commit_copies();
    };
    for (int channel = 0; channel < kStages - 1; ++channel) start(channel);
    const int first_map = strip.first_map + strip.own_map;
    start_strip(layer.bias + first_map, layer.n_maps - first_map, sums);
    const int own_pixels = kWeights + (strip.image - strip.first_image) * layer.plane
                           + strip.y * layer.pitch + strip.x;
    #pragma unroll 1
    for (int channel = 0; channel < layer.channels; ++channel) {
        wait_for_copies<kStages - 2>();
        __syncthreads();  // the channel is there, and all have done with the one before
        start(channel + kStages - 1);
        const REAL* stage = shared + channel % kStages * layer.stage_numbers;
        const REAL *weights = stage + strip.own_map, *pixels = stage + own_pixels;
        #pragma unroll 1
        for (int dy = 0; dy < FILTER_WIDTH; ++dy) {
            add_row(pixels, weights, kBlockMaps, sums);
            pixels += layer.pitch;
        }
    }
}

// maps (n, m, h, w)
extern "C" __global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
staged_maps(const REAL* padded, const REAL* packed, const REAL* bias, int n, int channels,
            int height, int width, int n_maps, int pitch, int plane, int stage_numbers,
            REAL* maps) {
    extern __shared__ __align__(16) REAL shared[];
    const Layer layer{padded, packed, bias,  n,     channels,     height,
                      width,  n_maps, pitch, plane, stage_numbers};
    const Strip strip(layer);
    REAL sums[kMaps][STRIP];
    convolve_strip(layer, strip, shared, sums);
    const int n_here = strip.exists ? n_maps - strip.first_map - strip.own_map : 0;
    const Index first = Index(strip.image) * n_maps + strip.first_map + strip.own_map;
    REAL* own = maps + (first * height + strip.y) * width + strip.x;
    #pragma unroll
    for (int j = 0; j < kMaps; ++j) {
        #pragma unroll
        for (int p = 0; p < STRIP; ++p)
            if (j < n_here && strip.x + p < width) own[p] = sums[j][p];
        own += height * width;
    }
}

// values, positions (n, m, strips of an image): the largest unit of every map in every strip.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
staged_winners(const REAL* padded, const REAL* packed, const REAL* bias, int n, int channels,
               int height, int width, int n_maps, int pitch, int plane, int stage_numbers,
               REAL* values, int* positions) {
    extern __shared__ __align__(16) REAL shared[];
    const Layer layer{padded, packed, bias,  n,     channels,     height,
                      width,  n_maps, pitch, plane, stage_numbers};
    const Strip strip(layer);
    REAL sums[kMaps][STRIP];
    convolve_strip(layer, strip, shared, sums);
    const int of_row = (width + STRIP - 1) / STRIP;
    const int n_here = strip.exists ? n_maps - strip.first_map - strip.own_map : 0;
    const Index first = Index(strip.image) * n_maps + strip.first_map + strip.own_map;
    Index at = (first * height + strip.y) * of_row + strip.x / STRIP;
    #pragma unroll
    for (int j = 0; j < kMaps; ++j) {
        Unit best{0, 0};
        #pragma unroll
        for (int p = 0; p < STRIP; ++p)
            if (strip.x + p < width && sums[j][p] > best.value)
                best = Unit{sums[j][p], strip.y * width + strip.x + p};
        if (j < n_here) {
            values[at] = best.value;
            positions[at] = best.position;
        }
        at += height * of_row;
    }
}
