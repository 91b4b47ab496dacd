// Threads as fibers: a stack each, switched by hand.
//
// ucontext makes the stacks; the switches are the compiler's own setjmp and longjmp. They cost no
// system call, which swapcontext does, and AddressSanitizer leaves them alone: at the library's
// ones it forgets where the arrays of the stack end. A fiber whose thread has returned takes the
// next block's thread: stacks are made once in the life of the process.
#include "runtime.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>

extern "C" {  // what kernels see as constants
emulator::Dim threadIdx, blockIdx, blockDim, gridDim;
}

namespace emulator {

Fiber fibers[kMaxThreads];
Fiber *current;
static Context scheduler;
static Stack scheduler_stack;
static char *stacks;
uintptr_t own_stack;

Dim thread_index(int number) {
    const unsigned x = launch->block[0], y = launch->block[1], n = number;
    return {n % x, n / x % y, n / x / y};
}

static uintptr_t stack_of(const Fiber &fiber) {
    if (!stacks) {
        const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        void *range = mmap(nullptr, kMaxThreads * kStack, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (range == MAP_FAILED) perror("the emulator's stacks"), abort();
        stacks = static_cast<char *>(range);
    }
    return reinterpret_cast<uintptr_t>(stacks + fiber.number * kStack);
}

static void run_threads() {
    arrive(current->stack, &scheduler_stack);
    for (;;) {
        launch->entry(launch->arguments);
        current->state = State::done;
        resolve_meetings(current->number / kWarp);  // a warp does not wait for the dead
        wait();
    }
}

[[noreturn]] __attribute__((noinline)) static void jump(Context &context) {
    __builtin_longjmp(context, 1);
}

[[noreturn]] static void start() {
    static ucontext_t fresh;
    getcontext(&fresh);
    fresh.uc_stack.ss_sp = reinterpret_cast<void *>(own_stack);
    fresh.uc_stack.ss_size = kStack;
    fresh.uc_link = nullptr;
    makecontext(&fresh, run_threads, 0);
    setcontext(&fresh);
    abort();
}

__attribute__((noinline)) void resume(Fiber &fiber) {
    current = &fiber;
    own_stack = stack_of(fiber);
    fiber.stack.bottom = reinterpret_cast<void *>(own_stack), fiber.stack.size = kStack;
    threadIdx = thread_index(fiber.number);
    if (__builtin_setjmp(scheduler) == 0) {
        leave(scheduler_stack, fiber.stack);
        if (fiber.started) jump(fiber.context);
        fiber.started = true;
        start();
    }
    arrive(scheduler_stack);
    current = nullptr;
}

__attribute__((noinline)) void wait() {
    if (__builtin_setjmp(current->context) == 0) {
        leave(current->stack, scheduler_stack);
        jump(scheduler);
    }
    arrive(current->stack);
}

void give_up() {
    leave(current->stack, scheduler_stack);
    jump(scheduler);
}

void forget_fibers() {
    for (Fiber &fiber : fibers) {
        if (fiber.started) unpoison(stack_of(fiber), kStack);
        fiber.started = false;
    }
}

const char *short_name(const char *place) {
    const char *slash = strrchr(place, '/');
    return slash ? slash + 1 : place;
}

void locate(const Fiber &fiber, const char *place) {
    snprintf(fault->place, sizeof fault->place, "%s", short_name(place));
    fault->thread = thread_index(fiber.number);
    fault->block = blockIdx;
}

void locate(const void *instruction) {
    Dl_info image;
    if (dladdr(instruction, &image))
        fault->address = static_cast<const char *>(instruction)
                         - static_cast<const char *>(image.dli_fbase) - 1;  // within the call
}

}  // namespace emulator
