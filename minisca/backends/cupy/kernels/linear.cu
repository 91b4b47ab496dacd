// Linear classifiers: products of many rows of features with few classes, and their transpose.
//
// The features, far larger than all else, are read once for all classes of a group (again for every
// further group), neighbouring lanes neighbouring features. Features are REAL or, with HALVES,
// float16. A sum is a lane's, or a piece's, in the order of the features, or rows; then the lanes',
// or the pieces', in a fixed order. Unrolled loops keep several reads on their way.

#include "common.cuh"
#ifdef HALVES
#include "tensor.cuh"
typedef unsigned short Feature;
__device__ inline REAL number(Feature feature) { return from_half(feature); }
#else
typedef REAL Feature;
__device__ inline REAL number(Feature feature) { return feature; }
#endif

constexpr int kMost = 128;    // threads of a block
constexpr int kClasses = 16;  // classes of a group
constexpr int kRows = 4;      // rows of a warp
constexpr int kSpan = 128;    // features whose weights are in shared memory
constexpr int kColumns = 4;   // features of a thread
constexpr int kBatch = 64;    // rows whose gradients are in shared memory

// scores (n, n_classes) <- features (n, n_features) times weights (n_classes, n_features), plus
// intercept. A warp has kRows rows; a block one of n_groups groups of classes.
extern "C" __global__ void __launch_bounds__(kMost)
linear(const Feature* features, const REAL* weights, const REAL* intercept, Index n, int n_features,
       int n_classes, int n_groups, REAL* scores) {
    __shared__ REAL staged[kClasses][kSpan];
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, n_warps = blockDim.x / kWarp;
    const int first_class = int(blockIdx.x % n_groups) * kClasses;
    const Index first_row = (Index(blockIdx.x / n_groups) * n_warps + warp) * kRows;
    REAL sums[kRows][kClasses] = {};
    for (int start = 0; start < n_features; start += kSpan) {
        __syncthreads();  // all have multiplied by the weights before
        for (int i = threadIdx.x; i < kClasses * kSpan; i += blockDim.x) {
            const int c = first_class + i / kSpan, at = start + i % kSpan;
            const bool exists = c < n_classes && at < n_features;
            staged[i / kSpan][i % kSpan] = exists ? weights[Index(c) * n_features + at] : 0;
        }
        __syncthreads();
        #pragma unroll 2
        for (int at = lane; at < kSpan; at += kWarp) {
            REAL own[kRows];
            #pragma unroll
            for (int r = 0; r < kRows; ++r) {
                const bool exists = first_row + r < n && start + at < n_features;
                const Index place = (first_row + r) * n_features + start + at;
                own[r] = exists ? number(features[place]) : REAL(0);
            }
            #pragma unroll
            for (int c = 0; c < kClasses; ++c)
                #pragma unroll
                for (int r = 0; r < kRows; ++r) sums[r][c] += own[r] * staged[c][at];
        }
    }
    #pragma unroll
    for (int c = 0; c < kClasses; ++c) {
        if (first_class + c >= n_classes) continue;
        #pragma unroll
        for (int r = 0; r < kRows; ++r) {
            const REAL score = warp_sum(sums[r][c]);
            if (lane == 0 && first_row + r < n)
                scores[(first_row + r) * n_classes + first_class + c] =
                    score + intercept[first_class + c];
        }
    }
}

// parts (pieces, n_classes, n_features): of every piece of the rows, d_scores (n, n_classes)
// transposed times features (n, n_features). A block a piece, a group of classes and kColumns
// features a thread, n_blocks blocks a piece.
extern "C" __global__ void __launch_bounds__(kMost)
multiply_rows(const Feature* features, const REAL* d_scores, Index n, int n_features, int n_classes,
              int n_groups, int n_blocks, int rows_of_piece, REAL* parts) {
    __shared__ REAL staged[kBatch][kClasses];
    const int piece = blockIdx.x / n_blocks, block = blockIdx.x % n_blocks;
    const int first_class = block % n_groups * kClasses;
    const int first = block / n_groups * int(blockDim.x) * kColumns + int(threadIdx.x);
    const Index start = Index(piece) * rows_of_piece;
    const Index end = start + rows_of_piece < n ? start + rows_of_piece : n;
    REAL sums[kClasses][kColumns] = {};
    for (Index row = start; row < end; row += kBatch) {
        const int here = end - row < kBatch ? int(end - row) : kBatch;
        __syncthreads();  // all have multiplied by the gradients before
        for (int i = threadIdx.x; i < here * kClasses; i += blockDim.x) {
            const int c = first_class + i % kClasses;
            const bool exists = c < n_classes;
            staged[i / kClasses][i % kClasses] =
                exists ? d_scores[(row + i / kClasses) * n_classes + c] : 0;
        }
        __syncthreads();
        #pragma unroll 2
        for (int r = 0; r < here; ++r) {
            const Feature* from = features + (row + r) * n_features;
            REAL own[kColumns];
            #pragma unroll
            for (int j = 0; j < kColumns; ++j) {
                const int at = first + j * int(blockDim.x);
                own[j] = at < n_features ? number(from[at]) : REAL(0);
            }
            #pragma unroll
            for (int c = 0; c < kClasses; ++c)
                #pragma unroll
                for (int j = 0; j < kColumns; ++j) sums[c][j] += staged[r][c] * own[j];
        }
    }
    #pragma unroll
    for (int c = 0; c < kClasses; ++c)
        #pragma unroll
        for (int j = 0; j < kColumns; ++j) {
            const int at = first + j * int(blockDim.x);
            if (first_class + c < n_classes && at < n_features)
                parts[(Index(piece) * n_classes + first_class + c) * n_features + at] = sums[c][j];
        }
}

// squares (n): in double, the sums of the squares of features (n, n_features). A warp a row.
extern "C" __global__ void __launch_bounds__(kMost)
square_rows(const Feature* features, int n_features, double* squares, Index n) {
    const int lane = threadIdx.x % kWarp;
    const Index row = first_element() / kWarp;
    if (row >= n) return;  // the whole warp
    double total = 0;
    for (int at = lane; at < n_features; at += kWarp) {
        const double own = number(features[row * n_features + at]);
        total += own * own;
    }
    total = warp_sum(total);
    if (lane == 0) squares[row] = total;
}
