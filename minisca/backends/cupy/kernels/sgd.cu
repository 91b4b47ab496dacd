// Stochastic gradient descent with classical momentum: v <- mu v - eta g, theta <- theta + v.

#include "common.cuh"

extern "C" __global__ void sgd_momentum(REAL* parameter, const REAL* gradient, REAL* velocity,
                                        REAL learning_rate, REAL momentum, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const REAL v = momentum * velocity[i] - learning_rate * gradient[i];
        velocity[i] = v;
        parameter[i] += v;
    }
}
