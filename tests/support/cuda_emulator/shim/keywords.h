// CUDA's words of declaration, and the built-in variables.
//
// `__shared__` is not here: rewrite.py turns its declarations into calls of the runtime.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))

using dim3 = uint3;

extern "C" {
// Constants indeed, for as long as one thread runs: kept in a register over a barrier they are
// still the thread's own.
extern const uint3 threadIdx, blockIdx;
extern const dim3 blockDim, gridDim;

int emulator_barrier(int predicate, const char *place);
int emulator_n_threads();
void emulator_fence();
void *emulator_shared(const void *tag, const char *name, unsigned long size, unsigned element,
                      const char *place);
void *emulator_dynamic_shared(unsigned element, const char *place);
}

constexpr int warpSize = 32;

// Macros, for the place of the call, "file:line".
#define EMULATOR_TEXT(x) #x
#define EMULATOR_LINE(line) EMULATOR_TEXT(line)
#define EMULATOR_PLACE __FILE__ ":" EMULATOR_LINE(__LINE__)

#define __syncthreads() (static_cast<void>(emulator_barrier(0, EMULATOR_PLACE)))
#define __syncthreads_count(predicate) emulator_barrier((predicate) != 0, EMULATOR_PLACE)
#define __syncthreads_or(predicate) (emulator_barrier((predicate) != 0, EMULATOR_PLACE) != 0)
#define __syncthreads_and(predicate) \
    (emulator_barrier((predicate) != 0, EMULATOR_PLACE) == emulator_n_threads())
#define __threadfence() emulator_fence()
#define __threadfence_block() static_cast<void>(0)
