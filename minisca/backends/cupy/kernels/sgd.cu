// Steps of gradient descent (momentum.cuh), of up to four parameters in one launch: a layer's are
// small, and a launch costs more than they do.

#include "common.cuh"
#include "momentum.cuh"
#include "pieces.cuh"

#ifdef RATES_ON_DEVICE
typedef const REAL* Rate;
__device__ inline REAL number(Rate rate) { return *rate; }
#else
typedef REAL Rate;
__device__ inline REAL number(Rate rate) { return rate; }
#endif

struct Parameter {
    REAL* values;
    const REAL* gradient;
    REAL* velocity;
    Rate rate;
    Index end;

    __device__ void update(Index i, REAL gradient_of_i, REAL momentum) const {
        descend(values[i], velocity[i], gradient_of_i, number(rate), momentum);
    }
};

// The numbers of four parameters as one row, in which each ends before its `end`.
// gradient_of(parameter, i): of its number i.
template <class GradientOf>
__device__ void update_all(const Parameter (&parameters)[4], REAL momentum, Index size,
                           GradientOf gradient_of) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        Index first = 0;
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const Parameter& own = parameters[j];
            if (i < own.end) {
                own.update(i - first, gradient_of(own, i - first), momentum);
                break;
            }
            first = own.end;
        }
    }
}

extern "C" __global__ void sgd_momentum(
    REAL* values_0, const REAL* gradient_0, REAL* velocity_0, Rate rate_0, Index end_0,
    REAL* values_1, const REAL* gradient_1, REAL* velocity_1, Rate rate_1, Index end_1,
    REAL* values_2, const REAL* gradient_2, REAL* velocity_2, Rate rate_2, Index end_2,
    REAL* values_3, const REAL* gradient_3, REAL* velocity_3, Rate rate_3, Index end_3,
    REAL momentum, Index size) {
    const Parameter parameters[] = {{values_0, gradient_0, velocity_0, rate_0, end_0},
                                    {values_1, gradient_1, velocity_1, rate_1, end_1},
                                    {values_2, gradient_2, velocity_2, rate_2, end_2},
                                    {values_3, gradient_3, velocity_3, rate_3, end_3}};
    update_all(parameters, momentum, size,
               [](const Parameter& own, Index i) { return own.gradient[i]; });
}

// The same, where gradients come in `pieces` that are `stride` numbers apart.
extern "C" __global__ void sgd_momentum_of_pieces(
    REAL* values_0, const REAL* gradient_0, REAL* velocity_0, Rate rate_0, Index end_0,
    REAL* values_1, const REAL* gradient_1, REAL* velocity_1, Rate rate_1, Index end_1,
    REAL* values_2, const REAL* gradient_2, REAL* velocity_2, Rate rate_2, Index end_2,
    REAL* values_3, const REAL* gradient_3, REAL* velocity_3, Rate rate_3, Index end_3,
    int pieces, Index stride, REAL momentum, Index size) {
    const Parameter parameters[] = {{values_0, gradient_0, velocity_0, rate_0, end_0},
                                    {values_1, gradient_1, velocity_1, rate_1, end_1},
                                    {values_2, gradient_2, velocity_2, rate_2, end_2},
                                    {values_3, gradient_3, velocity_3, rate_3, end_3}};
    update_all(parameters, momentum, size, [=](const Parameter& own, Index i) {
        return sum_of_pieces(own.gradient, pieces, stride, i);
    });
}
