// Every access of a kernel, judged before it happens: is it inside an array, has somebody written
// what it reads, is it ordered after what other threads did there.
//
// The compiler's -fsanitize=thread calls __tsan_read4(address) and so on in front of every load
// and store; these functions are ours, not the sanitizer's. Arrays lie in two ranges of addresses
// cut into slots much larger than any array, one array a slot: the address tells the slot, and a
// stray address nearly always falls into the slot of the array that it was meant for.
//
// Each array has a cell per element for the last accesses of it. An access is a 64-bit stamp: the
// epoch (high 32 bits), the thread's clock in its warp (22 bits) and the thread (10 bits). Epochs
// never repeat, so nothing is cleared between blocks: what is older than the block is not written.
#include "runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <link.h>
#include <sys/mman.h>

extern "C" emulator::Dim blockIdx;

namespace emulator {

using Stamp = uint64_t;
struct Cell {
    Stamp write, atomic, read, other_read;
};
enum Access { kRead, kWrite, kAtomic };
constexpr const char *kNames[] = {"read", "write", "atomic operation"};
constexpr const char *kDone[] = {"read", "written", "changed atomically"};

struct Array {
    uintptr_t start;
    uint64_t size, capacity, n_cells;
    unsigned element, shift;  // bytes of an element, log2 of the bytes of a cell
    bool is_shared, written;
    const void *tag;          // the declaration of a __shared__ array
    char name[64];
    Cell *cells;
};

constexpr int kGlobalBits = 32, kSharedBits = 20, kSlots = 64;
constexpr int kDynamic = 0;  // the slot of dynamic shared memory
static Array global_arrays[kSlots], shared_arrays[kSlots];
static uintptr_t global_base, shared_base;
static int n_shared;
static uint64_t static_bytes;

static uintptr_t reserve(uint64_t size, int protection) {
    void *range = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) perror("the emulator's address range"), abort();
    return reinterpret_cast<uintptr_t>(range);
}

static void shape(Array &array, uint64_t size, unsigned element) {
    array.size = size;
    array.element = element;
    array.shift = element % 4 == 0 ? 2 : element % 2 == 0 ? 1 : 0;
    array.written = false;
    const uint64_t n_cells = (size >> array.shift) + 1;
    if (n_cells <= array.n_cells) return;
    free(array.cells);
    array.cells = static_cast<Cell *>(calloc(n_cells, sizeof(Cell)));
    if (!array.cells) perror("the emulator's record of accesses"), abort();
    array.n_cells = n_cells;
}

void open_memory() {
    if (!shared_base)
        shared_base = reserve(uint64_t(kSlots) << kSharedBits, PROT_READ | PROT_WRITE);
    for (Array &array : shared_arrays) array.name[0] = 0;
    n_shared = 1;
    static_bytes = 0;
    Array &dynamic = shared_arrays[kDynamic];
    dynamic.start = shared_base + (1ull << (kSharedBits - 1));
    dynamic.is_shared = true;
    dynamic.element = 0;  // until its declaration is met
    dynamic.size = 0;
    strcpy(dynamic.name, "dynamic shared memory");
}

// Copies `size` bytes from the host into an array of the launch that comes next.
extern "C" uintptr_t emulator_upload(int slot, const void *host, uint64_t size, unsigned element,
                                     const char *name) {
    if (!global_base) global_base = reserve(uint64_t(kSlots) << kGlobalBits, PROT_NONE);
    if (slot >= kSlots || size >= 1ull << (kGlobalBits - 1)) return 0;
    Array &array = global_arrays[slot];
    array.start = global_base + (uint64_t(slot) << kGlobalBits) + (1ull << (kGlobalBits - 2));
    if (size > array.capacity) {
        void *start = reinterpret_cast<void *>(array.start);
        if (mprotect(start, size, PROT_READ | PROT_WRITE)) perror("mprotect"), abort();
        array.capacity = size;
    }
    snprintf(array.name, sizeof array.name, "%s", name);
    shape(array, size, element);
    memcpy(reinterpret_cast<void *>(array.start), host, size);
    return array.start;
}

extern "C" int emulator_written(int slot) { return global_arrays[slot].written; }

extern "C" void emulator_download(int slot, void *host) {
    const Array &array = global_arrays[slot];
    memcpy(host, reinterpret_cast<void *>(array.start), array.size);
}

// Arrays that a later launch does not have must not look as if it had them.
extern "C" void emulator_forget_arrays(int first_slot) {
    for (int slot = first_slot; slot < kSlots; ++slot) global_arrays[slot].name[0] = 0;
}

static void check_limit(const char *place) {
    const uint64_t asked = static_bytes + launch->shared_bytes;
    if (asked <= launch->shared_limit) return;
    fault->is_launch_error = 1;
    fail(place, "invalid configuration: %llu bytes of static and %llu of dynamic shared "
         "memory are more than the limit of %llu (kernel.max_dynamic_shared_size_bytes)",
         (unsigned long long)static_bytes, (unsigned long long)launch->shared_bytes,
         (unsigned long long)launch->shared_limit);
}

// The declaration of a __shared__ array: the same storage for every thread of the block.
extern "C" void *emulator_shared(const void *tag, const char *name, uint64_t size,
                                 unsigned element, const char *place) {
    for (int slot = 1; slot < n_shared; ++slot)
        if (shared_arrays[slot].tag == tag) return reinterpret_cast<void *>(shared_arrays[slot].start);
    if (n_shared == kSlots) fail(place, "more than %d shared arrays", kSlots - 1);
    static_bytes += size;
    check_limit(place);
    Array &array = shared_arrays[n_shared];
    array.start = shared_base + (uint64_t(n_shared++) << kSharedBits) + (1ull << (kSharedBits - 1));
    array.is_shared = true;
    array.tag = tag;
    snprintf(array.name, sizeof array.name, "shared %s", name);
    shape(array, size, element);
    return reinterpret_cast<void *>(array.start);
}

extern "C" void *emulator_dynamic_shared(unsigned element, const char *place) {
    Array &array = shared_arrays[kDynamic];
    if (array.element == 0) shape(array, launch->shared_bytes, element);
    if (array.element != element)
        fail(place, "dynamic shared memory is declared with elements of %u and of %u bytes",
             array.element, element);
    return reinterpret_cast<void *>(array.start);
}

static Array *slot_of(uintptr_t address) {
    if (uint64_t offset = address - shared_base; offset < uint64_t(kSlots) << kSharedBits)
        return shared_arrays + (offset >> kSharedBits);
    if (uint64_t offset = address - global_base; offset < uint64_t(kSlots) << kGlobalBits)
        return global_arrays + (offset >> kGlobalBits);
    return nullptr;
}

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

static inline void judge_cell(Array &array, uint64_t number, Access access, Stamp now,
                              const void *instruction) {
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

// The data of the kernel's own library (constants, texts) and of this one.
struct Search {
    uintptr_t address;
    bool found;
};

static int look_at_image(dl_phdr_info *image, size_t, void *data) {
    Search &search = *static_cast<Search *>(data);
    const uintptr_t entry = reinterpret_cast<uintptr_t>(launch->entry);
    bool is_kernel = false, has_address = false;
    for (int i = 0; i < image->dlpi_phnum; ++i) {
        const auto &part = image->dlpi_phdr[i];
        if (part.p_type != PT_LOAD) continue;
        const uintptr_t start = image->dlpi_addr + part.p_vaddr;
        is_kernel |= entry - start < part.p_memsz;
        has_address |= search.address - start < part.p_memsz;
    }
    search.found |= is_kernel && has_address;
    return search.found;
}

static void judge_private(uintptr_t address, size_t size, Access access, const void *instruction) {
    if (on_own_stack(address, size)) return;
    const uintptr_t index = reinterpret_cast<uintptr_t>(&blockIdx);
    if (address - index < sizeof blockIdx) return;
    Search search{address, false};
    dl_iterate_phdr(look_at_image, &search);
    if (!search.found)
        fail_at(instruction, "%s of %zu bytes through a stray pointer (0x%llx)", kNames[access],
             size, (unsigned long long)address);
}

static inline void judge(const void *pointer, size_t size, Access access, const void *instruction) {
    if (!current) return;  // the library is being loaded
    const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
    Array *array = slot_of(address);
    if (!array || !array->name[0]) return judge_private(address, size, access, instruction);
    const uint64_t offset = address - array->start;
    if (offset >= array->size || offset + size > array->size) {
        const long long element = array->element ? (long long)offset / (int)array->element : 0;
        fail_at(instruction, "%s of %zu bytes out of bounds: element %lld of %s, which has %llu",
             kNames[access], size, element, array->name,
             (unsigned long long)(array->element ? array->size / array->element : 0));
    }
    const Stamp now = stamp_now();
    const uint64_t last = (offset + size - 1) >> array->shift;
    for (uint64_t cell = offset >> array->shift; cell <= last; ++cell)
        judge_cell(*array, cell, access, now, instruction);
    if (access != kRead) array->written = true;
}

}  // namespace emulator

using namespace emulator;

#define INSTRUCTION __builtin_return_address(0)
#define ANNOUNCE(bytes)                                                                           \
    extern "C" void __tsan_read##bytes(void *p) { judge(p, bytes, kRead, INSTRUCTION); }          \
    extern "C" void __tsan_write##bytes(void *p) { judge(p, bytes, kWrite, INSTRUCTION); }
ANNOUNCE(1)
ANNOUNCE(2)
ANNOUNCE(4)
ANNOUNCE(8)
ANNOUNCE(16)
extern "C" void __tsan_read_range(void *p, size_t n) { judge(p, n, kRead, INSTRUCTION); }
extern "C" void __tsan_write_range(void *p, size_t n) { judge(p, n, kWrite, INSTRUCTION); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit() {}

// An atomic operation: `old` is what was there, `emulator_store` puts the new value.
extern "C" void emulator_atomic(void *address, void *old, size_t size) {
    judge(address, size, kAtomic, INSTRUCTION);
    memcpy(old, address, size);
}

extern "C" void emulator_store(void *address, const void *value, size_t size) {
    memcpy(address, value, size);
}
