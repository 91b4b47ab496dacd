// Between two training steps: the loss of the one that is done, and what the next one goes by.

#include "common.cuh"

// The sum of parts (n) over the block, in an order that depends on n and the block alone.
template <class T>
__device__ inline T sum_of_parts(const T* parts, int n) {
    T total = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) total += parts[i];
    return block_sum(total);
}

// total (1) <- the sum of parts (n) / divisor. One block.
extern "C" __global__ void add_up(const REAL* parts, int n, REAL divisor, REAL* total) {
    const REAL sum = sum_of_parts(parts, n);
    if (threadIdx.x == 0) *total = sum / divisor;
}

// count (1): the step that is done, -1 before the first. losses[count] <- the sum of parts
// (n_parts) / divisor; count <- count + 1. Then, unless that was the last of order (n_steps, batch)
// and rates (n_steps, n_rates): own_rates (n_rates) <- the step's, own_items (batch, item_size) <-
// those of items (n, item_size) in its rows; size = batch * item_size. ticket (1) is 0.
extern "C" __global__ void next_step(const double* parts, int n_parts, double divisor,
                                     double* losses, const Index* order, int batch,
                                     const REAL* rates, int n_rates, int n_steps,
                                     const REAL* items, Index item_size, int* ticket, int* count,
                                     REAL* own_items, REAL* own_rates, Index size) {
    const int done = *count, now = done + 1;
    if (blockIdx.x == 0 && done >= 0) {
        const double sum = sum_of_parts(parts, n_parts);
        if (threadIdx.x == 0) losses[done] = sum / divisor;
    }
    if (now < n_steps) {
        const Index* rows = order + Index(now) * batch;
        for (Index i = first_element(); i < size; i += n_threads_of_grid())
            own_items[i] = items[rows[i / item_size] * item_size + i % item_size];
        for (Index i = first_element(); i < n_rates; i += n_threads_of_grid())
            own_rates[i] = rates[Index(now) * n_rates + i];
    }
    // all have read the count
    if (is_last_block(ticket, gridDim.x) && threadIdx.x == 0) atomicAdd(count, 1);
}
