// The arithmetic between the operations of a training step, one thread a number.

#include "common.cuh"

// error <- (x_hat - x) / divisor; sums (blocks): in double, the squares of x_hat - x in every
// blocks-th run of blockDim.x numbers.
extern "C" __global__ void subtract_and_sum(const REAL* x_hat, const REAL* x, REAL divisor,
                                            REAL* error, Index size, double* sums) {
    double total = 0;
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const REAL difference = x_hat[i] - x[i];
        total += double(difference) * double(difference);
        error[i] = difference / divisor;
    }
    total = block_sum(total);
    if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

extern "C" __global__ void scale(const REAL* array, REAL factor, REAL* product, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        product[i] = factor * array[i];
}

extern "C" __global__ void add(REAL* array, const REAL* other, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) array[i] += other[i];
}
