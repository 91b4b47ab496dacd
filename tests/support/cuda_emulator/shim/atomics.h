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

}  // namespace emulator

inline __attribute__((always_inline)) int atomicAdd(int *address, int value) {  // wraps around
    return emulator::update(address, [=](int old) { return int(unsigned(old) + value); });
}

inline __attribute__((always_inline)) float atomicAdd(float *address, float value) {
    return emulator::update(address, [=](float old) { return old + value; });
}

inline __attribute__((always_inline)) int atomicMax(int *address, int value) {
    return emulator::update(address, [=](int old) { return old < value ? value : old; });
}

inline __attribute__((always_inline)) int atomicMin(int *address, int value) {
    return emulator::update(address, [=](int old) { return value < old ? value : old; });
}
