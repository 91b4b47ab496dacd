// Same-padded convolution and its filter gradient as products of matrices, by tiles (product.cuh):
// for every shape, and the faster way where a filter has many taps.
//
//   convolve   maps (m x positions) = filters (m x taps) by patches (taps x positions)
//   correlate  d_filters (m x taps) = maps (m x images * positions) by patches (positions x taps)
//
// Nobody writes the patches down (k * k times the images): the tile is filled from the images.
// A block of `convolve` has kTileRows maps and kTileColumns positions of one image: it keeps the
// image's bounds simple, and where the tile holds all positions of the image the block knows the
// largest unit of each of its maps. `convolve_winners` stores just those; where an image has
// several tiles, `keep_largest` (selection.cu) chooses among the tiles' largest.
// `correlate` adds over images; so that there are enough blocks, the images are cut into pieces
// which are added in their order afterwards (sums.cu).

#include "common.cuh"
#include "product.cuh"

struct Patches {  // depth d of the product: a tap
    int taps, k;
    __device__ Depth operator()(int d) const {
        const int channel = d / taps, tap = d % taps;
        return Depth{0, channel, tap / k - k / 2, tap % k - k / 2};
    }
};

struct Positions {  // depth d of the product: a position of an image
    int n_positions, width, n_maps, channels;
    __device__ Depth operator()(int d) const {
        const int image = d / n_positions, position = d % n_positions;
        // an image is n_maps rows further on, one of which d itself has passed
        return Depth{image * (n_maps - 1), image * channels, position / width, position % width};
    }
};

struct Tile {  // which part of the maps a block of `convolve` has
    Index image;
    int first_map, first_position, number;
};

__device__ inline Tile tile_of_block(int n_maps, int n_positions) {
    const int tiles = (n_positions + kTileColumns - 1) / kTileColumns;
    const int groups = (n_maps + kTileRows - 1) / kTileRows;
    const int number = blockIdx.x % tiles;
    return Tile{Index(blockIdx.x) / tiles / groups, int(blockIdx.x / tiles % groups) * kTileRows,
                number * kTileColumns, number};
}

// sums <- the tile's pre-activations, bias included.
__device__ inline void convolve_tile(const REAL* x, const REAL* filters, const REAL* bias,
                                     int channels, int height, int width, int n_maps, int k,
                                     const Tile& tile, REAL (&sums)[ROWS][COLUMNS]) {
    __shared__ Column columns[kTileColumns];
    const int n_positions = height * width;
    for (int i = threadIdx.x; i < kTileColumns; i += kThreads) {
        const int position = tile.first_position + i;
        const int row = position < n_positions ? position / width : kOutside;
        columns[i] = Column{0, row, position % width};
    }
    const int own_map = tile.first_map + threadIdx.x / THREAD_COLUMNS * ROWS;
    #pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const REAL start = own_map + r < n_maps ? bias[own_map + r] : REAL(0);
        #pragma unroll
        for (int c = 0; c < COLUMNS; ++c) sums[r][c] = start;
    }
    const int depth = channels * k * k;
    const Product product{filters + Index(tile.first_map) * depth, depth, n_maps - tile.first_map,
                          x + tile.image * channels * n_positions, height, width, depth};
    multiply(product, columns, Patches{k * k, k}, sums);
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
convolve(const REAL* x, const REAL* filters, const REAL* bias, int channels, int height, int width,
         int n_maps, int k, REAL* maps) {
    const int n_positions = height * width;
    const Tile tile = tile_of_block(n_maps, n_positions);
    REAL sums[ROWS][COLUMNS];
    convolve_tile(x, filters, bias, channels, height, width, n_maps, k, tile, sums);
    const int own_map = tile.first_map + threadIdx.x / THREAD_COLUMNS * ROWS;
    const int own_position = tile.first_position + threadIdx.x % THREAD_COLUMNS;
    #pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        REAL* map = maps + (tile.image * n_maps + own_map + r) * n_positions;
        #pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            const int position = own_position + c * THREAD_COLUMNS;
            if (own_map + r < n_maps && position < n_positions) map[position] = sums[r][c];
        }
    }
}

// values, positions (n, m, tiles): the largest unit of every map in every tile of positions.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
convolve_winners(const REAL* x, const REAL* filters, const REAL* bias, int channels, int height,
                 int width, int n_maps, int k, REAL* values, int* positions) {
    const int n_positions = height * width;
    const Tile tile = tile_of_block(n_maps, n_positions);
    REAL sums[ROWS][COLUMNS];
    convolve_tile(x, filters, bias, channels, height, width, n_maps, k, tile, sums);
    const int own_map = tile.first_map + threadIdx.x / THREAD_COLUMNS * ROWS;
    const int own_position = tile.first_position + threadIdx.x % THREAD_COLUMNS;
    const int tiles = (n_positions + kTileColumns - 1) / kTileColumns;
    #pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        Unit best{0, 0};
        #pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            const int position = own_position + c * THREAD_COLUMNS;
            if (position < n_positions && sums[r][c] > best.value)
                best = Unit{sums[r][c], position};
        }
        best = warp_largest(best, THREAD_COLUMNS);
        if (threadIdx.x % THREAD_COLUMNS == 0 && own_map + r < n_maps) {
            const Index at = (tile.image * n_maps + own_map + r) * tiles + tile.number;
            values[at] = best.value;
            positions[at] = best.position;
        }
    }
}

// d_filters (pieces, m, c, k, k): sum over a piece's images and positions of unit times patch.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
correlate(const REAL* maps, const REAL* images, int n, int images_of_piece, int channels,
          int height, int width, int n_maps, int k, REAL* d_filters) {
    __shared__ Column columns[kTileColumns];
    const int n_positions = height * width, n_taps = channels * k * k;
    const int tiles = (n_taps + kTileColumns - 1) / kTileColumns;
    const int groups = (n_maps + kTileRows - 1) / kTileRows;
    const int first_tap = int(blockIdx.x % tiles) * kTileColumns;
    const int first_map = int(blockIdx.x / tiles % groups) * kTileRows;
    const int piece = blockIdx.x / tiles / groups;
    const Index first_image = Index(piece) * images_of_piece;
    for (int i = threadIdx.x; i < kTileColumns; i += kThreads) {
        const int tap = (first_tap + i) % (k * k), channel = (first_tap + i) / (k * k);
        columns[i] = Column{channel, channel < channels ? tap / k - k / 2 : kOutside,
                            tap % k - k / 2};
    }
    REAL sums[ROWS][COLUMNS] = {};
    const int n_here = n - first_image < images_of_piece ? int(n - first_image) : images_of_piece;
    const Product product{maps + (first_image * n_maps + first_map) * n_positions, n_positions,
                          n_maps - first_map, images + first_image * channels * n_positions, height,
                          width, n_here * n_positions};
    multiply(product, columns, Positions{n_positions, width, n_maps, channels}, sums);
    const int own_map = first_map + threadIdx.x / THREAD_COLUMNS * ROWS;
    const int own_tap = first_tap + threadIdx.x % THREAD_COLUMNS;
    #pragma unroll
    for (int r = 0; r < ROWS; ++r)
        #pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            const int tap = own_tap + c * THREAD_COLUMNS;
            if (own_map + r < n_maps && tap < n_taps)
                d_filters[(Index(piece) * n_maps + own_map + r) * n_taps + tap] = sums[r][c];
        }
}
