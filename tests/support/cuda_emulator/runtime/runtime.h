// What the parts of the runtime know of each other.
//
// One block runs at a time, its threads as fibers that switch only where CUDA lets threads meet.
// Every load and store of a kernel is announced here first (see accesses.cpp), so that a forbidden
// one is reported before it happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "sanitizer.h"

namespace emulator {

constexpr int kMaxThreads = 1024, kWarp = 32;
constexpr size_t kStack = 256 << 10;  // bytes of a fiber's stack

using Context = void *[5];  // of __builtin_setjmp

struct Dim {
    unsigned x, y, z;
};

enum class State { ready, at_barrier, in_warp, done };
enum Meeting { kSync, kShuffle, kMultiply };  // what a warp meets for; shim/ has the same numbers

struct Fiber {
    State state;
    int number;         // of the thread in its block, x running fastest
    bool started;       // its stack holds a suspended call
    Context context;    // where it goes on
    Stack stack;
    const char *place;  // where it waits, "file:line"
    Meeting meeting;    // its warp's, and what it brings there and takes away in `value`
    unsigned mask;
    int source;
    uint64_t value;
    // Which accesses of its warp it comes after: clock counts its own __syncwarp since the last
    // barrier, seen[lane] the clock of another lane that it has met.
    unsigned clock, seen[kWarp];
};

struct Launch {  // mirrored in launch.py
    void (*entry)(void **arguments);
    void **arguments;
    unsigned grid[3], block[3];
    uint64_t shared_bytes, shared_limit;
    int order;  // 0 forward, 1 reversed, 2 random
    uint64_t seed;
    uint64_t first_blocks, last_blocks;  // how many of the grid's run; none between them
};

struct Fault {  // mirrored in launch.py
    char message[512];
    Dim block, thread;
    char place[256];   // "file:line"; empty: to be looked up from the address
    uint64_t address;  // of the instruction, within the kernel's library
    int is_launch_error;
};

extern const Launch *launch;
extern Fault *fault;
extern int n_threads;
extern Fiber fibers[kMaxThreads];
extern Fiber *current;       // the fiber that runs; null in the scheduler
extern uintptr_t own_stack;  // where its stack starts
extern uint32_t epoch;       // counts barriers and blocks over the life of the process
extern uint32_t block_start, launch_start, last_fence;  // epochs

// fibers.cpp
Dim thread_index(int number);
void resume(Fiber &fiber);   // run it until it waits, ends or fails
void wait();                 // back to the scheduler
void forget_fibers();        // after a fault: none of the suspended calls will be resumed

// faults: the first one ends the launch
void locate(const Fiber &fiber, const char *place);
void locate(const void *instruction);
[[noreturn]] void give_up();

template <class... Details>
void describe(const Fiber &fiber, const char *place, const char *format, Details... details) {
    snprintf(fault->message, sizeof fault->message, format, details...);
    locate(fiber, place);
}

template <class... Details>
[[noreturn]] void fail(const char *place, const char *format, Details... details) {
    describe(*current, place, format, details...);
    give_up();
}

template <class... Details>
[[noreturn]] void fail_at(const void *instruction, const char *format, Details... details) {
    describe(*current, "", format, details...);
    locate(instruction);
    give_up();
}

const char *short_name(const char *place);  // without the folders

// warp.cpp
void resolve_meetings(int warp);
bool is_missing(const Fiber &fiber, const Fiber &asking);  // named in its mask, and not there

// tensor.cpp
void multiply_fragments(Fiber *warp, unsigned lanes);
void forget_copies();

// arrays.cpp, accesses.cpp: before a launch
void open_shared_memory();
void remember_images();

}  // namespace emulator
