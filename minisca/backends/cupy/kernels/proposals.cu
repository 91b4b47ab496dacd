// The tensor cores' part of encoding by winners: which units of a map may be its largest. Those are
// computed again, in fp32 and in the plain kernels' order (decisions.cu), so that winners, values and
// ties are theirs to the bit. How far off a unit may be is derived in halves.cuh.
//
// A block has kMaps maps and the places of a few whole images, kPlaces at most. It goes through the
// channels in chunks of 64: the chunk of its images lies in shared memory while all taps of the
// chunk's filters pass by, each a product of matrices, filters (maps x 64) by pixels (64 x places),
// the pixels at the places shifted by the tap. Both are on their way in the background: filters
// STAGES - 1 taps ahead, the next chunk of the images while this one is multiplied.
//
// A warp has TILES_DOWN x 16 maps and TILES_ACROSS x 8 places. Rows of shared memory are 128 bytes,
// 64 channels of a map or a pixel, in which piece i of 16 bytes lies at i ^ key: eight rows that a
// warp reads at once have eight keys, so that they meet all banks. An image has a margin of zeros;
// what is right of a row is left of the next one.

#include "common.cuh"
#include "candidates.cuh"
#include "tensor.cuh"
#include "halves.cuh"

constexpr int kThreads = WARPS_DOWN * WARPS_ACROSS * kWarp;
constexpr int kMaps = WARPS_DOWN * TILES_DOWN * 16;
constexpr int kPlaces = WARPS_ACROSS * TILES_ACROSS * 8;
constexpr int kRow = kChunk * 2;
constexpr int kPieces = kRow / 16;
constexpr int kPairs = (TILES_ACROSS + 1) / 2;  // of tiles across: what a warp reads at once

struct __align__(8) Pair {
    float a, b;
};

struct Images {  // of a block
    int height, width, k, pitch, n_pixels;  // the last two with the margin

    __device__ Images(int height, int width, int k) : height(height), width(width), k(k) {
        pitch = width + k / 2;
        n_pixels = (height + k - 1) * pitch + k / 2;
    }
    __device__ int n_places() const { return height * width; }
    // The pixel under the first tap of the filter at a place.
    __device__ int first_pixel(int place) const {
        const int position = place % n_places();
        return place / n_places() * n_pixels + position / width * pitch + position % width;
    }
};

// candidates (m, n, kListed): places that may be a map's winner, kNobody where there is none, and
// kCrowd first where there are more than kListed.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
propose(const unsigned short* filters, const float* of_filters, const float* bias,
        const unsigned short* images, const float* of_patches, const int* exponents, int n,
        int channels, int height, int width, int n_maps, int k, int images_of_block,
        unsigned short* candidates) {
    extern __shared__ __align__(16) unsigned shared[];
    const Images layout(height, width, k);
    const int thread = threadIdx.x, lane = thread % kWarp, warp = thread / kWarp;
    const int n_places = height * width, n_taps = k * k, chunks = channels / kChunk;
    const int groups = (n + images_of_block - 1) / images_of_block;
    const int first_image = int(blockIdx.x % groups) * images_of_block;
    const int first_map = int(blockIdx.x / groups) * kMaps;
    const int n_images = min(images_of_block, n - first_image);
    const int n_rows = images_of_block * layout.n_pixels;
    char* const stages = reinterpret_cast<char*>(shared);           // STAGES x kMaps rows
    char* const pixels = stages + STAGES * kMaps * kRow;             // 2 x n_rows rows

    for (int i = thread; i < 2 * n_rows * kPieces; i += kThreads)
        reinterpret_cast<Four*>(pixels)[i] = Four{0, 0, 0, 0};
    __syncthreads();

    int* const rows = reinterpret_cast<int*>(pixels + 2 * n_rows * kRow);  // of places' pixels
    for (int i = thread; i < n_images * n_places; i += kThreads)
        rows[i] = layout.first_pixel(i) + k / 2 * layout.pitch + k / 2;
    __syncthreads();

    // A thread copies one piece of every kThreads / kPieces-th row.
    constexpr int kRowsAtOnce = kThreads / kPieces, kFilterShare = kMaps / kRowsAtOnce;
    static_assert(kMaps % kRowsAtOnce == 0 && kRowsAtOnce % 8 == 0, "");
    const int own_row = thread / kPieces, own_piece = thread % kPieces;
    const int own_at = own_row * kRow + (own_piece ^ (own_row % 8)) * 16;
    int of_filter[kFilterShare];  // where its rows of the filters begin
    #pragma unroll
    for (int i = 0; i < kFilterShare; ++i)
        of_filter[i] = min(first_map + own_row + i * kRowsAtOnce, n_maps - 1) * n_taps * channels +
                       own_piece * 8;
    // Start to copy the filters of a step: one tap of one chunk, which begins at `from`.
    const auto copy_filters = [&](int stage, int from) {
        #pragma unroll
        for (int i = 0; i < kFilterShare; ++i)
            start_copy(stages + (stage * kMaps + i * kRowsAtOnce) * kRow + own_at,
                       filters + (of_filter[i] + from));
    };
    // Start to copy a chunk of the images at some places, from `first` on.
    const unsigned short* own_images =
        images + Index(first_image) * n_places * channels + own_piece * 8;
    const auto copy_pixels = [&](int chunk, int first, int n_here) {
        char* const to = pixels + chunk % 2 * n_rows * kRow;
        const int end = min(first + n_here, n_images * n_places);
        for (int place = first + own_row; place < end; place += kRowsAtOnce)
            start_copy(to + rows[place] * kRow + (own_piece ^ place % 8) * 16,
                       own_images + (place * channels + chunk * kChunk));
    };

    // The rows that this lane names when its warp reads matrices: of the filters ...
    const int warp_map = warp / WARPS_ACROSS * TILES_DOWN * 16;
    const int warp_place = warp % WARPS_ACROSS * TILES_ACROSS * 8;
    const SharedAddress left_row =
        shared_address(stages) + (warp_map + lane % 16) * kRow;
    const int left_key = lane % 8, left_half = lane / 16;
    // ... and of the pixels, in pairs of tiles.
    const int right_half = lane / 8 % 2;
    SharedAddress right_row[kPairs];
    #pragma unroll
    for (int pair = 0; pair < kPairs; ++pair) {
        const int tile = min(pair * 2 + lane / 16, TILES_ACROSS - 1);
        const int place = warp_place + tile * 8 + lane % 8;
        const bool exists = place < images_of_block * n_places;
        right_row[pair] = shared_address(pixels) + (exists ? layout.first_pixel(place) : 0) * kRow;
    }

    float sums[TILES_DOWN][TILES_ACROSS][4] = {};
    float most[TILES_DOWN * 2] = {};  // of a map's sums, at the end of a chunk, the largest size
    const int n_steps = chunks * n_taps;
    const int share = (n_images * n_places + n_taps - STAGES) / (n_taps - STAGES + 1);
    const int shared_places = (share + kRowsAtOnce - 1) / kRowsAtOnce * kRowsAtOnce;
    copy_pixels(0, 0, n_images * n_places);
    int ahead = 0, from = 0;  // the tap whose filters are copied next, and where they begin
    const auto copy_next = [&](int step) {
        if (step < n_steps) copy_filters(step % STAGES, from);
        from += channels;
        if (++ahead == n_taps) ahead = 0, from += kChunk - n_taps * channels;
    };
    #pragma unroll
    for (int step = 0; step < STAGES - 1; ++step) {
        copy_next(step);
        commit_copies();
    }
    int tap = 0, chunk = 0, dx = 0, shift = 0;  // shift: of the pixel under the tap
    int key = lane % 8 + 8 - k / 2 * (width + 1) % 8;  // a pixel's is its place % 8
    for (int step = 0; step < n_steps; ++step) {
        wait_for_copies<STAGES - 2>();
        __syncthreads();
        copy_next(step + STAGES - 1);
        if (chunk + 1 < chunks) copy_pixels(chunk + 1, tap * shared_places, shared_places);
        commit_copies();

        const int left_at = step % STAGES * kMaps * kRow;
        const int right_at = (chunk % 2 * n_rows + shift) * kRow;
        const int right_key = key % 8;
        #pragma unroll
        for (int depth = 0; depth < kPieces; depth += 2) {
            unsigned left[TILES_DOWN][4], right[kPairs][4];
            #pragma unroll
            for (int i = 0; i < TILES_DOWN; ++i)
                load_matrices(left[i], left_row + left_at + i * 16 * kRow +
                                           ((depth + left_half) ^ left_key) * 16);
            #pragma unroll
            for (int pair = 0; pair < kPairs; ++pair)
                load_matrices(right[pair], right_row[pair] + right_at +
                                               ((depth + right_half) ^ right_key) * 16);
            #pragma unroll
            for (int i = 0; i < TILES_DOWN; ++i)
                #pragma unroll
                for (int j = 0; j < TILES_ACROSS; ++j) {
                    const unsigned own[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
                    multiply_fragments(sums[i][j], left[i], own);
                }
        }
        ++tap, ++dx, ++shift, ++key;
        if (dx == k) dx = 0, shift += layout.pitch - k, key += width - k;
        if (tap == n_taps) {
            tap = 0, shift = 0, ++chunk, key -= k * width;
            #pragma unroll
            for (int i = 0; i < TILES_DOWN * 2; ++i)
                #pragma unroll
                for (int j = 0; j < TILES_ACROSS * 2; ++j)
                    most[i] = fmaxf(most[i], fabsf(sums[i / 2][j / 2][i % 2 * 2 + j % 2]));
        }
    }

    // Of every map of every image the largest lower bound, then who reaches up to it.
    wait_for_copies<0>();
    __syncthreads();
    const int n_pairs = kMaps * images_of_block;  // of a map and an image
    Four* const patches = reinterpret_cast<Four*>(shared);  // kPlaces; d is the image's number
    Pair* const of_biases = reinterpret_cast<Pair*>(patches + kPlaces);  // n_pairs, as the next
    int* const largest = reinterpret_cast<int*>(of_biases + n_pairs);
    int* const counts = largest + n_pairs;
    float* const sizes = reinterpret_cast<float*>(counts + n_pairs);  // kMaps: of `most`
    int* const lists = reinterpret_cast<int*>(sizes + kMaps);
    for (int i = thread; i < kMaps; i += kThreads) sizes[i] = 0;
    __syncthreads();
    #pragma unroll
    for (int i = 0; i < TILES_DOWN * 2; ++i)  // sizes are in order as integers, too
        atomicMax(reinterpret_cast<int*>(sizes) + warp_map + i / 2 * 16 + i % 2 * 8 + lane / 4,
                  __float_as_int(most[i]));
    __syncthreads();
    for (int i = thread; i < kPlaces; i += kThreads) {
        const bool exists = i < n_images * n_places;
        patches[i] = exists ? reinterpret_cast<const Four*>(of_patches)[
                                  Index(first_image) * n_places + i] : Four{-1, 0, 0, 0};
        patches[i].d = __int_as_float(exists ? i / n_places : 0);
    }
    for (int i = thread; i < n_pairs; i += kThreads) {
        const int map = min(first_map + i / images_of_block, n_maps - 1);
        const int image = first_image + min(i % images_of_block, n_images - 1);
        const int n_terms = channels * n_taps + 2;
        const Bounds bounds(of_filters, bias, map, exponents[image], n_terms);
        const float of_sums = n_terms * kPartial * sizes[i / images_of_block];
        of_biases[i] = Pair{bounds.of_bias + of_sums, bounds.floor};
        largest[i] = in_order(-infinity());
        counts[i] = 0;
    }
    __syncthreads();
    // Calls use(unit, its error, floor, its pair, position).
    const auto over_units = [&](const auto& use) {
        #pragma unroll
        for (int i = 0; i < TILES_DOWN * 2; ++i) {
            const int row = warp_map + i / 2 * 16 + i % 2 * 8 + lane / 4;
            const Four of_filter =
                reinterpret_cast<const Four*>(of_filters)[min(first_map + row, n_maps - 1)];
            #pragma unroll
            for (int j = 0; j < TILES_ACROSS * 2; ++j) {
                const int place = warp_place + j / 2 * 8 + lane % 4 * 2 + j % 2;
                const Four patch = patches[place];
                if (patch.a < 0) continue;
                const int image = __float_as_int(patch.d), pair = row * images_of_block + image;
                const Pair of_bias = of_biases[pair];
                use(sums[i / 2][j / 2][i % 2 * 2 + j % 2], error_of(of_filter, patch) + of_bias.a,
                    of_bias.b, pair, place - image * n_places);
            }
        }
    };
    over_units([&](float unit, float error, float, int pair, int) {
        const float low = unit - error;
        if (low > -infinity()) atomicMax(largest + pair, in_order(low));
    });
    __syncthreads();
    // Where a bound is not a number the unit is a candidate.
    over_units([&](float unit, float error, float floor, int pair, int position) {
        const float high = unit + error;
        const bool is_lower = high == high && in_order(high) < largest[pair];
        if (is_lower || high <= floor) return;
        const int at = atomicAdd(counts + pair, 1);
        if (at < kListed) lists[pair * kListed + at] = position;
    });
    __syncthreads();
    for (int i = thread; i < kMaps * images_of_block; i += kThreads) {
        const int map = first_map + i / images_of_block, image = i % images_of_block;
        if (map >= n_maps || image >= n_images) continue;
        unsigned short* to = candidates + (Index(map) * n + first_image + image) * kListed;
        for (int at = 0; at < kListed; ++at)
            to[at] = counts[i] > kListed ? kCrowd
                     : at < counts[i]    ? lists[i * kListed + at]
                                         : kNobody;
    }
}
