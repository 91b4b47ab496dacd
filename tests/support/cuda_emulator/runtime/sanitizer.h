// What AddressSanitizer is told in the build for it (build.py); in the other build, nothing.
//
// It sees by itself where local and __device__ arrays end. Those of a launch lie in memory of the
// runtime: whatever is around them is poisoned. And it must know which fiber's stack is in use.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef EMULATOR_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

struct Stack {
    const void *bottom;
    size_t size;
    void *frames;  // AddressSanitizer's own, while another stack is in use
};

#ifdef EMULATOR_ADDRESS_SANITIZER
constexpr bool kAddressSanitizer = true;

inline void poison(uintptr_t start, uint64_t size) {
    __asan_poison_memory_region(reinterpret_cast<void *>(start), size);
}
inline void unpoison(uintptr_t start, uint64_t size) {
    __asan_unpoison_memory_region(reinterpret_cast<void *>(start), size);
}
// Around a switch: `leave` just before it, `arrive` first thing after it, on the other stack.
inline void leave(Stack &from, const Stack &to) {
    __sanitizer_start_switch_fiber(&from.frames, to.bottom, to.size);
}
inline void arrive(Stack &here, Stack *from = nullptr) {
    __sanitizer_finish_switch_fiber(here.frames, from ? &from->bottom : nullptr,
                                    from ? &from->size : nullptr);
}
#else
constexpr bool kAddressSanitizer = false;

inline void poison(uintptr_t, uint64_t) {}
inline void unpoison(uintptr_t, uint64_t) {}
inline void leave(Stack &, const Stack &) {}
inline void arrive(Stack &, Stack * = nullptr) {}
#endif

}  // namespace emulator
