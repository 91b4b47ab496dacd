// As the walks of patches.cu through the error and the images, where all images are one piece. The
// step of gradient descent is done while the sums are in registers: no gradient is written.

#include "walk.cuh"

// Of the decoder's parameters.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
walk_error_and_update(const REAL* error, const double* packed, const Index* offsets, int is_whole,
                      int n, REAL* partials, Index size, REAL* filters, REAL* filters_velocity,
                      const REAL* filters_rate, REAL* bias, REAL* bias_velocity,
                      const REAL* bias_rate, REAL momentum, int images_of_piece,
                      int images_at_once, int n_maps, int maps_of_block, int channels, int height,
                      int width, int k, int pitch, REAL* waiting) {
    const Layer layer{error, nullptr, {nullptr, nullptr, nullptr, offsets, is_whole, n, 0}, filters,
                      {images_of_piece, images_at_once, n_maps, maps_of_block},
                      {channels, height, width, k, pitch}, waiting};
    walk<true, false, true>(
        layer, Packed{packed}, partials, size,
        {{filters, filters_velocity, filters_rate}, {bias, bias_velocity, bias_rate}, momentum});
}

// Of the encoder's filters.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
walk_images_and_update(const REAL* x, const double* packed, const Index* offsets, int is_whole,
                       int n, REAL* filters, REAL* velocity, const REAL* rate, REAL momentum,
                       int images_of_piece, int images_at_once, int n_maps, int maps_of_block,
                       int channels, int height, int width, int k, int pitch, REAL* waiting) {
    const Layer layer{nullptr, x, {nullptr, nullptr, nullptr, offsets, is_whole, n, 0}, nullptr,
                      {images_of_piece, images_at_once, n_maps, maps_of_block},
                      {channels, height, width, k, pitch}, waiting};
    walk<false, true, true>(layer, Packed{packed}, nullptr, 0,
                            {{filters, velocity, rate}, {nullptr, nullptr, nullptr}, momentum});
}
