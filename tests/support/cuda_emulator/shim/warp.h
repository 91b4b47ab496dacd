// Shuffles and __syncwarp: meetings of the lanes of a warp, held by the runtime. Those that kernels
// and tests use.
#pragma once

extern "C" {
unsigned long emulator_meet(int meeting, unsigned mask, unsigned long value, int source,
                            const char *place);
int emulator_lane();
}

namespace emulator {

enum Meeting { kSync, kShuffle, kMultiply };  // runtime/runtime.h has the same numbers

template <class T>
inline T shuffle(unsigned mask, T value, int source, const char *place) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    unsigned long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = emulator_meet(kShuffle, mask, bits, source, place);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

// The lane to read from: within the calling lane's group of `width` lanes, or itself.
inline int across(int lane_mask, int width = 32) {  // later groups are out of reach
    const int lane = emulator_lane(), source = lane ^ lane_mask;
    return source / width > lane / width ? lane : source;
}

inline int within(int source, int width = 32) {
    return emulator_lane() / width * width + (source & (width - 1));
}

constexpr unsigned mask_of(unsigned mask = 0xffffffff) { return mask; }

}  // namespace emulator

#define __shfl_sync(mask, value, ...) \
    emulator::shuffle(mask, value, emulator::within(__VA_ARGS__), EMULATOR_PLACE)
#define __shfl_xor_sync(mask, value, ...) \
    emulator::shuffle(mask, value, emulator::across(__VA_ARGS__), EMULATOR_PLACE)
#define __syncwarp(...) \
    void(emulator_meet(emulator::kSync, emulator::mask_of(__VA_ARGS__), 0, 0, EMULATOR_PLACE))

// Which lanes run together is the hardware's choice; here each runs alone.
extern "C" unsigned __activemask()
    __attribute__((error("__activemask is not emulated: name the lanes in a mask")));
