// Copies from global to shared memory that a thread does not wait for, in groups, behind functions.
//
// Devices before compute capability 8.0 have no such instruction: there a copy is done when it
// starts, and waiting is nothing. The emulator of the tests has its own (CUDA_EMULATOR).

#ifndef CUDA_EMULATOR

// Copy 16 bytes, while the thread goes on.
__device__ inline void start_copy(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
    const unsigned address = unsigned(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(address), "l"(from) : "memory");
#else
    *static_cast<int4*>(to) = *static_cast<const int4*>(from);
#endif
}

// What was started since the last call is one group.
__device__ inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Until all groups but the last kLeft are there, for this thread; others need a barrier.
template <int kLeft>
__device__ inline void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" :: "n"(kLeft) : "memory");
#endif
}

#endif
