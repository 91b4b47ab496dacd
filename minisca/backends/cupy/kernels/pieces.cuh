// Sums that come in pieces, each `stride` numbers behind the one before.

// The sum over the pieces of their number i, in the pieces' order.
__device__ inline REAL sum_of_pieces(const REAL* parts, int pieces, Index stride, Index i) {
    REAL total = parts[i];
    #pragma unroll 4
    for (int piece = 1; piece < pieces; ++piece) total += parts[piece * stride + i];
    return total;
}
