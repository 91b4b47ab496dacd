// Every access of a kernel, judged before it happens: is it inside an array, has somebody written
// what it reads, is it ordered after what other threads did there.
//
// The compiler's -fsanitize=thread calls __tsan_read4(address) and so on in front of every load
// and store; these functions are ours, not the sanitizer's.
//
// Each array has a cell per element for the last accesses of it. An access is a 64-bit stamp: the
// epoch (high 32 bits), the thread's clock in its warp (22 bits) and the thread (10 bits). Epochs
// never repeat, so nothing is cleared between blocks: what is older than the block is not written.
#include "arrays.h"

#include <algorithm>
#include <cstring>
#include <link.h>

namespace emulator {

enum Access { kRead, kWrite, kAtomic };
constexpr const char *kNames[] = {"read", "write", "atomic operation"};
constexpr const char *kDone[] = {"read", "written", "changed atomically"};

static uint32_t epoch_of(Stamp stamp) { return stamp >> 32; }
static int thread_of(Stamp stamp) { return stamp & 1023; }
static unsigned clock_of(Stamp stamp) { return stamp >> 10 & 0x3fffff; }

static Stamp stamp_now() {
    return Stamp(epoch) << 32 | Stamp(current->clock & 0x3fffff) << 10 | Stamp(current->number);
}

// Whether what the stamp stands for comes before whatever the running thread does now.
static inline bool is_before(Stamp stamp, bool is_shared) {
    const uint32_t then = epoch_of(stamp);
    if (then < epoch)  // only other blocks are not ordered, and they share no shared memory
        return is_shared || then >= block_start || then < launch_start || then <= last_fence;
    if (thread_of(stamp) == current->number) return true;
    if (thread_of(stamp) / kWarp != current->number / kWarp) return false;
    return current->seen[thread_of(stamp) % kWarp] >= clock_of(stamp);
}

[[noreturn]] static void fail_race(const Array &array, uint64_t cell, Access access, Access earlier,
                                   Stamp stamp, const void *instruction) {
    const uint64_t element = (cell << array.shift) / array.element;
    if (epoch_of(stamp) < block_start)
        fail_at(instruction, "race between blocks: %s of element %llu of %s, which another block "
             "has %s", kNames[access], (unsigned long long)element, array.name, kDone[earlier]);
    const Dim thread = thread_index(thread_of(stamp));
    fail_at(instruction, "race: %s of element %llu of %s, which thread (%u, %u, %u) has %s since "
         "the last barrier", kNames[access], (unsigned long long)element, array.name, thread.x,
         thread.y, thread.z, kDone[earlier]);
}

static inline void remember_read(Cell &cell, Stamp now) {
    if (thread_of(cell.read) != thread_of(now)) {
        const bool other_is_old = epoch_of(cell.other_read) < epoch;
        if (other_is_old || thread_of(cell.read) / kWarp != thread_of(now) / kWarp)
            cell.other_read = cell.read;
    }
    cell.read = now;
}

template <Access access>
static inline void judge_cell(Array &array, uint64_t number, Stamp now, const void *instruction) {
    Cell &cell = array.cells[number];
    if (array.is_shared && access != kWrite
        && std::max(epoch_of(cell.write), epoch_of(cell.atomic)) < block_start)
        fail_at(instruction, "%s of element %llu of %s, which nobody has written", kNames[access],
             (unsigned long long)((number << array.shift) / array.element), array.name);
    const auto demand = [&](Stamp stamp, Access earlier) {
        if (!is_before(stamp, array.is_shared))
            fail_race(array, number, access, earlier, stamp, instruction);
    };
    demand(cell.write, kWrite);
    if (access != kAtomic) demand(cell.atomic, kAtomic);
    if (access != kRead) demand(cell.read, kRead), demand(cell.other_read, kRead);
    if (access == kRead) remember_read(cell, now);
    if (access == kWrite) cell.write = now;
    if (access == kAtomic) cell.atomic = now;
}

// Where a kernel's constants are, in its own library, and threadIdx and the like, in this one.
struct Image {
    uintptr_t inside, start, end;
};
static Image images[2];

static int remember_image(dl_phdr_info *info, size_t, void *) {
    uintptr_t start = UINTPTR_MAX, end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto &part = info->dlpi_phdr[i];
        if (part.p_type != PT_LOAD) continue;
        start = std::min(start, info->dlpi_addr + part.p_vaddr);
        end = std::max(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
    }
    for (Image &image : images)
        if (start <= image.inside && image.inside < end) image.start = start, image.end = end;
    return 0;
}

void remember_images() {
    const uintptr_t entry = reinterpret_cast<uintptr_t>(launch->entry);
    if (images[0].inside == entry) return;
    images[0].inside = entry;
    images[1].inside = reinterpret_cast<uintptr_t>(images);
    dl_iterate_phdr(remember_image, nullptr);
}

static void judge_private(uintptr_t address, size_t size, Access access, const void *instruction) {
    for (const Image &image : images)
        if (image.start <= address && address + size <= image.end) return;
    fail_at(instruction, "%s of %zu bytes through a stray pointer (0x%llx)", kNames[access], size,
            (unsigned long long)address);
}

[[noreturn]] static void fail_bounds(const Array &array, int64_t offset, size_t size, Access access,
                                     const void *instruction) {
    const int64_t element = array.element;
    fail_at(instruction, "%s of %zu bytes out of bounds: element %lld of %s, which has %lld",
            kNames[access], size, (long long)(offset / element), array.name,
            (long long)(array.size / element));
}

template <Access access>
static inline void judge(const void *pointer, size_t size, const void *instruction) {
    if (kAddressSanitizer) return;  // of the accesses it would see only the atomic ones
    const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
    if (address - own_stack <= kStack - size) return;  // a local variable
    if (!current) return;                              // the library is being loaded
    Array *array = slot_of(address);
    if (!array || !array->name[0]) return judge_private(address, size, access, instruction);
    const uint64_t offset = address - array->start;
    if (offset >= array->size || offset + size > array->size)
        fail_bounds(*array, offset, size, access, instruction);
    const Stamp now = stamp_now();
    const uint64_t last = (offset + size - 1) >> array->shift;
    for (uint64_t cell = offset >> array->shift; cell <= last; ++cell)
        judge_cell<access>(*array, cell, now, instruction);
    if (access != kRead) array->written = true;
}

}  // namespace emulator

using namespace emulator;

#define INSTRUCTION __builtin_return_address(0)
#define ANNOUNCE(bytes)                                                                           \
    extern "C" void __tsan_read##bytes(void *p) { judge<kRead>(p, bytes, INSTRUCTION); }          \
    extern "C" void __tsan_write##bytes(void *p) { judge<kWrite>(p, bytes, INSTRUCTION); }
ANNOUNCE(1)
ANNOUNCE(2)
ANNOUNCE(4)
ANNOUNCE(8)
ANNOUNCE(16)
extern "C" void __tsan_read_range(void *p, size_t n) { judge<kRead>(p, n, INSTRUCTION); }
extern "C" void __tsan_write_range(void *p, size_t n) { judge<kWrite>(p, n, INSTRUCTION); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit() {}

// An atomic operation: `old` is what was there, `emulator_store` puts the new value.
extern "C" void emulator_atomic(void *address, void *old, size_t size) {
    judge<kAtomic>(address, size, INSTRUCTION);
    memcpy(old, address, size);
}

extern "C" void emulator_store(void *address, const void *value, size_t size) {
    memcpy(address, value, size);
}
