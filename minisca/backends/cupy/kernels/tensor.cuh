// PTX behind functions: halves, products of matrix fragments by the tensor cores, and copies to
// shared memory in the background (copies.cuh). For compute capability 8.0 and later; older devices
// are not given these kernels (kernels/tensor.py), whose text must compile for them all the same.
//
// The emulator of the tests has its own of all this (CUDA_EMULATOR).

#include "copies.cuh"

#ifndef CUDA_EMULATOR

// An address in shared memory, counted in bytes.
using SharedAddress = unsigned;
__device__ inline SharedAddress shared_address(const void* pointer) {
    return unsigned(__cvta_generic_to_shared(pointer));
}

__device__ inline unsigned short to_half(float x) {
    unsigned short half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x));
    return half;
}

__device__ inline float from_half(unsigned short half) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
    return x;
}

// A warp's sums (16 x 8, float) += left (16 x 16) by right (16 x 8), halves. Which lane has what
// is written in the PTX manual, "Matrix Fragments for mma.m16n8k16 with floating point type".
__device__ inline void multiply_fragments(float (&sums)[4], const unsigned (&left)[4],
                                          const unsigned (&right)[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
#endif
}

// N matrices of 8 x 8 halves. Lanes 8 i to 8 i + 7 name the rows of matrix i, 16 bytes each; every
// lane gets of each matrix a pair: row lane / 4, columns lane % 4 * 2 and the next.
__device__ inline void load_matrices(unsigned (&pairs)[4], SharedAddress row) {
#if __CUDA_ARCH__ >= 800
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
                 : "r"(row));
#endif
}

#endif
