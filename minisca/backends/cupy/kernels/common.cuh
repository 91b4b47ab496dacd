// What every kernel needs: types, a fixed order among units, and reductions within a warp and a
// block. REAL is float or double.
//
// Sums are taken in an order that depends on the problem alone, never by floating-point atomics:
// the same bits every time. Positions in a map, maps and taps of a filter are counted in int, of
// which there are fewer than 2^31; offsets into arrays are Index, as one image's maps, and one
// layer's filters, may have more numbers than that.

typedef long long Index;

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// REAL in packs of 16 bytes, for wide reads.
constexpr int kPack = 16 / sizeof(REAL);
struct __align__(16) Pack {
    REAL lane[kPack];
};

// A unit of a map. (0, 0) stands for "no positive unit".
struct Unit {
    REAL value;
    int position;
};

// The larger of two units; of equal ones, that of the lower position.
__device__ inline Unit larger(Unit a, Unit b) {
    const bool second = b.value > a.value || (b.value == a.value && b.position < a.position);
    return second ? b : a;
}

// What the lane has whose number differs in the bit `away`; whole warps only.
__device__ inline Unit from_lane_across(const Unit& mine, int away, int n_lanes) {
    return Unit{__shfl_xor_sync(kAllLanes, mine.value, away, n_lanes),
                __shfl_xor_sync(kAllLanes, mine.position, away, n_lanes)};
}

// The largest unit of `n_lanes` neighbouring lanes (a power of two), in all of them.
__device__ inline Unit warp_largest(Unit mine, int n_lanes) {
    for (int away = n_lanes / 2; away > 0; away /= 2)
        mine = larger(mine, from_lane_across(mine, away, n_lanes));
    return mine;
}

// The largest unit of the block, in every thread; blocks of whole warps only.
__device__ inline Unit block_largest(Unit mine) {
    __shared__ REAL values[kWarp];
    __shared__ int positions[kWarp];
    mine = warp_largest(mine, kWarp);
    __syncthreads();  // all have read the result before
    if (threadIdx.x % kWarp == 0) {
        values[threadIdx.x / kWarp] = mine.value;
        positions[threadIdx.x / kWarp] = mine.position;
    }
    __syncthreads();
    mine.value = values[0];
    mine.position = positions[0];
    for (int warp = 1; warp < int(blockDim.x) / kWarp; ++warp)
        mine = larger(mine, Unit{values[warp], positions[warp]});
    return mine;
}

template <class T>
__device__ inline T warp_sum(T mine) {
    for (int away = kWarp / 2; away > 0; away /= 2)
        mine += __shfl_xor_sync(kAllLanes, mine, away);
    return mine;
}

// The sum over the block, in every thread; blocks of whole warps only.
template <class T>
__device__ inline T block_sum(T mine) {
    __shared__ T sums[kWarp];
    mine = warp_sum(mine);
    __syncthreads();  // all have read the result before
    if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = mine;
    __syncthreads();
    T total = 0;
    for (int warp = 0; warp < int(blockDim.x) / kWarp; ++warp) total += sums[warp];
    return total;
}

// Whether this block is the last of `n_blocks` that come here with the same ticket, which is 0 before
// and after. It then sees what the others wrote before they came. For the whole block.
__device__ inline bool is_last_block(int* ticket, int n_blocks) {
    __shared__ bool is_last;
    __threadfence();
    __syncthreads();  // all have written
    if (threadIdx.x == 0) {
        is_last = atomicAdd(ticket, 1) == n_blocks - 1;
        if (is_last) atomicAdd(ticket, -n_blocks);
    }
    __syncthreads();
    __threadfence();
    return is_last;
}

// This thread's first element, and how many threads there are: for loops over any size.
__device__ inline Index first_element() { return Index(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline Index n_threads_of_grid() { return Index(gridDim.x) * blockDim.x; }
