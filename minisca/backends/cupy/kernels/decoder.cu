// The linear decoder of a code: every survivor pastes its filter, times its value, around its
// place.
//
// A block has a tile of one channel of one image, of TILE x TILE pixels at most. Each of its warps
// has a tile of its own in shared memory and pastes the filters of its share of the slots, one
// after the other: the lanes read a filter side by side and add to as many different pixels, so
// nothing collides; the warps do not wait for one another. At the end the warps' tiles are added
// in order. Shares and tiles depend on the sizes alone.

#include "common.cuh"

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
    for (int slot = warp * share; slot < end; ++slot) {
        const REAL value = values[image * n_slots + slot];
        if (!(value > 0)) continue;  // the same for all lanes
        const int position = positions[image * n_slots + slot];
        const Index map = maps[image * n_slots + slot];
        const REAL* filter = filters + (map * channels + channel) * k * k;
        const int first_y = position / width - k / 2 - top;
        const int first_x = position % width - k / 2 - left;
        for (int tap = lane; tap < k * k; tap += kWarp) {
            const int y = first_y + tap / k, x = first_x + tap % k;
            if (0 <= y && y < tile_height && 0 <= x && x < tile_width)
                own[y * tile_width + x] += value * filter[tap];
        }
        __syncwarp();
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
