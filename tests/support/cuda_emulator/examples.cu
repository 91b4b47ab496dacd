// What the emulator is tested on beside the backend's own kernels: each meets one part of CUDA.

extern "C" __global__ void add(const float* a, const float* b, float* sum, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) sum[i] = a[i] + b[i];
}

extern "C" __global__ void half_warps(const float* x, float* sum) {
    // The halves of the warp never meet: one of them runs through its sum twice.
    unsigned half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
    for (int round = 0; round <= (threadIdx.x < 16); ++round) {
        float mine = x[threadIdx.x];
        for (int d = 8; d > 0; d /= 2) mine += __shfl_xor_sync(half, mine, d, 16);
        sum[threadIdx.x] = mine;
    }
}

extern "C" __global__ void places(int* place) {
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int threads = blockDim.x * blockDim.y * blockDim.z;
    place[block * threads + thread] = 100 * block + thread;
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

extern "C" __global__ void tickets(int* next, int* holders) {
    holders[atomicAdd(next, 1)] = blockIdx.x * blockDim.x + threadIdx.x;
}

extern "C" __global__ void leaving(int* stayed) {
    // Lanes that have returned, or that the block does not have, are not waited for.
    if (threadIdx.x % 2 == 0) return;
    __syncwarp();
    stayed[threadIdx.x] = 1;
}

extern "C" __global__ void overlap(const int* later, int* earlier) {
    earlier[3] = 7;
    earlier[0] = later[2];
}

extern "C" __global__ void is_null(const int* pointer, int* answer) { answer[0] = !pointer; }

#define SHUFFLES(T, dtype)                                                              \
    extern "C" __global__ void shuffles_##dtype(const T* x, T* y, int by, int width) {  \
        int i = threadIdx.x;                                                            \
        y[i] = __shfl_sync(0xffffffffu, x[i], by, width);                               \
        y[blockDim.x + i] = __shfl_xor_sync(0xffffffffu, x[i], by, width);              \
    }
SHUFFLES(int, int32)
SHUFFLES(long long, int64)
SHUFFLES(float, float32)
SHUFFLES(double, float64)
