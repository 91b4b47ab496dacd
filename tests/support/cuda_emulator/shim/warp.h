// Shuffles and votes: meetings of the lanes of a warp, held by the runtime.
#pragma once

extern "C" {
unsigned long emulator_meet(int meeting, unsigned mask, unsigned long value, int source,
                            const char *place);
int emulator_lane();
}

namespace emulator {

enum Meeting { kSyncWarp, kShuffle, kAny, kAll, kBallot };  // as in runtime/runtime.h

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
inline int up(int delta, int width) {
    const int lane = emulator_lane();
    return lane % width < delta ? lane : lane - delta;
}

inline int down(int delta, int width) {
    const int lane = emulator_lane();
    return lane % width + delta >= width ? lane : lane + delta;
}

inline int across(int lane_mask, int width) {  // later groups are out of reach, earlier ones not
    const int lane = emulator_lane(), source = lane ^ lane_mask;
    return source / width > lane / width ? lane : source;
}

inline int within(int source, int width) {
    return emulator_lane() / width * width + (source & (width - 1));
}

constexpr int width_of(int width = 32) { return width; }
constexpr unsigned mask_of(unsigned mask = 0xffffffff) { return mask; }

}  // namespace emulator

#define EMULATOR_SHUFFLE(mask, value, lanes, by, ...)                                       \
    emulator::shuffle(mask, value, emulator::lanes(by, emulator::width_of(__VA_ARGS__)),    \
                      EMULATOR_PLACE)
#define __shfl_sync(mask, value, ...) EMULATOR_SHUFFLE(mask, value, within, __VA_ARGS__)
#define __shfl_up_sync(mask, value, ...) EMULATOR_SHUFFLE(mask, value, up, __VA_ARGS__)
#define __shfl_down_sync(mask, value, ...) EMULATOR_SHUFFLE(mask, value, down, __VA_ARGS__)
#define __shfl_xor_sync(mask, value, ...) EMULATOR_SHUFFLE(mask, value, across, __VA_ARGS__)

#define EMULATOR_VOTE(meeting, mask, predicate) \
    emulator_meet(emulator::meeting, mask, (predicate) != 0, 0, EMULATOR_PLACE)
#define __any_sync(mask, predicate) int(EMULATOR_VOTE(kAny, mask, predicate))
#define __all_sync(mask, predicate) int(EMULATOR_VOTE(kAll, mask, predicate))
#define __ballot_sync(mask, predicate) unsigned(EMULATOR_VOTE(kBallot, mask, predicate))
#define __syncwarp(...) void(EMULATOR_VOTE(kSyncWarp, emulator::mask_of(__VA_ARGS__), 0))

// Which lanes run together is the hardware's choice; here each runs alone.
extern "C" unsigned __activemask()
    __attribute__((error("__activemask is not emulated: name the lanes in a mask")));
