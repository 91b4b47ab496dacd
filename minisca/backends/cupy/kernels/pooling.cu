// Overlapping max-pooling and its gradient. A thread owns what it writes: a window of the pooled
// map, or a place of the map, which gathers from the windows that it won, in their order.

#include "common.cuh"

// maps (n_maps, height, width) -> pooled, argmax (n_maps, rows, columns).
extern "C" __global__ void max_pool(const REAL* maps, int height, int width, int rows, int columns,
                                    int pool_width, int stride, int first_row, int first_column,
                                    REAL* pooled, int* argmax, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const REAL* map = maps + i / columns / rows * height * width;
        const int top = first_row + int(i / columns % rows) * stride;
        const int left = first_column + int(i % columns) * stride;
        int place = -1;
        REAL largest = 0;
        for (int y = max(0, top); y < min(height, top + pool_width); ++y)
            for (int x = max(0, left); x < min(width, left + pool_width); ++x) {
                const REAL value = map[y * width + x];
                if (place < 0 || value > largest) {
                    largest = value;
                    place = y * width + x;
                }
            }
        pooled[i] = largest;
        argmax[i] = place;
    }
}

// d_pooled, argmax (n_maps, n_windows) -> d_maps (n_maps, n_places).
extern "C" __global__ void max_pool_backward(const REAL* d_pooled, const int* argmax,
                                             int n_windows, int n_places, REAL* d_maps,
                                             Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const Index map = i / n_places;
        REAL total = 0;
        for (int window = 0; window < n_windows; ++window)
            if (argmax[map * n_windows + window] == i % n_places)
                total += d_pooled[map * n_windows + window];
        d_maps[i] = total;
    }
}
