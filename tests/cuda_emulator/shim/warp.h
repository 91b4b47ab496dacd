// Shuffles and votes: meetings of the lanes of a warp, held by the runtime.
#pragma once

extern "C" {
unsigned long emulator_meet(int meeting, unsigned mask, unsigned long value, int source, const char *place);
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

}  // namespace emulator

#define __shfl_sync(mask, value, source, ...) \
    emulator::shuffle(mask, value, emulator::within(source, emulator::width_of(__VA_ARGS__)), EMULATOR_PLACE)
#define __shfl_up_sync(mask, value, delta, ...) \
    emulator::shuffle(mask, value, emulator::up(delta, emulator::width_of(__VA_ARGS__)), EMULATOR_PLACE)
#define __shfl_down_sync(mask, value, delta, ...) \
    emulator::shuffle(mask, value, emulator::down(delta, emulator::width_of(__VA_ARGS__)), EMULATOR_PLACE)
#define __shfl_xor_sync(mask, value, lane_mask, ...) \
    emulator::shuffle(mask, value, emulator::across(lane_mask, emulator::width_of(__VA_ARGS__)), EMULATOR_PLACE)

#define EMULATOR_VOTE(meeting, mask, predicate) \
    emulator_meet(emulator::meeting, mask, (predicate) != 0, 0, EMULATOR_PLACE)
#define __any_sync(mask, predicate) static_cast<int>(EMULATOR_VOTE(kAny, mask, predicate))
#define __all_sync(mask, predicate) static_cast<int>(EMULATOR_VOTE(kAll, mask, predicate))
#define __ballot_sync(mask, predicate) static_cast<unsigned>(EMULATOR_VOTE(kBallot, mask, predicate))
#define EMULATOR_SYNCWARP(mask, ...) static_cast<void>(EMULATOR_VOTE(kSyncWarp, mask, 0))
#define __syncwarp(...) EMULATOR_SYNCWARP(__VA_ARGS__ __VA_OPT__(, ) 0xffffffffu)

// Which lanes run together is the hardware's choice; here each runs alone.
extern "C" unsigned __activemask()
    __attribute__((error("__activemask is not emulated: name the lanes in a mask")));
