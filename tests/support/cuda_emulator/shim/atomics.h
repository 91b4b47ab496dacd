// Atomic operations: the runtime judges the access and does the copying, so that the compiler's
// instrumentation does not take them for plain loads and stores.
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
inline float sum(float a, float b) { return a + b; }
inline double sum(double a, double b) { return a + b; }

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
EMULATOR_ATOMIC(atomicSub, int, static_cast<int>(static_cast<unsigned>(old) - value))
EMULATOR_ATOMIC(atomicSub, unsigned, old - value)
EMULATOR_ATOMIC_INTEGERS(atomicMin, old < value ? old : value)
EMULATOR_ATOMIC(atomicMin, long long, old < value ? old : value)
EMULATOR_ATOMIC_INTEGERS(atomicMax, old > value ? old : value)
EMULATOR_ATOMIC(atomicMax, long long, old > value ? old : value)
EMULATOR_ATOMIC_INTEGERS(atomicAnd, old & value)
EMULATOR_ATOMIC_INTEGERS(atomicOr, old | value)
EMULATOR_ATOMIC_INTEGERS(atomicXor, old ^ value)
EMULATOR_ATOMIC_INTEGERS(atomicExch, (static_cast<void>(old), value))
EMULATOR_ATOMIC(atomicExch, float, (static_cast<void>(old), value))
EMULATOR_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
EMULATOR_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)

#define EMULATOR_CAS(T)                                                                           \
    inline __attribute__((always_inline)) T atomicCAS(T *address, T expected, T value) {          \
        return emulator::update(address, [=](T old) { return old == expected ? value : old; });   \
    }
EMULATOR_CAS(int)
EMULATOR_CAS(unsigned)
EMULATOR_CAS(unsigned long long)
