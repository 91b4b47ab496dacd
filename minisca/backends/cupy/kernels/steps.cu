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
// (n_parts) / divisor; count <- count + 1; rows (batch) and own_rates (n_rates) <- those of step
// `count`, unless it is the last of order (n_steps, batch) and rates (n_steps, n_rates). One block.
extern "C" __global__ void next_step(const double* parts, int n_parts, double divisor,
                                     double* losses, const Index* order, int batch,
                                     const REAL* rates, int n_rates, int n_steps, Index* count,
                                     Index* rows, REAL* own_rates) {
    const Index done = *count;
    const double sum = sum_of_parts(parts, done < 0 ? 0 : n_parts);
    __syncthreads();  // all have read the count
    if (threadIdx.x == 0) {
        if (done >= 0) losses[done] = sum / divisor;
        *count = done + 1;
    }
    if (done + 1 >= n_steps) return;
    for (int i = threadIdx.x; i < batch; i += blockDim.x) rows[i] = order[(done + 1) * batch + i];
    for (int i = threadIdx.x; i < n_rates; i += blockDim.x)
        own_rates[i] = rates[(done + 1) * n_rates + i];
}
