// What is said of halves and of the fp32 sums that they stand for: the bound between the two.
//
// Numbers of an image, and of a filter, are scaled by a power of two, its own, so that the largest
// is 2^10 to 2^11: no half overflows, and what is 2^24 times smaller is still a normal half. Smaller
// ones count as 0. Channels are last, and padded by zeros.
//
// With w, x the scaled numbers, w^, x^ their halves, and norms over a filter and a patch,
//     |w x - w^ x^| <= ||w - w^|| ||x|| + ||w^|| ||x - x^||                      (rounding to halves).
// The sequential fp32 sum that decides errs by at most 2^-24 |s| for every partial sum s and every
// product; the tensor cores, which add 16 products to a sum at once, are taken to err by at most
// 2^-20 (|s| + the products' sizes) each time. (NVIDIA does not say; by published measurements they
// cut off behind the 25th bit of the largest addend: 17 addends and the result are then within
// 2^-20.6.) So, with N terms,
//     2^-24 sum_j |s_j| for fp32, and 2^-20 / 16 of it for the tensor cores.
// Terms come in chunks of 64 channels with all their taps, in either order. At the end of a chunk
// both have added the same terms, and proposals.cu sees how large its sum is then: at most M. Within
// a chunk |s_j| <= M + ||w_i..j|| ||x_i..j|| from its first term i on, and by Cauchy and Schwarz
//     sum_j |s_j| <= N M + (sum_j w_j^2 after_j)^1/2 (sum_j x_j^2 after_j)^1/2
// where after_j is how many partial sums of its chunk have the term j. Products' sizes add up to
// ||w|| ||x||: 2^-20 and 2^-24 of that, 2^-19 for good measure. So
//     |fp32 - tensor cores| <= a ||x|| + ||w^|| ||x - x^|| + v y + 2^-23 N M,  plus the bias's part,
// a = ||w - w^|| + 2^-19 ||w||, v and y the roots above with what is after j in either order added
// up, v times 2^-24. kSlack covers the rounding of the norms, kPartial that of M. Squares that
// would underflow count as kTiny.

constexpr int kChunk = 64;  // terms that are multiplied before the next ones are brought
__device__ inline float infinity() { return __int_as_float(0x7f800000); }
constexpr float kSlack = 1.01f;
constexpr float kPartial = 1.3e-7f;  // 2^-23, and a tenth
constexpr float kTiny = 7.8886e-31f;  // 2^-100
constexpr float kSmallestHalf = 6.1035e-5f;  // a little less than 2^-14

struct __align__(16) Eight {
    unsigned pair[4];
};

struct __align__(16) Four {
    float a, b, c, d;
};

__device__ inline bool is_finite(float x) { return fabsf(x) <= 3.4e38f; }

__device__ inline float block_max(float mine) {
    __shared__ float largest[kWarp];
    for (int away = kWarp / 2; away > 0; away /= 2)
        mine = fmaxf(mine, __shfl_xor_sync(kAllLanes, mine, away));
    __syncthreads();
    if (threadIdx.x % kWarp == 0) largest[threadIdx.x / kWarp] = mine;
    __syncthreads();
    mine = largest[0];
    for (int warp = 1; warp < int(blockDim.x) / kWarp; ++warp) mine = fmaxf(mine, largest[warp]);
    return mine;
}

// The exponent of the scale that takes a largest size to 2^10 or a little more; 0 for zeros.
__device__ inline int exponent_for(float largest) {
    const int exponent = __float_as_int(largest) >> 23;
    return exponent == 0 ? 0 : min(120, 137 - exponent);
}

__device__ inline float power_of_two(int exponent) { return __int_as_float((exponent + 127) << 23); }

// A number as a half, and its part in the sums of squares.
struct Rounded {
    unsigned short half;
    float square, error, size;  // squares of the number, of what the half misses, of the half

    __device__ Rounded(float x, float scale) {
        half = 0;
        square = error = size = 0;
        if (x == 0) return;
        if (!is_finite(x)) {  // no bound holds
            square = error = infinity();
            return;
        }
        const float scaled = x * scale;
        half = to_half(scaled);
        float rounded = from_half(half);
        if (fabsf(rounded) < kSmallestHalf) half = 0, rounded = 0;
        square = fmaxf(scaled * scaled, kTiny);
        error = fmaxf((scaled - rounded) * (scaled - rounded), kTiny);
        size = rounded * rounded;
    }
};

// Numbers as integers in the same order, so that the largest can be found by atomicMax.
__device__ inline int in_order(float x) {
    const int bits = __float_as_int(x);
    return bits >= 0 ? bits : bits ^ 0x7fffffff;
}

__device__ inline float from_order(int x) { return __int_as_float(x >= 0 ? x : x ^ 0x7fffffff); }

// How far a unit of a filter and a patch may be off, but for the bias; of_filters and of_patches
// (halves.cu) have a, ||w^||, v and ||x||, ||x - x^||, y.
__device__ inline float error_of(const Four& of_filter, const Four& of_patch) {
    return of_filter.a * of_patch.a + of_filter.b * of_patch.b + of_filter.c * of_patch.c;
}

// What is known of a map of an image: how its units are bounded, in their scale.
struct Bounds {
    Four of_filter;
    float of_bias, floor;  // what the bias's rounding adds; at or below `floor` a unit is silent

    __device__ Bounds(const float* of_filters, const float* bias, int map, int exponent, int n_terms)
        : of_filter(reinterpret_cast<const Four*>(of_filters)[map]) {
        const int scale = exponent + int(of_filter.d);
        const float b = bias[map];
        const float factor =
            scale > 127 ? infinity() : __int_as_float(max(scale + 127, 0) << 23);
        // 2^-126: what is below it may count as 0. Where fp32 might overflow, no bound holds.
        const bool safe = scale >= -80 && fabsf(b) < 4e37f;
        of_bias = safe ? n_terms * (fabsf(b) * 5.97e-8f + 1.1755e-38f) * factor : infinity();
        floor = of_bias < infinity() ? -b * factor : -infinity();
    }
};
