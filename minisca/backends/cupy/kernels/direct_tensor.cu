// Winners of images of few channels by the tensor cores, with the plain kernel's bits: a product of
// halves tells which units may be a map's largest, and those few are computed again in fp32, channel
// by channel, tap by tap (direct.cu). How far off a unit may be is derived in halves.cuh; here one
// bound is for all units of a map, of the norms of the image's largest patch.
//
// A block has one image and kMaps maps. Half of its warps write down patches of kPlaces places in
// shared memory, taps padded to whole chunks of 64; the others multiply the patches written before by
// the filters, which lie there all the while. Of each map the block keeps the largest unit so far
// and a list of those that come near it. Where a list was too short for one that still counts at
// the end, the map is a crowd: all of its units are computed in fp32.
//
// Rows of shared memory are 128 bytes, 64 taps of a map or a place, in which piece i of 16 bytes
// lies at i ^ row % 8: eight rows that a warp reads at once meet all banks.

#include "common.cuh"
#include "tensor.cuh"
#include "halves.cuh"
#include "padded.cuh"

constexpr int kProductWarps = WARPS_DOWN * WARPS_ACROSS;
constexpr int kThreads = 2 * kProductWarps * kWarp;
constexpr int kMaps = WARPS_DOWN * TILES_DOWN * 16;
constexpr int kPlaces = WARPS_ACROSS * TILES_ACROSS * 8;
constexpr int kRow = kChunk * 2;
constexpr int kPieces = kRow / 16;
constexpr int kListed = 8;
static_assert(TILES_ACROSS % 2 == 0, "a warp reads two tiles at once");
static_assert(kPlaces % kWarp == 0, "a warp writes patches of 32 places at once");

struct Candidate {
    float value;
    int position;
};

// A block's shared memory.
struct Memory {
    char *left, *right;  // filters, chunks x kMaps rows; patches, twice chunks x kPlaces rows
    float* starts;       // of places, whole tiles of them
    int* shifts;         // of padded taps
    int *largest, *dropped, *counts;  // of maps, units as integers in their order
    float *errors, *floors;
    Candidate* lists;  // kMaps x kListed
    unsigned short* pixels;

    __device__ Memory(unsigned short* shared, int bytes_of_halves, int chunks, int n_starts,
                      int padded) {
        left = reinterpret_cast<char*>(shared);
        right = left + chunks * kMaps * kRow;
        starts = reinterpret_cast<float*>(left + bytes_of_halves);
        shifts = reinterpret_cast<int*>(starts + n_starts);
        largest = shifts + padded;
        dropped = largest + kMaps;
        counts = dropped + kMaps;
        errors = reinterpret_cast<float*>(counts + kMaps);
        floors = errors + kMaps;
        lists = reinterpret_cast<Candidate*>(floors + kMaps);
        pixels = reinterpret_cast<unsigned short*>(lists + kMaps * kListed);
    }
    // The least unit of a map that may be its winner, of what is known so far.
    __device__ float least(int map) const {
        return fmaxf(from_order(largest[map]) - 2 * errors[map], floors[map] - errors[map]);
    }
    // Take off a map's list who is no longer near its largest unit. How many are left.
    __device__ int prune(int map) const {
        const int count = min(counts[map], kListed);
        const float enough = least(map);
        int n = 0;
        for (int j = 0; j < count; ++j) {
            const Candidate candidate = lists[map * kListed + j];
            if (candidate.value >= enough) lists[map * kListed + n++] = candidate;
        }
        counts[map] = n;
        return n;
    }
};

// values, positions (n, m). filter_halves (m, padded) and of_filters (m, 4) are halves.cu's, of
// filters whose taps all count as channels; the rest is direct_halves.cu's.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
tensor_winners(const float* x, const float* filters, const float* bias,
               const unsigned short* filter_halves, const float* of_filters,
               const unsigned short* halves, const float* starts, const float* of_images,
               int channels, int height, int width, int n_maps, int padded, int n_halves,
               int bytes_of_halves, float* values, int* positions) {
    extern __shared__ __align__(16) unsigned short shared[];
    const Layer layer(channels, height, width);
    const int thread = threadIdx.x, lane = thread % kWarp, warp = thread / kWarp;
    const int n_places = layer.n_places(), n_taps = layer.n_taps(), chunks = padded / kChunk;
    const int n_tiles = (n_places + kPlaces - 1) / kPlaces;
    const int groups = (n_maps + kMaps - 1) / kMaps;
    const Index number = blockIdx.x / groups;
    const int first_map = int(blockIdx.x % groups) * kMaps;
    const Memory memory(shared, bytes_of_halves, chunks, n_tiles * kPlaces, padded);

    for (int i = thread; i < n_halves / 8; i += kThreads)
        start_copy(memory.pixels + i * 8, halves + number * n_halves + i * 8);
    for (int i = thread; i < chunks * kMaps * kPieces; i += kThreads) {
        const int piece = i % (chunks * kPieces), row = i / (chunks * kPieces);
        const int map = min(first_map + row, n_maps - 1);
        start_copy(memory.left + ((piece / kPieces) * kMaps + row) * kRow +
                       (piece % kPieces ^ row % 8) * 16,
                   filter_halves + Index(map) * padded + piece * 8);
    }
    commit_copies();
    for (int i = thread; i < n_tiles * kPlaces; i += kThreads)
        memory.starts[i] = i < n_places ? starts[number * n_places + i] : -infinity();
    for (int tap = thread; tap < padded; tap += kThreads)  // weights beyond the last tap are zeros
        memory.shifts[tap] = tap < n_taps ? layer.shift(tap) : 0;
    const Four norms = reinterpret_cast<const Four*>(of_images)[number];
    for (int map = thread; map < kMaps; map += kThreads) {
        Bounds bounds(of_filters, bias, min(first_map + map, n_maps - 1), int(norms.d), n_taps + 2);
        // Nobody looks at the sums at the ends of chunks: every one is at most ||w|| ||x||.
        bounds.of_filter.a += padded * kPartial * bounds.of_filter.b;
        const float error = error_of(bounds.of_filter, norms) + bounds.of_bias;
        memory.errors[map] = error < infinity() ? error : infinity();
        memory.floors[map] = bounds.floor;
        memory.largest[map] = memory.dropped[map] = in_order(-infinity());
        memory.counts[map] = 0;
    }
    wait_for_copies<0>();
    __syncthreads();

    // A warp writes down eight taps of 32 places at a time.
    const auto write_patches = [&](int tile, int buffer, int first_warp, int n_warps) {
        char* const to = memory.right + buffer * chunks * kPlaces * kRow;
        int from[kPlaces / kWarp];
        #pragma unroll
        for (int j = 0; j < kPlaces / kWarp; ++j)
            from[j] = layer.first_pixel(min(tile * kPlaces + j * kWarp + lane, n_places - 1));
        for (int piece = first_warp; piece < chunks * kPieces; piece += n_warps) {
            int shifts[8];
            #pragma unroll
            for (int i = 0; i < 8; ++i) shifts[i] = memory.shifts[piece * 8 + i];
            #pragma unroll
            for (int j = 0; j < kPlaces / kWarp; ++j) {
                const unsigned short* pixels = memory.pixels + from[j];
                Eight packed;
                #pragma unroll
                for (int i = 0; i < 4; ++i)
                    packed.pair[i] = pixels[shifts[2 * i]] | unsigned(pixels[shifts[2 * i + 1]]) << 16;
                *reinterpret_cast<Eight*>(to + (piece / kPieces * kPlaces + j * kWarp + lane) * kRow +
                                          (piece % kPieces ^ lane % 8) * 16) = packed;
            }
        }
    };
    // From the middle of the image outwards there is the most to see: lists stay short.
    const auto tile_of = [&](int turn) { return (turn + n_tiles / 2) % n_tiles; };
    write_patches(tile_of(0), 0, warp, 2 * kProductWarps);

    const int warp_map = warp / WARPS_ACROSS * TILES_DOWN * 16;
    const int warp_place = warp % WARPS_ACROSS * TILES_ACROSS * 8;
    const SharedAddress left_row = shared_address(memory.left) + (warp_map + lane % 16) * kRow;
    const SharedAddress right_row =
        shared_address(memory.right) + (warp_place + lane / 16 * 8 + lane % 8) * kRow;
    const int left_half = lane / 16, right_half = lane / 8 % 2, key = lane % 8;
    const bool multiplies = warp < kProductWarps;
    for (int turn = 0; turn < n_tiles; ++turn) {
        const int first_place = tile_of(turn) * kPlaces;
        float sums[TILES_DOWN][TILES_ACROSS][4], own_largest[TILES_DOWN * 2];
        __syncthreads();
        if (multiplies) {
            #pragma unroll
            for (int j = 0; j < TILES_ACROSS; ++j)
                #pragma unroll
                for (int c = 0; c < 4; ++c) {
                    const float start =
                        memory.starts[first_place + warp_place + j * 8 + lane % 4 * 2 + c % 2];
                    #pragma unroll
                    for (int i = 0; i < TILES_DOWN; ++i) sums[i][j][c] = start;
                }
            const int right_at = turn % 2 * chunks * kPlaces * kRow;
            #pragma unroll 4
            for (int depth = 0; depth < (n_taps + 15) / 16; ++depth) {
                const int chunk = depth / (kPieces / 2), piece = depth % (kPieces / 2) * 2;
                unsigned of_left[TILES_DOWN][4], of_right[TILES_ACROSS / 2][4];
                #pragma unroll
                for (int i = 0; i < TILES_DOWN; ++i)
                    load_matrices(of_left[i], left_row + (chunk * kMaps + i * 16) * kRow +
                                                  ((piece + left_half) ^ key) * 16);
                #pragma unroll
                for (int j = 0; j < TILES_ACROSS / 2; ++j)
                    load_matrices(of_right[j],
                                  right_row + right_at + (chunk * kPlaces + j * 16) * kRow +
                                      ((piece + right_half) ^ key) * 16);
                #pragma unroll
                for (int i = 0; i < TILES_DOWN; ++i)
                    #pragma unroll
                    for (int j = 0; j < TILES_ACROSS; ++j) {
                        const unsigned tile[2] = {of_right[j / 2][j % 2 * 2],
                                                  of_right[j / 2][j % 2 * 2 + 1]};
                        multiply_fragments(sums[i][j], of_left[i], tile);
                    }
            }
            #pragma unroll
            for (int i = 0; i < TILES_DOWN * 2; ++i) {
                float most = -infinity();
                #pragma unroll
                for (int j = 0; j < TILES_ACROSS * 2; ++j)
                    most = fmaxf(most, sums[i / 2][j / 2][i % 2 * 2 + j % 2]);
                own_largest[i] = most;
                most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
                most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
                const int map = warp_map + i / 2 * 16 + i % 2 * 8 + lane / 4;
                if (lane % 4 == 0) atomicMax(memory.largest + map, in_order(most));
            }
        } else if (turn + 1 < n_tiles) {
            write_patches(tile_of(turn + 1), (turn + 1) % 2, warp - kProductWarps, kProductWarps);
        }
        __syncthreads();
        if (multiplies) {
            #pragma unroll
            for (int i = 0; i < TILES_DOWN * 2; ++i) {
                const int map = warp_map + i / 2 * 16 + i % 2 * 8 + lane / 4;
                const float least = memory.least(map);
                if (!(own_largest[i] >= least)) continue;
                #pragma unroll
                for (int j = 0; j < TILES_ACROSS * 2; ++j) {
                    const float unit = sums[i / 2][j / 2][i % 2 * 2 + j % 2];
                    if (!(unit >= least) || unit == -infinity()) continue;
                    const int at = atomicAdd(memory.counts + map, 1);
                    const int place = first_place + warp_place + j / 2 * 8 + lane % 4 * 2 + j % 2;
                    if (at < kListed) memory.lists[map * kListed + at] = Candidate{unit, place};
                    else atomicMax(memory.dropped + map, in_order(unit));
                }
            }
        }
        __syncthreads();
        for (int map = thread; map < kMaps; map += kThreads)
            if (memory.counts[map] > 0) memory.prune(map);
    }
    __syncthreads();

    // fp32: the filters and the image, where the halves were.
    float* const weights = reinterpret_cast<float*>(shared);
    float* const numbers = weights + kMaps * n_taps;
    const int n_here = min(kMaps, n_maps - first_map);
    const float* own_filters = filters + Index(first_map) * n_taps;
    for (int i = thread; i < n_here * n_taps; i += kThreads) weights[i] = own_filters[i];
    const float* image = x + number * channels * n_places;
    for (int i = thread; i < channels * layer.plane; i += kThreads)
        numbers[i] = layer.pixel(image, i);
    __syncthreads();
    // A thread computes one candidate at a time; the list keeps its unit.
    for (int i = thread; i < kMaps * kListed; i += kThreads) {
        const int map = i % kMaps, j = i / kMaps;
        if (map >= n_here || j >= memory.counts[map]) continue;
        Candidate& candidate = memory.lists[map * kListed + j];
        const float* own = numbers + layer.first_pixel(candidate.position);
        const float* weight = weights + map * n_taps;
        float sum = bias[first_map + map];
        #pragma unroll 8
        for (int tap = 0; tap < n_taps; ++tap) sum += weight[tap] * own[memory.shifts[tap]];
        candidate.value = sum;
    }
    __syncthreads();
    for (int map = thread; map < n_here; map += kThreads) {
        Unit best{0, 0};
        for (int j = 0; j < memory.counts[map]; ++j) {
            const Candidate candidate = memory.lists[map * kListed + j];
            if (candidate.value > 0) best = larger(best, Unit{candidate.value, candidate.position});
        }
        values[number * n_maps + first_map + map] = best.value;
        positions[number * n_maps + first_map + map] = best.position;
    }
    __syncthreads();
    // Whose list was too short is the whole block's.
    for (int map = 0; map < n_here; ++map) {
        const float dropped = from_order(memory.dropped[map]);
        if (dropped == -infinity() || dropped < memory.least(map)) continue;
        Unit best{0, 0};
        for (int place = thread; place < n_places; place += kThreads) {
            float sum = bias[first_map + map];
            for (int tap = 0; tap < n_taps; ++tap)
                sum += weights[map * n_taps + tap] *
                       numbers[layer.first_pixel(place) + memory.shifts[tap]];
            if (sum > best.value) best = Unit{sum, place};
        }
        best = block_largest(best);
        if (thread == 0) {
            values[number * n_maps + first_map + map] = best.value;
            positions[number * n_maps + first_map + map] = best.position;
        }
    }
}
