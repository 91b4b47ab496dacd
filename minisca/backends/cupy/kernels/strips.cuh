// A row of a filter slides over a row of pixels: STRIP neighbouring units of some maps at once.
//
// STRIP + FILTER_WIDTH - 1 pixels are read into registers, and each weight once, the same for the
// whole warp: one read, wide, serves all.
//
// Macros: STRIP, FILTER_WIDTH.

#include "common.cuh"

constexpr int kTaps = FILTER_WIDTH * FILTER_WIDTH;
constexpr int kMargin = FILTER_WIDTH / 2;

// sums <- a map's bias, for n_here maps; zeros for the others.
template <int kMaps>
__device__ inline void start_strip(const REAL* bias, int n_here, REAL (&sums)[kMaps][STRIP]) {
    #pragma unroll
    for (int j = 0; j < kMaps; ++j) {
        const REAL start = j < n_here ? bias[j] : REAL(0);
        #pragma unroll
        for (int p = 0; p < STRIP; ++p) sums[j][p] = start;
    }
}

// sums += the row's products. The weights of a tap lie map by map, those of the next one tap_pitch
// further; weights then points at the next row's.
template <int kMaps>
__device__ inline void add_row(const REAL* pixels, const REAL*& weights, int tap_pitch,
                               REAL (&sums)[kMaps][STRIP]) {
    static_assert(kMaps % kPack == 0, "a thread's weights are read in whole packs");
    REAL seen[STRIP + FILTER_WIDTH - 1];
    #pragma unroll
    for (int i = 0; i < STRIP - 1; ++i) seen[i] = pixels[i];
    #pragma unroll
    for (int dx = 0; dx < FILTER_WIDTH; ++dx) {
        seen[dx + STRIP - 1] = pixels[dx + STRIP - 1];
        REAL own[kMaps];
        #pragma unroll
        for (int j = 0; j < kMaps; j += kPack) {
            const Pack pack = *reinterpret_cast<const Pack*>(weights + j);
            #pragma unroll
            for (int i = 0; i < kPack; ++i) own[j + i] = pack.lane[i];
        }
        #pragma unroll
        for (int j = 0; j < kMaps; ++j)
            #pragma unroll
            for (int p = 0; p < STRIP; ++p) sums[j][p] += own[j] * seen[dx + p];
        weights += tap_pitch;
    }
}
