// Meetings of the lanes of a warp: the last lane to arrive serves all of them.
//
// As the programming guide has it: every lane of the mask that has not returned takes part, with
// the same operation and the same mask. Only __syncwarp orders accesses to memory.
#include "runtime.h"

#include <algorithm>

namespace emulator {

bool is_missing(const Fiber &fiber, const Fiber &asking) {
    if (fiber.number / kWarp != asking.number / kWarp || fiber.state == State::done) return false;
    if (!(asking.mask >> fiber.number % kWarp & 1)) return false;
    return fiber.state != State::in_warp || fiber.mask != asking.mask
           || fiber.meeting != asking.meeting;
}

// The lanes of the mask that are there; 0 while one of them is missing.
static unsigned arrived(const Fiber &asking) {
    const int first = asking.number / kWarp * kWarp;
    unsigned lanes = 0;
    for (int lane = 0; lane < kWarp && first + lane < n_threads; ++lane) {
        const Fiber &fiber = fibers[first + lane];
        if (is_missing(fiber, asking)) return 0;
        if (asking.mask >> lane & 1 && fiber.state != State::done) lanes |= 1u << lane;
    }
    return lanes;
}

static void join_clocks(Fiber *warp, unsigned lanes) {
    unsigned joined[kWarp] = {};
    for (int lane = 0; lane < kWarp; ++lane) {
        if (!(lanes >> lane & 1)) continue;
        warp[lane].seen[lane] = warp[lane].clock++;
        for (int other = 0; other < kWarp; ++other)
            joined[other] = std::max(joined[other], warp[lane].seen[other]);
    }
    for (int lane = 0; lane < kWarp; ++lane)
        if (lanes >> lane & 1) std::copy(joined, joined + kWarp, warp[lane].seen);
}

static void serve(Fiber *warp, unsigned lanes) {
    const Meeting meeting = warp[__builtin_ctz(lanes)].meeting;
    uint64_t values[kWarp] = {};
    for (int lane = 0; lane < kWarp; ++lane)
        if (lanes >> lane & 1) values[lane] = warp[lane].value;
    for (int lane = 0; lane < kWarp; ++lane) {
        if (!(lanes >> lane & 1)) continue;
        Fiber &fiber = warp[lane];
        if (meeting == kShuffle && !(lanes >> fiber.source & 1) && !fault->message[0])
            describe(fiber, fiber.place, "the shuffle reads lane %d, which does not take part in "
                     "it", fiber.source);
        if (meeting == kShuffle) fiber.value = values[fiber.source];
        fiber.state = State::ready;
    }
    if (meeting == kSync) join_clocks(warp, lanes);
    if (meeting == kMultiply) multiply_fragments(warp, lanes);
}

void resolve_meetings(int number) {
    Fiber *warp = fibers + number * kWarp;
    for (int lane = 0; lane < kWarp && number * kWarp + lane < n_threads; ++lane)
        if (warp[lane].state == State::in_warp)
            if (const unsigned lanes = arrived(warp[lane])) serve(warp, lanes);
}

extern "C" uint64_t emulator_meet(int meeting, unsigned mask, uint64_t value, int source,
                                  const char *place) {
    const int lane = current->number % kWarp;
    if (!(mask >> lane & 1))
        fail(place, "lane %d calls a warp-wide operation whose mask 0x%08x does not name "
             "it", lane, mask);
    current->meeting = Meeting(meeting), current->mask = mask;
    current->value = value, current->source = source, current->place = place;
    current->state = State::in_warp;
    if (const unsigned lanes = arrived(*current)) serve(current - lane, lanes);
    if (current->state != State::ready || fault->message[0]) wait();
    return current->value;
}

}  // namespace emulator
