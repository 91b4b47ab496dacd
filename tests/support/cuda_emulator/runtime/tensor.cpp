// Products of a warp's matrix fragments, and copies that a thread does not wait for.
//
// Which element of a matrix lies in which register of which lane is written in the PTX manual,
// "Matrix Fragments for mma.m16n8k16 with floating point type": below, it is `row` and `column`.
#include "runtime.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace emulator {

struct Fragments {  // shim/tensor.h has the same
    float *sums;            // 16 x 8: 4 numbers a lane
    const unsigned *left;   // 16 x 16 halves: 4 pairs a lane
    const unsigned *right;  // 16 x 8 halves: 2 pairs a lane
};

static float number_of(unsigned half) {
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                       : exponent     ? std::ldexp(float(1024 + mantissa), exponent - 25)
                                      : std::ldexp(float(mantissa), -24);
    return half & 0x8000 ? -size : size;
}

extern "C" float emulator_from_half(unsigned short half) { return number_of(half); }

// The nearest half, of two equally near the even one.
extern "C" unsigned short emulator_to_half(float x) {
    const unsigned sign = std::signbit(x) ? 0x8000 : 0;
    if (std::isnan(x)) return 0x7fff;
    const float size = std::fabs(x);
    if (size >= 65520) return sign | 0x7c00;
    const int exponent = size < 0x1p-14f ? -14 : std::ilogb(size);
    const int steps = int(std::nearbyint(std::ldexp(size, 10 - exponent)));  // 1024 to 2048
    return sign | (((exponent + 14) << 10) + steps);
}

// sums += left by right, for the whole warp, in double: a device's own sums are less exact.
void multiply_fragments(Fiber *warp, unsigned lanes) {
    if (lanes != 0xffffffff) {
        describe(warp[__builtin_ctz(lanes)], warp[__builtin_ctz(lanes)].place,
                 "a product of fragments needs all 32 lanes of its warp");
        return;
    }
    static float left[16][16], right[16][8];
    for (int lane = 0; lane < kWarp; ++lane) {
        const auto *of = reinterpret_cast<const Fragments *>(warp[lane].value);
        const int group = lane / 4, pair = lane % 4 * 2;
        for (int i = 0; i < 8; ++i) {
            const int row = group + (i / 2 % 2) * 8, column = pair + i % 2 + (i / 4) * 8;
            left[row][column] = number_of(of->left[i / 2] >> (i % 2 * 16) & 0xffff);
        }
        for (int i = 0; i < 4; ++i)
            right[pair + i % 2 + (i / 2) * 8][group] =
                number_of(of->right[i / 2] >> (i % 2 * 16) & 0xffff);
    }
    for (int lane = 0; lane < kWarp; ++lane) {
        float *sums = reinterpret_cast<const Fragments *>(warp[lane].value)->sums;
        for (int i = 0; i < 4; ++i) {
            const int row = lane / 4 + (i / 2) * 8, column = lane % 4 * 2 + i % 2;
            double sum = sums[i];
            for (int k = 0; k < 16; ++k) sum += double(left[row][k]) * right[k][column];
            sums[i] = float(sum);
        }
    }
}

// A copy of 16 bytes that is under way. Until the thread has waited for it nobody may rely on what
// is there: the runtime writes rubbish when the copy starts, and the bytes when it is waited for.
struct Copy {
    void *to;
    unsigned bytes[4];
    int group;
};
static std::vector<Copy> copies[kMaxThreads];
static int n_groups[kMaxThreads];  // committed so far

void forget_copies() {
    for (int i = 0; i < n_threads; ++i) copies[i].clear(), n_groups[i] = 0;
}

extern "C" void __tsan_read16(void *);
extern "C" void __tsan_write16(void *);

extern "C" void emulator_copy_start(void *to, const void *from) {
    __tsan_read16(const_cast<void *>(from));
    __tsan_write16(to);
    Copy copy{to, {}, n_groups[current->number]};
    memcpy(copy.bytes, from, 16);
    memset(to, 0xff, 16);
    copies[current->number].push_back(copy);
}

extern "C" void emulator_copy_commit() { ++n_groups[current->number]; }

// Wait for all but the `n_left` groups that were committed last.
extern "C" void emulator_copy_wait(int n_left) {
    std::vector<Copy> &mine = copies[current->number];
    std::vector<Copy> left;
    for (const Copy &copy : mine) {
        if (copy.group >= n_groups[current->number] - n_left) {
            left.push_back(copy);
            continue;
        }
        __tsan_write16(copy.to);
        memcpy(copy.to, copy.bytes, 16);
    }
    mine = left;
}

}  // namespace emulator
