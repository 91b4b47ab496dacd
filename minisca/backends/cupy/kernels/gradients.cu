// The gradients of a code, through its survivors alone (paper section 2.1, step 3): with e_p and
// x_p the patches around a survivor's place, delta = 2 <W, e_p>, dW += 2 z e_p, dP += delta x_p.
//
// The survivors are listed map by map (entries.cu). First each entry's delta is found by a warp:
// its lanes read filter and patch side by side, and neighbouring warps have the same filter, which
// stays in cache. Then a thread owns a tap of a map and goes through the map's entries in their
// order: nothing collides. So that few maps fill the device as well, the images are cut into
// pieces, whose sums are added in order afterwards (sums.cu).

#include "common.cuh"

// deltas (n * n_slots), entry by entry. A warp an entry.
extern "C" __global__ void correlate_errors(const REAL* error, const REAL* values,
                                            const int* positions, const int* maps,
                                            const Index* entries, const Index* n_entries,
                                            const REAL* filters, int n_slots, int channels,
                                            int height, int width, int k, REAL* deltas) {
    const Index entry = first_element() / kWarp;
    if (entry >= *n_entries) return;
    const Index at = entries[entry];
    REAL total = 0;
    if (values[at] > 0) {
        const int top = positions[at] / width - k / 2, left = positions[at] % width - k / 2;
        const REAL* filter = filters + Index(maps[at]) * channels * k * k;
        const REAL* image = error + at / n_slots * channels * height * width;
        for (int tap = threadIdx.x % kWarp; tap < k * k; tap += kWarp) {
            const int y = top + tap / k, x = left + tap % k;
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            #pragma unroll 4
            for (int channel = 0; channel < channels; ++channel)
                total += filter[channel * k * k + tap] *
                         image[Index(channel) * height * width + y * width + x];
        }
    }
    total = warp_sum(total);
    if (threadIdx.x % kWarp == 0) deltas[entry] = 2 * total;
}

// gradients (pieces, size): d_encoder (m, c, k, k), d_decoder (m, c, k, k), d_bias (m) of a piece
// of the images, one behind the other. A block has blockDim.x taps of a map, for a piece; the
// entries pass through shared memory.
extern "C" __global__ void __launch_bounds__(256, 4)
add_patches(const REAL* x, const REAL* error, const REAL* values, const int* positions,
            const Index* entries, const Index* offsets, const REAL* deltas, int n,
            int images_of_piece, int n_slots, int n_maps, int channels, int height, int width,
            int k, REAL* gradients) {
    constexpr int kStaged = 64;
    __shared__ REAL twice_values[kStaged], own_deltas[kStaged];
    __shared__ Index images[kStaged];
    __shared__ int rows[kStaged], columns[kStaged];
    const int n_taps = channels * k * k;
    const int groups = (n_taps + blockDim.x - 1) / blockDim.x;
    const int tap = int(blockIdx.x % groups * blockDim.x + threadIdx.x);
    const int map = int(blockIdx.x / groups % n_maps), piece = int(blockIdx.x / groups / n_maps);
    const int dy = tap % (k * k) / k - k / 2, dx = tap % k - k / 2;
    const Index channel_offset = Index(tap / (k * k)) * height * width;
    const Index of_map = Index(map) * n;
    const Index first = offsets[of_map + min(Index(n), Index(piece) * images_of_piece)];
    const Index end = offsets[of_map + min(Index(n), Index(piece + 1) * images_of_piece)];

    REAL encoder_total = 0, decoder_total = 0, bias_total = 0;
    for (Index start = first; start < end; start += kStaged) {
        const int n_here = int(min(Index(kStaged), end - start));
        __syncthreads();  // all have done with the entries before
        for (int i = threadIdx.x; i < n_here; i += blockDim.x) {
            const Index at = entries[start + i];
            twice_values[i] = 2 * values[at];
            own_deltas[i] = deltas[start + i];
            images[i] = at / n_slots * channels * height * width;
            rows[i] = positions[at] / width;
            columns[i] = positions[at] % width;
        }
        __syncthreads();
        #pragma unroll 4
        for (int i = 0; i < n_here; ++i) {
            bias_total += own_deltas[i];
            const int y = rows[i] + dy, column = columns[i] + dx;
            if (tap >= n_taps || y < 0 || y >= height || column < 0 || column >= width) continue;
            const Index pixel = images[i] + channel_offset + y * width + column;
            decoder_total += twice_values[i] * error[pixel];
            encoder_total += own_deltas[i] * x[pixel];
        }
    }
    const Index n_weights = Index(n_maps) * n_taps, own_tap = Index(map) * n_taps + tap;
    REAL* own = gradients + piece * (2 * n_weights + n_maps);
    if (tap < n_taps) {
        own[own_tap] = encoder_total;
        own[n_weights + own_tap] = decoder_total;
    }
    if (tap == 0) own[2 * n_weights + map] = bias_total;
}
