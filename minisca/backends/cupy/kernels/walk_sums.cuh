// What a walk (walk.cuh) sums up across a warp and across a block.

// The sums over the warp of each of `n` numbers (a power of two): lane i has that of number i % n.
template <int n>
__device__ inline REAL warp_sums(REAL (&numbers)[n]) {
    const int lane = threadIdx.x % kWarp;
    #pragma unroll
    for (int away = n / 2; away > 0; away /= 2)
        #pragma unroll
        for (int i = 0; i < away; ++i) {
            const bool upper = lane & away;
            const REAL given = upper ? numbers[i] : numbers[i + away];
            const REAL kept = upper ? numbers[i + away] : numbers[i];
            numbers[i] = kept + __shfl_xor_sync(kAllLanes, given, away);
        }
    REAL total = numbers[0];
    #pragma unroll
    for (int away = n; away < kWarp; away *= 2)
        total += __shfl_xor_sync(kAllLanes, total, away);
    return total;
}

// `before`, and twice the images of a slice's channel c, in thread c of n_channels. In `staged` lie
// the images' own sums; it has a place for each.
__device__ inline REAL sum_images(const Pixel* slice, int n_images, int n_pixels, int n_channels,
                                  REAL before, Pixel* staged) {
    const int lane = threadIdx.x % kWarp, n_warps = blockDim.x / kWarp;
    for (int image = threadIdx.x / kWarp; image < n_images; image += n_warps) {
        Pixel total{};
        for (int i = lane; i < n_pixels; i += kWarp)
            #pragma unroll
            for (int c = 0; c < kChannels; ++c) total.of[c] += slice[image * n_pixels + i].of[c];
        #pragma unroll
        for (int c = 0; c < kChannels; ++c) total.of[c] = warp_sum(total.of[c]);
        if (lane == 0) staged[image] = total;
    }
    __syncthreads();
    REAL sum = before;
    if (int(threadIdx.x) < n_channels)
        #pragma unroll 8
        for (int image = 0; image < n_images; ++image) sum += 2 * staged[image].of[threadIdx.x];
    return sum;
}
