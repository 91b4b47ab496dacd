// Overlapping max-pooling and its gradient. A thread owns what it writes: a window of the pooled
// map, or a position of the map, which gathers from the windows that it won, in their order.

#include "common.cuh"

// The windows of a map: `columns` by `rows`, a stride apart, clipped to the map.
struct Pooling {
    int height, width, rows, columns, pool_width, stride, first_row, first_column;
};

// The largest unit of window `i`, counted over all maps; ties to the lowest position.
__device__ inline Unit largest_of_window(const REAL* maps, const Pooling& pooling, Index i) {
    const REAL* map = maps + i / pooling.columns / pooling.rows * pooling.height * pooling.width;
    const int top = pooling.first_row + int(i / pooling.columns % pooling.rows) * pooling.stride;
    const int left = pooling.first_column + int(i % pooling.columns) * pooling.stride;
    Unit best{0, -1};
    for (int y = max(0, top); y < min(pooling.height, top + pooling.pool_width); ++y)
        for (int x = max(0, left); x < min(pooling.width, left + pooling.pool_width); ++x) {
            const REAL value = map[y * pooling.width + x];
            if (best.position < 0 || value > best.value) best = Unit{value, y * pooling.width + x};
        }
    return best;
}

// maps (n_maps, height, width) -> pooled, argmax (n_maps, rows, columns).
extern "C" __global__ void max_pool(const REAL* maps, int height, int width, int rows, int columns,
                                    int pool_width, int stride, int first_row, int first_column,
                                    REAL* pooled, int* argmax, Index size) {
    const Pooling pooling{height, width, rows, columns, pool_width,
                          stride, first_row, first_column};
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const Unit best = largest_of_window(maps, pooling, i);
        pooled[i] = best.value;
        argmax[i] = best.position;
    }
}

// The same after ReLU, without positions.
extern "C" __global__ void max_pool_rectified(const REAL* maps, int height, int width, int rows,
                                              int columns, int pool_width, int stride,
                                              int first_row, int first_column, REAL* pooled,
                                              Index size) {
    const Pooling pooling{height, width, rows, columns, pool_width,
                          stride, first_row, first_column};
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const REAL largest = largest_of_window(maps, pooling, i).value;
        pooled[i] = largest > 0 ? largest : REAL(0);
    }
}

// maps (n, n_maps, n_positions) <- factors (n, n_positions) * maps + bias (n_maps), in place.
extern "C" __global__ void scale(REAL* maps, const REAL* factors, const REAL* bias, int n_maps,
                                 int n_positions, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const Index map = i / n_positions;
        const REAL factor = factors[map / n_maps * n_positions + i % n_positions];
        maps[i] = factor * maps[i] + bias[map % n_maps];
    }
}

// d_pooled, argmax (n_maps, n_windows) -> d_maps (n_maps, n_positions).
extern "C" __global__ void max_pool_backward(const REAL* d_pooled, const int* argmax,
                                             int n_windows, int n_positions, REAL* d_maps,
                                             Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const Index map = i / n_positions;
        REAL total = 0;
        for (int window = 0; window < n_windows; ++window)
            if (argmax[map * n_windows + window] == i % n_positions)
                total += d_pooled[map * n_windows + window];
        d_maps[i] = total;
    }
}
