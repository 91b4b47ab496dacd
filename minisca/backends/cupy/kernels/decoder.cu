// The linear decoder of a code: every survivor pastes its filter, times its value, around its
// place.
//
// A block has a tile of one channel of one image. Each of its warps has a copy of the tile in
// shared memory and pastes the filters of its share of the slots into it, one after the other: the
// lanes read a filter side by side and add to as many different pixels, so nothing collides, and
// the warps do not wait for one another. At the end the copies are added in order. Shares and tiles
// depend on the sizes alone.
//
// A warp would spend its time waiting for global memory, so it reads ahead: where to paste, for 32
// slots at once, a lane each; weights, for kAhead slots at once.

#include "common.cuh"

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
