// Rows of numbers, a warp each: their contrast normalised, and the centre that is nearest to them.

#include "common.cuh"

constexpr int kMost = 128;  // threads of a block

// normalised (n, size) <- rows (n, size), each less its mean, over its deviation plus epsilon.
extern "C" __global__ void __launch_bounds__(kMost)
normalise_rows(const REAL* rows, int size, double epsilon, REAL* normalised, Index n) {
    const int lane = threadIdx.x % kWarp;
    const Index row = first_element() / kWarp;
    if (row >= n) return;  // the whole warp
    const REAL* own = rows + row * size;
    double total = 0, squares = 0;
    for (int i = lane; i < size; i += kWarp) total += own[i];
    const double mean = warp_sum(total) / size;
    for (int i = lane; i < size; i += kWarp) squares += (own[i] - mean) * (own[i] - mean);
    const double divisor = sqrt(warp_sum(squares) / size) + epsilon;
    for (int i = lane; i < size; i += kWarp)
        normalised[row * size + i] = REAL((own[i] - mean) / divisor);
}

// labels (n) <- of every row of nearness (n, n_centres) the first of the largest; distances (n) <-
// the squares of points (n, size) less that one of centres (n_centres, size).
extern "C" __global__ void __launch_bounds__(kMost)
choose_nearest(const REAL* nearness, const REAL* points, const REAL* centres, int n_centres,
               int size, int* labels, REAL* distances, Index n) {
    const int lane = threadIdx.x % kWarp;
    const Index row = first_element() / kWarp;
    if (row >= n) return;  // the whole warp
    Unit best{nearness[row * n_centres], 0};
    for (int c = lane; c < n_centres; c += kWarp)
        best = larger(best, Unit{nearness[row * n_centres + c], c});
    const int chosen = warp_largest(best, kWarp).position;
    const REAL* centre = centres + Index(chosen) * size;
    REAL total = 0;
    for (int i = lane; i < size; i += kWarp) {
        const REAL difference = points[row * size + i] - centre[i];
        total += difference * difference;
    }
    total = warp_sum(total);
    if (lane == 0) labels[row] = chosen;
    if (lane == 0) distances[row] = total;
}
