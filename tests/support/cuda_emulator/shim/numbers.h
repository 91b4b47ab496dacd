// Arithmetic: CUDA's names for what the host's <math.h> has, and what it has not, as far as kernels
// and tests use them. Nothing is contracted into an fma that the kernel does not write: results
// differ from a GPU's by rounding.
#pragma once

#define EMULATOR_MIN_MAX(T)                           \
    inline T min(T a, T b) { return b < a ? b : a; }  \
    inline T max(T a, T b) { return a < b ? b : a; }
EMULATOR_MIN_MAX(int)
EMULATOR_MIN_MAX(long long)
inline float max(float a, float b) { return fmaxf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float __int_as_float(int x) {
    float as_float;
    __builtin_memcpy(&as_float, &x, sizeof x);
    return as_float;
}

inline int __float_as_int(float x) {
    int as_int;
    __builtin_memcpy(&as_int, &x, sizeof x);
    return as_int;
}

inline double __longlong_as_double(long long x) {
    double as_double;
    __builtin_memcpy(&as_double, &x, sizeof x);
    return as_double;
}

// NVRTC has neither INFINITY nor NAN.
#undef INFINITY
#undef NAN
