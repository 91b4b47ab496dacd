// A block's tile of a matrix product, left (rows x depth) by right (depth x columns), in which the
// matrices need not exist: an element is fetched from where it lies in the tensors.
//
// Both products of a convolutional layer have this form. An element of `right` is a pixel of a
// plane (a channel of an image), found by adding up what its depth says and what its column says;
// it is 0 outside the plane. An element of `left` is left_from[d + row * row_stride], its row
// likewise the sum of the depth's and the tile's.
//
// Rows, planes, depths and positions in a plane are int, and so is all that lies in shared memory;
// their products with a stride, of which one image may have more than 2^31, are Index.
//
// Each of THREAD_ROWS x THREAD_COLUMNS threads holds ROWS x COLUMNS sums in registers, so that
// per step in depth it reads ROWS + COLUMNS numbers from shared memory for ROWS * COLUMNS products.
// A thread's rows lie together (one wide read), its columns THREAD_COLUMNS apart (neighbouring
// threads read neighbouring banks). Shared memory has two buffers: while one is multiplied, the
// numbers for the other are on their way from global memory, and one barrier a step is enough.

constexpr int kThreads = THREAD_ROWS * THREAD_COLUMNS;
constexpr int kTileRows = THREAD_ROWS * ROWS;
constexpr int kTileColumns = THREAD_COLUMNS * COLUMNS;
constexpr int kDepth = 8;
static_assert(ROWS % kPack == 0, "a thread's rows are read in whole packs");
constexpr int kPitch = kTileRows + 4;  // a warp that stores 4 rows of 8 steps meets every bank once
static_assert(kThreads % kDepth == 0, "a thread fetches from `left` at one depth of a step");
constexpr int kLeftShare = (kDepth * kTileRows + kThreads - 1) / kThreads;
constexpr int kRightShare = (kDepth * kTileColumns + kThreads - 1) / kThreads;
// Two blocks on a multiprocessor: 128 registers a thread, twice that in double.
constexpr int kBlocksAtOnce = sizeof(REAL) == 4 && kThreads == 256 ? 2 : 1;
constexpr int kOutside = -(1 << 30);  // a row of pixels that is in no image

struct __align__(16) Column {
    int plane, y, x;
};

struct __align__(16) Depth {
    int row, plane, y, x;
};

struct Product {
    const REAL* left_from;  // the tile's first row
    int row_stride, n_rows;
    const REAL* right_from;
    int height, width;
    int depth;
};

__device__ inline REAL pixel(const Product& product, const Depth& depth, const Column& column) {
    const int y = depth.y + column.y, x = depth.x + column.x;
    if (y < 0 || y >= product.height || x < 0 || x >= product.width) return 0;
    const Index plane = Index(depth.plane + column.plane) * (product.height * product.width);
    return product.right_from[plane + (y * product.width + x)];
}

// sums <- sums + the tile. `columns` describes the tile's columns and is in shared memory, behind
// a barrier; at(d) is a Depth for every d < product.depth.
template <class At>
__device__ inline void multiply(const Product& product, const Column* columns, const At& at,
                                REAL (&sums)[ROWS][COLUMNS]) {
    __shared__ __align__(16) REAL left[2][kDepth][kPitch];
    __shared__ REAL right[2][kDepth][kTileColumns];
    __shared__ Depth depths[2][kDepth];
    const int thread = threadIdx.x;
    const int own_row = thread / THREAD_COLUMNS * ROWS, own_column = thread % THREAD_COLUMNS;
    const int n_steps = (product.depth + kDepth - 1) / kDepth;
    REAL left_next[kLeftShare], right_next[kRightShare];

    const auto describe = [&](int step) {
        for (int i = thread; i < kDepth; i += kThreads) {
            const int d = step * kDepth + i;
            depths[step % 2][i] = d < product.depth ? at(d) : Depth{0, 0, kOutside, 0};
        }
    };
    const auto fetch = [&](int step) {
        const int d = step * kDepth + thread % kDepth, first_row = thread / kDepth;
        const int rows_above = depths[step % 2][thread % kDepth].row;
        #pragma unroll
        for (int share = 0; share < kLeftShare; ++share) {
            const int row = first_row + share * (kThreads / kDepth);
            left_next[share] = 0;
            if (d < product.depth && row < min(kTileRows, product.n_rows))
                left_next[share] =
                    product.left_from[d + Index(rows_above + row) * product.row_stride];
        }
        #pragma unroll
        for (int share = 0; share < kRightShare; ++share) {
            const int i = thread + share * kThreads;
            right_next[share] = 0;
            if (i < kDepth * kTileColumns)
                right_next[share] =
                    pixel(product, depths[step % 2][i / kTileColumns], columns[i % kTileColumns]);
        }
    };
    const auto store = [&](int step) {
        #pragma unroll
        for (int share = 0; share < kLeftShare; ++share) {
            const int i = thread + share * kThreads;
            if (i < kDepth * kTileRows) left[step % 2][i % kDepth][i / kDepth] = left_next[share];
        }
        #pragma unroll
        for (int share = 0; share < kRightShare; ++share) {
            const int i = thread + share * kThreads;
            if (i < kDepth * kTileColumns)
                right[step % 2][i / kTileColumns][i % kTileColumns] = right_next[share];
        }
    };
    const auto add_products = [&](int step) {
        #pragma unroll 1  // products enough to hide the loop; unrolled, it spills registers
        for (int d = 0; d < kDepth; ++d) {
            REAL own_left[ROWS], own_right[COLUMNS];
            #pragma unroll
            for (int r = 0; r < ROWS; r += kPack) {
                const Pack pack = *reinterpret_cast<const Pack*>(&left[step % 2][d][own_row + r]);
                #pragma unroll
                for (int lane = 0; lane < kPack; ++lane) own_left[r + lane] = pack.lane[lane];
            }
            #pragma unroll
            for (int c = 0; c < COLUMNS; ++c)
                own_right[c] = right[step % 2][d][own_column + c * THREAD_COLUMNS];
            #pragma unroll
            for (int r = 0; r < ROWS; ++r)
                #pragma unroll
                for (int c = 0; c < COLUMNS; ++c) sums[r][c] += own_left[r] * own_right[c];
        }
    };

    describe(0);
    __syncthreads();
    fetch(0);
    store(0);
    describe(1);
    __syncthreads();
    for (int step = 0; step < n_steps; ++step) {
        const bool more = step + 1 < n_steps;
        if (more) fetch(step + 1);
        add_products(step);
        if (more) store(step + 1);
        describe(step + 2);  // where the depths of this step were: they are no longer read
        __syncthreads();
    }
}
