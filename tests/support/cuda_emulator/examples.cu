// What the emulator is tested on: each kernel meets one part of CUDA.

extern "C" __global__ void add(const REAL* a, const REAL* b, REAL* sum, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) sum[i] = a[i] + b[i];
}

template <class T>
__device__ T block_sum(T value) {
    __shared__ T parts[128];
    parts[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    return parts[0];
}

extern "C" __global__ void __launch_bounds__(128) sums(const REAL* x, REAL* sum, int* even, int n) {
    REAL mine = 0;
    int count = 0;
    #pragma unroll 4
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        mine += x[blockIdx.x * n + i];
        count += i % 2 == 0;
    }
    mine = block_sum(mine);
    count = block_sum(count);
    if (threadIdx.x == 0) {
        sum[blockIdx.x] = mine;
        even[blockIdx.x] = count;
    }
}

extern "C" __global__ void half_warps(const REAL* x, REAL* sum) {
    // The halves of the warp never meet: one of them runs through its sum twice.
    unsigned half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
    for (int round = 0; round <= (threadIdx.x < 16); ++round) {
        REAL mine = x[threadIdx.x];
        for (int d = 8; d > 0; d /= 2) mine += __shfl_xor_sync(half, mine, d, 16);
        sum[threadIdx.x] = mine;
    }
}

extern "C" __global__ void votes(const int* x, unsigned* ballots, int* any, int* all, int* block) {
    int i = threadIdx.x;
    ballots[i] = __ballot_sync(0xffffffffu, x[i] > 0);
    any[i] = __any_sync(0xffffffffu, x[i] > 0);
    all[i] = __all_sync(0xffffffffu, x[i] > 0);
    block[3 * i] = __syncthreads_count(x[i] > 0);
    block[3 * i + 1] = __syncthreads_or(x[i] > 0);
    block[3 * i + 2] = __syncthreads_and(x[i] > 0);
}

extern "C" __global__ void histogram(const int* x, int* counts, int* largest, REAL* total, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        atomicAdd(counts + x[i], 1);
        atomicMax(largest, x[i]);
        atomicAdd(total, REAL(x[i]));
    }
}

extern "C" __global__ void places(int* place) {
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int threads = blockDim.x * blockDim.y * blockDim.z;
    place[block * threads + thread] = 100 * block + thread;
}

extern "C" __global__ void reverse(REAL* x) {
    extern __shared__ REAL buffer[];
    REAL* copy = buffer + blockDim.x;  // two arrays in one allocation
    buffer[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    copy[threadIdx.x] = buffer[blockDim.x - 1 - threadIdx.x];
    x[threadIdx.x] = copy[threadIdx.x];
}

extern "C" __global__ void transpose(const float4* x, float* y) {  // of a 4 x 8 matrix
    __shared__ __align__(16) float tile[4][8], copy[8][4];
    int row = threadIdx.x / 2, column = threadIdx.x % 2 * 4;
    *reinterpret_cast<float4*>(&tile[row][column]) = x[threadIdx.x];
    __syncthreads();
    for (int i = 0; i < 4; ++i) copy[column + i][row] = tile[row][column + i];
    __syncthreads();
    for (int i = 0; i < 4; ++i) y[threadIdx.x * 4 + i] = copy[threadIdx.x][i];
}

extern "C" __global__ void last_block(const int* x, int* parts, int* finished, int* total) {
    __shared__ bool is_last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = x[blockIdx.x];
        __threadfence();
        is_last = atomicAdd(finished, 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (is_last && threadIdx.x == 0)
        for (int block = 0; block < gridDim.x; ++block) *total += parts[block];
}

extern "C" __global__ void neighbours(const int* x, int* y) {
    __shared__ int line[64];
    line[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    y[threadIdx.x] = line[threadIdx.x ^ 1];
    __syncwarp();
    line[threadIdx.x] = 0;
}

extern "C" __global__ void tickets(int* next, int* holders) {
    holders[atomicAdd(next, 1)] = blockIdx.x * blockDim.x + threadIdx.x;
}

extern "C" __global__ void numbers(float* y) {
    y[0] = __fmaf_rn(2, 3, 4) + fmaf(1, 2, 3);
    y[1] = fmaxf(-CUDART_INF_F, max(1.5f, min(2.5f, 3.5f)));
    y[2] = __int_as_float(__float_as_int(1.25f));
    y[3] = __popc(0xf0f0) + __clz(1) + __ffs(8);
    float4 v = make_float4(1, 2, 3, 4);
    y[4] = v.x + v.y + v.z + v.w + __ldg(y + 3);
}

struct Winner {
    double value;
    int place, rank[3];
};

extern "C" __global__ void structures(const int* x, int* y) {  // larger than a register
    __shared__ Winner winners[32];
    Winner mine = {0.5, x[threadIdx.x], {1, 2, 3}};
    winners[threadIdx.x] = mine;
    __syncthreads();
    Winner other = winners[threadIdx.x ^ 1];
    y[threadIdx.x] = other.place + other.rank[2];
}

extern "C" __global__ void leaving(unsigned* ballot) {
    // Lanes that have returned, or that the block does not have, are excused from a vote.
    if (threadIdx.x % 2 == 0) return;
    ballot[threadIdx.x] = __ballot_sync(0xffffffffu, threadIdx.x < 35);
}

extern "C" __global__ void overlap(const int* later, int* earlier) {
    earlier[3] = 7;
    earlier[0] = later[2];
}

extern "C" __global__ void is_null(const int* pointer, int* answer) { answer[0] = !pointer; }

template <class T>
__device__ void shuffle(const T* x, T* moved, int by, int width) {
    int i = threadIdx.x, n = blockDim.x;
    moved[i] = __shfl_sync(0xffffffffu, x[i], by, width);
    moved[n + i] = __shfl_up_sync(0xffffffffu, x[i], by, width);
    moved[2 * n + i] = __shfl_down_sync(0xffffffffu, x[i], by, width);
    moved[3 * n + i] = __shfl_xor_sync(0xffffffffu, x[i], by, width);
}

#define SHUFFLES(T, dtype)                                                              \
    extern "C" __global__ void shuffles_##dtype(const T* x, T* y, int by, int width) {  \
        shuffle(x, y, by, width);                                                       \
    }
SHUFFLES(int, int32)
SHUFFLES(unsigned, uint32)
SHUFFLES(long long, int64)
SHUFFLES(float, float32)
SHUFFLES(double, float64)
