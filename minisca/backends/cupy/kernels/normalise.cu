// The projection that may follow a step: every filter divided by its Euclidean norm.

#include "common.cuh"

// A block a filter of `size` weights. The largest is taken out first: no square over- or underflows.
extern "C" __global__ void normalise_filters(REAL* filters, int size) {
    REAL* weights = filters + Index(blockIdx.x) * size;
    REAL largest = 0;
    for (int i = threadIdx.x; i < size; i += blockDim.x) largest = max(largest, abs(weights[i]));
    largest = block_largest(Unit{largest, 0}).value;
    if (largest == 0) return;  // the whole block does
    REAL squares = 0;
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
        const REAL weight = weights[i] / largest;
        squares += weight * weight;
    }
    const REAL norm = sqrt(block_sum(squares));
    for (int i = threadIdx.x; i < size; i += blockDim.x) weights[i] = weights[i] / largest / norm;
}
