// Atomic operations: the runtime judges the access and does the copying, so that the compiler's
// instrumentation does not take them for plain loads and stores. Those that kernels and tests use.
#pragma once

extern "C" {
void emulator_atomic(void *address, void *old, unsigned long size);
void emulator_store(void *address, const void *value, unsigned long size);
}

namespace emulator {

template <class T, class Change>
inline __attribute__((always_inline)) T update(T *address, Change change) {
    T old;
    emulator_atomic(address, &old, sizeof old);
    const T changed = change(old);
    emulator_store(address, &changed, sizeof changed);
    return old;
}

// Integers wrap around.
inline int sum(int a, int b) { return static_cast<int>(static_cast<unsigned>(a) + b); }
inline unsigned sum(unsigned a, unsigned b) { return a + b; }
inline unsigned long long sum(unsigned long long a, unsigned long long b) { return a + b; }

}  // namespace emulator

#define EMULATOR_ATOMIC(name, T, result)                                                          \
    inline __attribute__((always_inline)) T name(T *address, T value) {                           \
        return emulator::update(address, [=](T old) -> T { return result; });                     \
    }
#define EMULATOR_ATOMIC_INTEGERS(name, result)                                                    \
    EMULATOR_ATOMIC(name, int, result)                                                            \
    EMULATOR_ATOMIC(name, unsigned, result)                                                       \
    EMULATOR_ATOMIC(name, unsigned long long, result)

EMULATOR_ATOMIC_INTEGERS(atomicAdd, emulator::sum(old, value))
EMULATOR_ATOMIC(atomicAdd, float, old + value)
EMULATOR_ATOMIC(atomicAdd, double, old + value)
EMULATOR_ATOMIC_INTEGERS(atomicMax, old > value ? old : value)
