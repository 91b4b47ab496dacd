// Images of few channels as halves for the tensor cores (direct_tensor.cu), and how large their
// patches are: what the bound of halves.cuh needs.

#include "common.cuh"
#include "tensor.cuh"
#include "halves.cuh"
#include "padded.cuh"

constexpr int kMostThreads = 512;

// Of every image: halves (n, n_halves), its channels one after the other, margins included;
// starts (n, h * w): 0, or -infinity where a patch is empty and another is before it (both units
// are the bias, and the first one wins); of_images (n, 4): the largest ||x|| and ||x - x^|| of its
// patches, and its exponent.
extern "C" __global__ void __launch_bounds__(kMostThreads)
halve_patches(const float* x, int channels, int height, int width, int n_halves,
              unsigned short* halves, float* starts, float* of_images) {
    extern __shared__ __align__(16) float sums[];  // squares, errors, rows
    __shared__ int first_empty;
    const Layer layer(channels, height, width);
    const int n_places = layer.n_places(), n_threads = blockDim.x, thread = threadIdx.x;
    const float* image = x + Index(blockIdx.x) * channels * n_places;
    float* const rows = sums + 2 * layer.plane;
    if (thread == 0) first_empty = n_places;
    float own = 0;
    for (int i = thread; i < channels * n_places; i += n_threads)
        if (is_finite(image[i])) own = fmaxf(own, fabsf(image[i]));
    const int exponent = exponent_for(block_max(own));
    const float scale = power_of_two(exponent);
    for (int i = thread; i < layer.plane; i += n_threads) {
        float square = 0, error = 0;
        for (int channel = 0; channel < channels; ++channel) {
            const int at = channel * layer.plane + i;
            const Rounded rounded(layer.pixel(image, at), scale);
            halves[Index(blockIdx.x) * n_halves + at] = rounded.half;
            square += rounded.square, error += rounded.error;
        }
        sums[i] = square, sums[layer.plane + i] = error;
    }
    __syncthreads();
    float largest[2];
    const int n_rows = height + FILTER_WIDTH - 1;
    for (int which = 1; which >= 0; --which) {
        const float* from = sums + which * layer.plane;
        for (int i = thread; i < n_rows * width; i += n_threads) {
            float sum = 0;
            for (int dx = 0; dx < FILTER_WIDTH; ++dx) sum += from[layer.first_pixel(i) + dx];
            rows[i] = sum;
        }
        __syncthreads();
        own = 0;
        for (int i = thread; i < n_places; i += n_threads) {
            float sum = 0;
            for (int dy = 0; dy < FILTER_WIDTH; ++dy) sum += rows[i + dy * width];
            own = fmaxf(own, sum);
            if (which == 0) {
                sums[layer.plane + i] = sum;  // the errors are no longer needed
                if (sum == 0) atomicMin(&first_empty, i);
            }
        }
        largest[which] = block_max(own);
    }
    __syncthreads();
    for (int i = thread; i < n_places; i += n_threads)
        starts[Index(blockIdx.x) * n_places + i] =
            sums[layer.plane + i] > 0 || i == first_empty ? 0 : -infinity();
    if (thread == 0)
        reinterpret_cast<Four*>(of_images)[blockIdx.x] = Four{
            kSlack * sqrtf(largest[0]), kSlack * sqrtf(largest[1]), 0, float(exponent)};
}
