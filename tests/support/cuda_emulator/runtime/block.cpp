// The scheduler: blocks one after another, within a block every fiber to its next meeting point.
#include "runtime.h"

#include <algorithm>
#include <cstring>
#include <utility>

extern "C" emulator::Dim threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

const Launch *launch;
Fault *fault;
int n_threads;
uint32_t epoch, block_start, launch_start, last_fence;
static int turns[kMaxThreads];  // the fibers in the order in which they run
static uint64_t random_state;

static uint64_t draw(uint64_t bound) {  // xorshift64*: any spread will do
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (random_state * 0x2545F4914F6CDD1Dull >> 11) % bound;
}

static void shuffle(int *numbers, int n) {
    for (int i = n - 1; i > 0; --i) std::swap(numbers[i], numbers[draw(i + 1)]);
}

// "thread (1, 0, 0) waits at tile.cu:12": what became of a thread that others wait for.
static const char *whereabouts(const Fiber &fiber) {
    static char text[320];
    const Dim at = thread_index(fiber.number);
    const bool ended = fiber.state == State::done;
    snprintf(text, sizeof text, "thread (%u, %u, %u) %s%s", at.x, at.y, at.z,
             ended ? "has returned" : "waits at ", ended ? "" : short_name(fiber.place));
    return text;
}

static bool is_elsewhere(const Fiber &fiber, const Fiber &waiting) {
    return fiber.state != waiting.state || strcmp(fiber.place, waiting.place) != 0;
}

// No fiber is ready. Whether that is a fault: some wait for others that will not come.
static bool is_stuck() {
    const auto find = [](auto condition) {
        return std::find_if(fibers, fibers + n_threads, condition);
    };
    const Fiber *end = fibers + n_threads;
    const Fiber *lane = find([](const Fiber &f) { return f.state == State::in_warp; });
    if (lane != end) {
        const int first = lane->number / kWarp * kWarp;
        const Fiber *missing = find([=](const Fiber &f) { return is_missing(f, *lane); });
        describe(*lane, lane->place, "lane %d waits for the lanes of the mask 0x%08x, but %s",
                 lane->number - first, lane->mask, whereabouts(*missing));
        return true;
    }
    const Fiber *waiting = find([](const Fiber &f) { return f.state == State::at_barrier; });
    if (waiting == end) return false;
    const Fiber *other = find([=](const Fiber &f) { return is_elsewhere(f, *waiting); });
    if (other == end) return false;
    describe(*waiting, waiting->place, "divergent barrier: %s", whereabouts(*other));
    return true;
}

static bool faulty() { return fault->message[0] != 0; }

// Every fiber that can goes on, once; false if none could.
static bool run_ready_fibers() {
    bool any = false;
    for (int i = 0; i < n_threads && !faulty(); ++i)
        if (fibers[turns[i]].state == State::ready) any = true, resume(fibers[turns[i]]);
    return any;
}

static void release_barrier() {
    ++epoch;
    for (int i = 0; i < n_threads; ++i) {
        Fiber &fiber = fibers[i];
        fiber.state = State::ready;
        fiber.clock = 1;
        memset(fiber.seen, 0, sizeof fiber.seen);
    }
    if (launch->order == 2) shuffle(turns, n_threads);
}

static void run_block(uint64_t number) {
    const uint64_t x = launch->grid[0], y = launch->grid[1];
    blockIdx = {unsigned(number % x), unsigned(number / x % y), unsigned(number / x / y)};
    release_barrier();
    forget_copies();
    block_start = epoch;
    for (;;) {
        while (run_ready_fibers() && !faulty()) {}
        if (faulty() || is_stuck() || fibers[0].state == State::done) return;
        release_barrier();
    }
}

static uint64_t block_at(uint64_t turn, uint64_t n_blocks, uint64_t start, uint64_t stride) {
    if (launch->order == 1) return n_blocks - 1 - turn;
    if (launch->order == 2) return (start + turn * stride) % n_blocks;
    return turn;
}

// A stride that visits every block once, whatever block comes first.
static uint64_t stride_over(uint64_t n_blocks) {
    for (;;) {
        const uint64_t stride = 1 + draw(n_blocks);
        uint64_t a = stride, b = n_blocks;
        while (b) a = std::exchange(b, a % b);
        if (a == 1) return stride;
    }
}

// 0, or 1 with `found` filled in. The arrays are uploaded before (arrays.cpp).
extern "C" int emulator_launch(const Launch *asked, Fault *found) {
    launch = asked, fault = found;
    memset(fault, 0, sizeof *fault);
    blockDim = {launch->block[0], launch->block[1], launch->block[2]};
    gridDim = {launch->grid[0], launch->grid[1], launch->grid[2]};
    n_threads = blockDim.x * blockDim.y * blockDim.z;
    random_state = launch->seed * 2 + 1;
    for (int i = 0; i < n_threads; ++i) {
        fibers[i].number = i;
        turns[i] = launch->order == 1 ? n_threads - 1 - i : i;
    }
    launch_start = epoch + 1;
    open_shared_memory();
    remember_images();
    const uint64_t of_grid = uint64_t(gridDim.x) * gridDim.y * gridDim.z;
    const uint64_t first = std::min(of_grid, launch->first_blocks);
    const uint64_t n_blocks = first + std::min(of_grid - first, launch->last_blocks);
    const uint64_t start = draw(n_blocks), stride = stride_over(n_blocks);
    for (uint64_t turn = 0; turn < n_blocks && !faulty(); ++turn) {
        const uint64_t number = block_at(turn, n_blocks, start, stride);
        run_block(number < first ? number : of_grid - n_blocks + number);
    }
    if (faulty()) forget_fibers();
    return faulty();
}

extern "C" void emulator_barrier(const char *place) {
    current->place = place;
    current->state = State::at_barrier;
    wait();
}

extern "C" int emulator_lane() { return current->number % kWarp; }

extern "C" void emulator_fence() { last_fence = epoch; }

}  // namespace emulator
