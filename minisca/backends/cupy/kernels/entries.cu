// What is done entry by entry, before the walk through the error and after it (patches.cu).

#include "entries.cuh"
#include "momentum.cuh"

// packed (size) Entry, of all entries of a code.
extern "C" __global__ void pack_entries(const REAL* values, const int* positions,
                                        const Index* entries, const Index* offsets, int is_whole,
                                        int n, int n_slots, int n_maps, int channels, int height,
                                        int width, int k, int pitch, double* packed, Index size) {
    const Layout layout{channels, height, width, k, pitch};
    const Code code{values, positions, entries, offsets, is_whole, n, n_slots};
    const Index end = min(size, code.n_entries(n_maps));
    for (Index i = first_element(); i < end; i += n_threads_of_grid())
        reinterpret_cast<Entry*>(packed)[i] =
            code.entry(i, int(i / n), int(i % n), 0, layout);
}

// packed (size) Entry: delta <- 2 * the sum of its partials (slices, size). Returns what these sum
// up to, of a map's entries of a piece, for the whole block.
__device__ inline REAL sum_deltas_of(int map, int piece, const REAL* partials, int n_slices,
                                     const Code& code, int images_of_piece, double* packed,
                                     Index size) {
    const int first_image = piece * images_of_piece;
    const Index first = code.first_entry(map, first_image);
    const Index end = code.first_entry(map, min(code.n, first_image + images_of_piece));
    REAL sum = 0;
    for (Index i = first + threadIdx.x; i < end; i += blockDim.x) {
        REAL total = 0;
        #pragma unroll 8
        for (int slice = 0; slice < n_slices; ++slice) total += partials[slice * size + i];
        reinterpret_cast<Entry*>(packed)[i].delta = 2 * total;
        sum += 2 * total;
    }
    return block_sum(sum);
}

// d_bias: the sums of the deltas, for every map and piece, a block each; those of pieces are
// `stride` numbers apart.
extern "C" __global__ void sum_deltas(const REAL* partials, int n_slices, double* packed,
                                      const Index* offsets, int is_whole, int n,
                                      int images_of_piece, int n_maps, REAL* d_bias, Index stride,
                                      Index size) {
    const Code code{nullptr, nullptr, nullptr, offsets, is_whole, n, 0};
    const int map = blockIdx.x % n_maps, piece = blockIdx.x / n_maps;
    const REAL sum =
        sum_deltas_of(map, piece, partials, n_slices, code, images_of_piece, packed, size);
    if (threadIdx.x == 0) d_bias[piece * stride + map] = sum;
}

// As `sum_deltas` of a single piece, and a step of the bias (n_maps).
extern "C" __global__ void sum_deltas_and_update(const REAL* partials, int n_slices,
                                                 double* packed, const Index* offsets,
                                                 int is_whole, int n, int images_of_piece,
                                                 int n_maps, REAL* bias, REAL* velocity,
                                                 const REAL* rate, REAL momentum, Index size) {
    const Code code{nullptr, nullptr, nullptr, offsets, is_whole, n, 0};
    const int map = blockIdx.x;
    const REAL sum =
        sum_deltas_of(map, 0, partials, n_slices, code, images_of_piece, packed, size);
    if (threadIdx.x == 0) descend(bias[map], velocity[map], sum, *rate, momentum);
}
