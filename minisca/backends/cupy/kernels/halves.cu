// Images and filters as halves for the tensor cores (proposals.cu), with all that is needed to
// bound how far a sum of such products may be from the fp32 sum that decides.

#include "common.cuh"
#include "tensor.cuh"
#include "halves.cuh"

constexpr int kMost = 512;  // threads of a block, and places of an image

// How many partial sums of its chunk have a term of this channel, at most: of the fp32 sum, which
// takes a channel's taps one after the other, and of the tensor cores', a tap's channels.
__device__ inline float terms_after(int channel, int n_taps) {
    return float((kChunk - channel % kChunk + kChunk) * n_taps);
}

// Of filters (m, c, k, k): halves (m, k * k, padded), and of_filters (m, 4): a, ||w^||, v, exponent.
extern "C" __global__ void __launch_bounds__(kMost)
halve_filters(const float* filters, int channels, int padded, int n_taps, unsigned short* halves,
              float* of_filters) {
    extern __shared__ __align__(16) unsigned short row[];  // taps by channels, as `halves`
    const int pitch = padded + 8;  // neighbouring taps in other banks
    const float* filter = filters + Index(blockIdx.x) * channels * n_taps;
    const int n_weights = channels * n_taps;
    float largest = 0;
    #pragma unroll 8
    for (int i = threadIdx.x; i < n_weights; i += blockDim.x)
        if (is_finite(filter[i])) largest = fmaxf(largest, fabsf(filter[i]));
    const int exponent = exponent_for(block_max(largest));
    const float scale = power_of_two(exponent);
    float square = 0, error = 0, size = 0, later = 0;
    int channel = int(threadIdx.x) / n_taps, tap = int(threadIdx.x) % n_taps;
    const int more_channels = int(blockDim.x) / n_taps, more_taps = int(blockDim.x) % n_taps;
    float ahead = int(threadIdx.x) < n_weights ? filter[threadIdx.x] : 0;  // on its way already
    for (int i = threadIdx.x; i < padded * n_taps; i += blockDim.x) {
        const Rounded rounded(ahead, scale);
        const int next = i + int(blockDim.x);
        ahead = next < n_weights ? filter[next] : 0;
        row[tap * pitch + channel] = rounded.half;
        square += rounded.square;
        error += rounded.error;
        size += rounded.size;
        later += rounded.square * terms_after(channel, n_taps);
        tap += more_taps, channel += more_channels;
        if (tap >= n_taps) tap -= n_taps, ++channel;
    }
    square = block_sum(square), error = block_sum(error);
    size = block_sum(size), later = block_sum(later);
    if (threadIdx.x == 0)
        reinterpret_cast<Four*>(of_filters)[blockIdx.x] =
            Four{kSlack * (sqrtf(error) + 1.9073e-6f * sqrtf(square)), kSlack * sqrtf(size),
                 kSlack * 5.9605e-8f * sqrtf(later), float(exponent)};
    const int packs = padded / 8;
    Eight* to = reinterpret_cast<Eight*>(halves) + Index(blockIdx.x) * packs * n_taps;
    for (int i = threadIdx.x; i < packs * n_taps; i += blockDim.x)
        to[i] = *reinterpret_cast<const Eight*>(row + i / packs * pitch + i % packs * 8);
}

// Of images (n, c, h, w): halves (n, h * w, padded); of_patches (n, h * w, 4): ||x||, ||x - x^||, y
// of the patch around a place, and 0; exponents (n). ||x|| is -1 where the patch is empty and another is before it:
// both units are the bias, and the first one wins.
extern "C" __global__ void __launch_bounds__(kMost)
halve_images(const float* images, int channels, int padded, int height, int width, int k,
             unsigned short* halves, float* of_patches, int* exponents) {
    __shared__ float sums[3][kMost], of_pixels[3][kMost], norms[kMost];
    const int n_places = height * width, image = blockIdx.x;
    const float* from = images + Index(image) * channels * n_places;
    float largest = 0;
    for (int i = threadIdx.x; i < channels * n_places; i += blockDim.x)
        if (is_finite(from[i])) largest = fmaxf(largest, fabsf(from[i]));
    const int exponent = exponent_for(block_max(largest));
    const float scale = power_of_two(exponent);
    if (threadIdx.x == 0) exponents[image] = exponent;
    // A thread has one place, and every n_groups-th eight of its channels.
    const int n_groups = blockDim.x / n_places;
    const int place = threadIdx.x % n_places, group = threadIdx.x / n_places;
    float square = 0, error = 0, later = 0;
    if (group < n_groups)
        for (int eight = group; eight < padded / 8; eight += n_groups) {
            Eight packed;
            #pragma unroll
            for (int i = 0; i < 8; ++i) {
                const int channel = eight * 8 + i;
                const float x = channel < channels ? from[channel * n_places + place] : 0;
                const Rounded rounded(x, scale);
                if (i % 2 == 0) packed.pair[i / 2] = rounded.half;
                else packed.pair[i / 2] |= unsigned(rounded.half) << 16;
                square += rounded.square;
                error += rounded.error;
                later += rounded.square * terms_after(channel, k * k);
            }
            reinterpret_cast<Eight*>(halves)[(Index(image) * n_places + place) * (padded / 8) +
                                             eight] = packed;
        }
    sums[0][threadIdx.x] = square, sums[1][threadIdx.x] = error, sums[2][threadIdx.x] = later;
    __syncthreads();
    const bool has_place = int(threadIdx.x) < n_places;
    if (has_place)
        for (int i = 0; i < 3; ++i) {
            float sum = 0;
            for (int j = 0; j < n_groups; ++j) sum += sums[i][j * n_places + place];
            of_pixels[i][place] = sum;
        }
    __syncthreads();
    float of_patch[3] = {};
    const int row = place / width, column = place % width;
    for (int y = max(0, row - k / 2); y <= min(height - 1, row + k / 2); ++y)
        for (int x = max(0, column - k / 2); x <= min(width - 1, column + k / 2); ++x)
            for (int i = 0; i < 3; ++i) of_patch[i] += of_pixels[i][y * width + x];
    norms[threadIdx.x] = of_patch[0];
    __syncthreads();
    if (!has_place) return;
    bool repeats = false;
    if (of_patch[0] == 0)
        for (int i = 0; i < place; ++i) repeats |= norms[i] == 0;
    reinterpret_cast<Four*>(of_patches)[Index(image) * n_places + place] =
        Four{repeats ? -1 : kSlack * sqrtf(of_patch[0]), kSlack * sqrtf(of_patch[1]),
             kSlack * sqrtf(of_patch[2]), 0};
}

// columns (size, n_columns) <- images (n, size): an image a column, and zeros beyond the last.
extern "C" __global__ void __launch_bounds__(256)
make_columns(const float* images, int n, int size, int n_columns, float* columns) {
    __shared__ float tile[kWarp][kWarp + 1];
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, n_warps = blockDim.x / kWarp;
    const int across = (n_columns + kWarp - 1) / kWarp;
    const int first_image = int(blockIdx.x % across) * kWarp;
    const int first_row = int(blockIdx.x / across) * kWarp;
    for (int i = warp; i < kWarp; i += n_warps) {
        const bool exists = first_image + i < n && first_row + lane < size;
        tile[i][lane] = exists ? images[Index(first_image + i) * size + first_row + lane] : 0;
    }
    __syncthreads();
    for (int i = warp; i < kWarp; i += n_warps)
        if (first_row + i < size && first_image + lane < n_columns)
            columns[Index(first_row + i) * n_columns + first_image + lane] = tile[lane][i];
}
