// The gradients of a code, through its survivors alone (paper section 2.1, step 3): with e_p and
// x_p the patches around a survivor's position, delta = 2 <W, e_p>, dW += 2 z e_p, dP += delta x_p.
//
// Where a slice has all channels, error and images lie there side by side, and one walk (walk.cuh)
// finds all. Else a walk through the error comes first, which leaves what its slice adds to every
// delta; then these are added up (entries.cu); then comes a walk through the images. The images are
// cut into pieces, whose gradients are added in order afterwards (sums.cu, sgd.cu). Where they are
// one piece, patch_updates.cu goes further.

#include "walk.cuh"

extern "C" __global__ void __launch_bounds__(kThreadsOfBoth, 1)
walk_both(const REAL* error, const REAL* x, const REAL* values, const int* positions,
          const Index* entries, const Index* offsets, int is_whole, int n, int n_slots,
          const REAL* filters, int images_of_piece, int images_at_once, int n_maps,
          int maps_of_block, int channels, int height, int width, int k, int pitch, REAL* parts) {
    const Layer layer{error, x, {values, positions, entries, offsets, is_whole, n, n_slots},
                      filters,
                      {images_of_piece, images_at_once, n_maps, maps_of_block},
                      {channels, height, width, k, pitch}, parts};
    const auto read_entry = [&](Index i, int map, int image, int number) {
        return layer.code.entry(i, map, image, number, layer.layout);
    };
    walk<true, true, false>(layer, read_entry, nullptr, 0, {});
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
walk_error(const REAL* error, const double* packed, const Index* offsets, int is_whole, int n,
           REAL* partials, Index size, const REAL* filters, int images_of_piece,
           int images_at_once, int n_maps, int maps_of_block, int channels, int height, int width,
           int k, int pitch, REAL* parts) {
    const Layer layer{error, nullptr, {nullptr, nullptr, nullptr, offsets, is_whole, n, 0}, filters,
                      {images_of_piece, images_at_once, n_maps, maps_of_block},
                      {channels, height, width, k, pitch}, parts};
    walk<true, false, false>(layer, Packed{packed}, partials, size, {});
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
walk_images(const REAL* x, const double* packed, const Index* offsets, int is_whole, int n,
            int images_of_piece, int images_at_once, int n_maps, int maps_of_block, int channels,
            int height, int width, int k, int pitch, REAL* parts) {
    const Layer layer{nullptr, x, {nullptr, nullptr, nullptr, offsets, is_whole, n, 0}, nullptr,
                      {images_of_piece, images_at_once, n_maps, maps_of_block},
                      {channels, height, width, k, pitch}, parts};
    walk<false, true, false>(layer, Packed{packed}, nullptr, 0, {});
}
