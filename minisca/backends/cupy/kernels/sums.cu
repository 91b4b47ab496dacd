// Sums of many numbers, in two steps: pieces that depend on the sizes alone, a block each, and the
// pieces in a fixed order, whichever block comes last.

#include "common.cuh"
#include "pieces.cuh"

// sums (channels) <- factor * the sum of every channel of images (n, channels, n_positions). A block
// a piece of the images and a channel; parts (channels, pieces) are theirs, tickets (channels) are 0.
extern "C" __global__ void sum_channels(const REAL* images, int n, int images_of_piece, int pieces,
                                        int channels, int n_positions, REAL factor, REAL* parts,
                                        int* tickets, REAL* sums) {
    const int channel = blockIdx.x % channels, piece = blockIdx.x / channels;
    const Index first = Index(piece) * images_of_piece;
    const int n_here = n - first < images_of_piece ? int(n - first) : images_of_piece;
    REAL total = 0;
    for (int image = 0; image < n_here; ++image) {
        const REAL* plane = images + ((first + image) * channels + channel) * n_positions;
        for (int i = threadIdx.x; i < n_positions; i += blockDim.x) total += plane[i];
    }
    total = block_sum(total);
    REAL* own = parts + Index(channel) * pieces;
    if (threadIdx.x == 0) own[piece] = total;
    if (!is_last_block(tickets + channel, pieces)) return;
    total = 0;
    for (int i = threadIdx.x; i < pieces; i += blockDim.x) total += own[i];
    total = block_sum(total);
    if (threadIdx.x == 0) sums[channel] = factor * total;
}

// totals (size) <- factor * the sum of parts (pieces, size) over the pieces. A thread a number.
extern "C" __global__ void sum_pieces(const REAL* parts, int pieces, REAL factor, REAL* totals,
                                      Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        totals[i] = factor * sum_of_pieces(parts, pieces, size, i);
}

// sums (pieces): the squares of every pieces-th run of blockDim.x numbers, in double.
extern "C" __global__ void square_and_sum(const REAL* array, Index size, double* sums) {
    double total = 0;
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        total += double(array[i]) * double(array[i]);
    total = block_sum(total);
    if (threadIdx.x == 0) sums[blockIdx.x] = total;
}
