// The sparse half of a training step: what the survivors of a code paste, in which order their
// gradients are added, and these gradients. A survivor is a slot with a value above 0.

#include "common.cuh"

// Decoder -----------------------------------------------------------------------------------------

// The linear decoder of a code: every survivor pastes its filter, times its value, around its
// position.
//
// A block has a tile of one channel of one image. Each of its warps has a copy of the tile in
// shared memory and pastes the filters of its share of the slots into it, one after the other: the
// lanes read a filter side by side and add to as many different pixels, so nothing collides, and
// the warps do not wait for one another. At the end the copies are added in order. Shares and tiles
// depend on the sizes alone.
//
// A warp would spend its time waiting for global memory, so it reads ahead: where to paste, for 32
// slots at once, a lane each; weights, for kAhead slots at once.

constexpr int kAhead = 4;

// A slot to be pasted: the first pixel of its filter in the tile (outside of it, perhaps).
struct Paste {
    REAL value;  // 0: nothing to paste
    int map, y, x;
};

__device__ inline Paste of_lane(const Paste& mine, int lane) {
    return Paste{__shfl_sync(kAllLanes, mine.value, lane), __shfl_sync(kAllLanes, mine.map, lane),
                 __shfl_sync(kAllLanes, mine.y, lane), __shfl_sync(kAllLanes, mine.x, lane)};
}

// values, positions, maps (n, n_slots), filters (m, c, k, k), bias (c) -> images (n, c, h, w)
extern "C" __global__ void decode(const REAL* values, const int* positions, const int* maps,
                                  const REAL* filters, const REAL* bias, int n_slots, int channels,
                                  int height, int width, int k, int tile_height, int tile_width,
                                  REAL* images) {
    extern __shared__ REAL tiles[];  // one a warp
    const int tile_columns = (width + tile_width - 1) / tile_width;
    const int tile_rows = (height + tile_height - 1) / tile_height;
    const int top = int(blockIdx.x / tile_columns % tile_rows) * tile_height;
    const int left = int(blockIdx.x % tile_columns) * tile_width;
    const int channel = int(blockIdx.x / tile_columns / tile_rows % channels);
    const Index image = blockIdx.x / tile_columns / tile_rows / channels;

    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int n_warps = blockDim.x / kWarp, n_pixels = tile_height * tile_width;
    REAL* own = tiles + warp * n_pixels;
    for (int i = lane; i < n_pixels; i += kWarp) own[i] = 0;
    __syncwarp();

    const int share = (n_slots + n_warps - 1) / n_warps;
    const int end = min(n_slots, (warp + 1) * share);
    for (int first = warp * share; first < end; first += kWarp) {
        Paste mine{0, 0, 0, 0};
        if (first + lane < end) {
            const Index slot = image * n_slots + first + lane;
            mine = Paste{values[slot], maps[slot], positions[slot] / width - k / 2 - top,
                         positions[slot] % width - k / 2 - left};
        }
        for (int ahead = 0; ahead < min(kWarp, end - first); ahead += kAhead) {
            Paste pastes[kAhead];
            #pragma unroll
            for (int j = 0; j < kAhead; ++j) pastes[j] = of_lane(mine, ahead + j);
            for (int tap = lane; tap - lane < k * k; tap += kWarp) {
                const int dy = tap / k, dx = tap % k;
                REAL added[kAhead];
                #pragma unroll
                for (int j = 0; j < kAhead; ++j) {
                    const Index filter = (Index(pastes[j].map) * channels + channel) * k * k;
                    added[j] = 0;
                    if (pastes[j].value > 0 && tap < k * k)
                        added[j] = pastes[j].value * filters[filter + tap];
                }
                #pragma unroll
                for (int j = 0; j < kAhead; ++j) {
                    const int y = pastes[j].y + dy, x = pastes[j].x + dx;
                    if (tap < k * k && 0 <= y && y < tile_height && 0 <= x && x < tile_width)
                        own[y * tile_width + x] += added[j];
                    __syncwarp();
                }
            }
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < n_pixels; i += blockDim.x) {
        const int y = top + i / tile_width, x = left + i % tile_width;
        if (y >= height || x >= width) continue;
        REAL total = bias[channel];
        for (int w = 0; w < n_warps; ++w) total += tiles[w * n_pixels + i];
        images[((image * channels + channel) * height + y) * width + x] = total;
    }
}

// Order -------------------------------------------------------------------------------------------

// maps (n, n_slots): n_active slots a map, map by map.
extern "C" __global__ void name_maps(int n_slots, int n_active, int* maps, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        maps[i] = int(i % n_slots) / n_active;
}

// The survivors of a code in the order in which their gradients are added: map by map, within a
// map by image, within an image by slot.
//
//   entries (n * n_slots)   an entry is image * n_slots + slot; what is behind the last is not set
//   offsets (m * n + 1)     where the entries of map i's survivors in image j begin, at i * n + j
//
// A counting sort: count, sum up, put in place. Counts are whole numbers, so that the order in
// which atomics add them does not matter; an entry's place among its equals is found by counting
// those before it.

// One slot a map: no need to sort, silent slots are listed as well. size = m * n.
extern "C" __global__ void list_columns(int n, int n_slots, Index* entries, Index* offsets,
                                        Index size) {
    for (Index i = first_element(); i <= size; i += n_threads_of_grid()) {
        offsets[i] = i;
        if (i < size) entries[i] = i % n * n_slots + i / n;
    }
}

// counts (m * n), 0 before. One thread a slot; size = n * n_slots.
extern "C" __global__ void count_entries(const REAL* values, const int* maps, int n, int n_slots,
                                         int* counts, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        if (values[i] > 0) atomicAdd(counts + Index(maps[i]) * n + i / n_slots, 1);
}

// offsets[i] <- the sum of the counts before i, for i = 0 to n_counts. One block; a thread sums a
// run of them, then knows where its run starts.
extern "C" __global__ void sum_up(const int* counts, Index n_counts, Index* offsets) {
    __shared__ Index sums[1024];
    const Index share = (n_counts + blockDim.x - 1) / blockDim.x;
    const Index first = min(n_counts, threadIdx.x * share), end = min(n_counts, first + share);
    Index total = 0;
    for (Index i = first; i < end; ++i) total += counts[i];
    sums[threadIdx.x] = total;
    __syncthreads();
    Index offset = 0;
    for (int thread = 0; thread < int(threadIdx.x); ++thread) offset += sums[thread];
    for (Index i = first; i < end; ++i) {
        offsets[i] = offset;
        offset += counts[i];
    }
    if (threadIdx.x == blockDim.x - 1) offsets[n_counts] = offset;
}

// One thread a slot; size = n * n_slots.
extern "C" __global__ void list_entries(const REAL* values, const int* maps, const Index* offsets,
                                        int n, int n_slots, Index* entries, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        if (!(values[i] > 0)) continue;
        const Index image = i / n_slots;
        int before = 0;
        for (Index other = image * n_slots; other < i; ++other)
            before += maps[other] == maps[i] && values[other] > 0;
        entries[offsets[Index(maps[i]) * n + image] + before] = i;
    }
}

// Gradients ---------------------------------------------------------------------------------------

// The gradients of a code, through its survivors alone (paper section 2.1, step 3): with e_p and
// x_p the patches around a survivor's position, delta = 2 <W, e_p>, dW += 2 z e_p, dP += delta x_p.
//
// The survivors are listed map by map (see above). First each entry's delta is found by a warp:
// its lanes read filter and patch side by side, and neighbouring warps have the same filter, which
// stays in cache. Then a thread owns a tap of a map and goes through the map's entries in their
// order: nothing collides. So that few maps fill the device as well, the images are cut into
// pieces, whose sums are added in order afterwards (sums.cu).

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
