// Arithmetic: CUDA's names for what the host's <math.h> has, and what it has not, as far as kernels
// and tests use them. Nothing is contracted into an fma that the kernel does not write: results
// differ from a GPU's by rounding.
#pragma once

#define EMULATOR_MIN_MAX(T)                                                                       \
    inline T min(T a, T b) { return b < a ? b : a; }                                              \
    inline T max(T a, T b) { return a < b ? b : a; }
EMULATOR_MIN_MAX(int)
EMULATOR_MIN_MAX(unsigned)
EMULATOR_MIN_MAX(long)
EMULATOR_MIN_MAX(unsigned long)
EMULATOR_MIN_MAX(long long)
EMULATOR_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }

namespace emulator {
template <class To, class From>
inline To reinterpret(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
}  // namespace emulator

inline int __float_as_int(float x) { return emulator::reinterpret<int>(x); }
inline float __int_as_float(int x) { return emulator::reinterpret<float>(x); }
inline double __longlong_as_double(long long x) { return emulator::reinterpret<double>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }

template <class T>
inline T __ldg(const T *address) { return *address; }

// NVRTC has neither INFINITY nor NAN.
#undef INFINITY
#undef NAN
#define CUDART_INF_F __builtin_inff()
