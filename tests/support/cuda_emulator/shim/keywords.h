// CUDA's words of declaration, and the built-in variables.
//
// `__shared__` is not here: rewrite.py turns its declarations into calls of the runtime.
#pragma once

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

struct uint3 {
    unsigned x, y, z;
};

extern "C" {
// Constants indeed, for as long as one thread runs: kept in a register over a barrier they are
// still the thread's own.
extern const uint3 threadIdx, blockIdx, blockDim, gridDim;

void emulator_barrier(const char *place);
void emulator_fence();
void *emulator_shared(const void *tag, const char *name, unsigned long size, unsigned element,
                      const char *place);
void *emulator_dynamic_shared(unsigned element, const char *place);
}

// Macros, for the place of the call, "file:line".
#define EMULATOR_TEXT(x) #x
#define EMULATOR_LINE(line) EMULATOR_TEXT(line)
#define EMULATOR_PLACE __FILE__ ":" EMULATOR_LINE(__LINE__)

#define __syncthreads() emulator_barrier(EMULATOR_PLACE)
#define __threadfence() emulator_fence()
