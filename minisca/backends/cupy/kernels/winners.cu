// What is computed unit by unit, or slot by slot, one thread each: ReLU, its derivative, winners
// put back at their positions, lifetime sparsity.

#include "common.cuh"

extern "C" __global__ void relu(const REAL* maps, REAL* activations, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        activations[i] = maps[i] <= 0 ? REAL(0) : maps[i];
}

extern "C" __global__ void relu_backward(const REAL* d_activations, const REAL* maps, REAL* d_maps,
                                         Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        d_maps[i] = maps[i] > 0 ? d_activations[i] : REAL(0);
}

// d_maps (rows, n_positions) <- d_values (rows) at positions (rows), 0 elsewhere.
extern "C" __global__ void put_back(const REAL* d_values, const int* positions, int n_positions,
                                    REAL* d_maps, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const Index row = i / n_positions;
        d_maps[i] = i % n_positions == positions[row] ? d_values[row] : REAL(0);
    }
}

// Of each slot's values over the n images, keep those that fewer than n_kept come before: by
// falling value, equal ones by image.
extern "C" __global__ void keep_over_batch(const REAL* values, int n, int n_slots, int n_kept,
                                           REAL* kept, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const int image = int(i / n_slots), slot = int(i % n_slots);
        const REAL value = values[i];
        int rank = 0;
        for (int other = 0; other < n; ++other) {
            const REAL rival = values[Index(other) * n_slots + slot];
            rank += rival > value || (rival == value && other < image);
        }
        kept[i] = rank < n_kept ? value : REAL(0);
    }
}
