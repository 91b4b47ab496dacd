// Arrays come and go: copied in before a launch and out after it, declared within a block.
#include "arrays.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <iterator>
#include <sys/mman.h>
#include <unistd.h>

namespace emulator {

constexpr int kDynamic = 0;  // the slot of dynamic shared memory
constexpr uint64_t kMargin = 64 << 10;  // bytes poisoned on either side of an array
Array global_arrays[kSlots], shared_arrays[kSlots];
uintptr_t global_base, shared_base;
static int n_shared;
static bool is_dynamic_declared;
static uint64_t static_bytes;

static uintptr_t reserve(uint64_t size, int protection) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *range = mmap(nullptr, size, protection, flags, -1, 0);
    if (range == MAP_FAILED) perror("the emulator's address range"), abort();
    madvise(range, size, MADV_NOHUGEPAGE);  // a page for every element touched, but a small one
    return reinterpret_cast<uintptr_t>(range);
}

static void give_back_cells(Array &array) {
    if (array.cells) munmap(array.cells, array.n_cells * sizeof(Cell));
    array.cells = nullptr;
    array.n_cells = 0;
}

static void shape(Array &array, uint64_t size, unsigned element) {
    poison(array.start - kMargin, std::max(array.size, size) + 2 * kMargin);
    unpoison(array.start, size);
    array.size = size;
    array.element = element;
    array.shift = element % 4 == 0 ? 2 : element % 2 == 0 ? 1 : 0;
    array.written = false;
    const uint64_t n_cells = (size >> array.shift) + 1;
    if (n_cells <= array.n_cells) return;
    give_back_cells(array);
    array.cells = reinterpret_cast<Cell *>(
        reserve(n_cells * sizeof(Cell), PROT_READ | PROT_WRITE));
    array.n_cells = n_cells;
}

static void forget(Array &array) {
    poison(array.start, array.size);
    array.name[0] = 0;
}

void open_shared_memory() {
    if (!shared_base)
        shared_base = reserve(uint64_t(kSlots) << kSharedBits, PROT_READ | PROT_WRITE);
    for (Array &array : shared_arrays) forget(array);
    n_shared = 1;
    static_bytes = 0;
    Array &dynamic = shared_arrays[kDynamic];
    dynamic.start = shared_base + (1ull << (kSharedBits - 1));
    dynamic.is_shared = true;
    shape(dynamic, 0, 1);  // until its declaration is met
    is_dynamic_declared = false;
    strcpy(dynamic.name, "dynamic shared memory");
}

// A copy of an array is too much where there is hardly anything in it: beyond kSparse bytes only
// pages that somebody has touched are copied, and no others take memory.
constexpr uint64_t kSparse = 16 << 20;
constexpr uint64_t kPage = 4096;

// Calls copy(offset, n_bytes) for every touched page among `size` bytes from `start` on: all of
// them as one where the system does not tell.
template <class Copy>
static void over_touched_pages(const void *start, uint64_t size, const Copy &copy) {
    constexpr uint64_t kTouched = 3ull << 62;  // present, or swapped out
    const int map = open("/proc/self/pagemap", O_RDONLY);
    if (map < 0) return copy(0, size);
    const uintptr_t begin = reinterpret_cast<uintptr_t>(start), end = begin + size;
    static uint64_t pages[1 << 16];
    for (uintptr_t first = begin / kPage; first * kPage < end; first += std::size(pages)) {
        const uint64_t wanted = std::min<uint64_t>(std::size(pages), (end - 1) / kPage + 1 - first);
        const ssize_t n_bytes = wanted * sizeof *pages;
        if (pread(map, pages, n_bytes, first * sizeof *pages) != n_bytes)
            perror("/proc/self/pagemap"), abort();
        for (uint64_t i = 0; i < wanted; ++i) {
            if (!(pages[i] & kTouched)) continue;
            const uintptr_t from = std::max(begin, (first + i) * kPage);
            copy(from - begin, std::min(end, (first + i + 1) * kPage) - from);
        }
    }
    close(map);
}

static void copy_array(void *to, const void *from, uint64_t size) {
    if (size < kSparse) {
        memcpy(to, from, size);
        return;
    }
    over_touched_pages(from, size, [=](uint64_t offset, uint64_t n_bytes) {
        memcpy(static_cast<char *>(to) + offset, static_cast<const char *>(from) + offset, n_bytes);
    });
}

// Copies `size` bytes from the host into an array of the launch that comes next.
extern "C" uintptr_t emulator_upload(int slot, const void *host, uint64_t size, unsigned element,
                                     const char *name) {
    if (!global_base) global_base = reserve(uint64_t(kSlots) << kGlobalBits, PROT_NONE);
    if (slot >= kSlots || size >= 1ull << (kGlobalBits - 1)) return 0;
    Array &array = global_arrays[slot];
    array.start = global_base + (uint64_t(slot) << kGlobalBits) + (1ull << (kGlobalBits - 2));
    void *start = reinterpret_cast<void *>(array.start);
    if (size >= kSparse && array.capacity) madvise(start, array.capacity, MADV_DONTNEED);
    if (size > array.capacity) {
        if (mprotect(start, size, PROT_READ | PROT_WRITE)) perror("mprotect"), abort();
        array.capacity = size;
    }
    snprintf(array.name, sizeof array.name, "%s", name);
    shape(array, size, element);
    copy_array(reinterpret_cast<void *>(array.start), host, size);
    return array.start;
}

// Whether the kernel has written to it; without judged accesses, whether it differs from the host's.
extern "C" int emulator_written(int slot, const void *host) {
    const Array &array = global_arrays[slot];
    if (!kAddressSanitizer) return array.written;
    return memcmp(host, reinterpret_cast<void *>(array.start), array.size) != 0;
}

extern "C" void emulator_download(int slot, void *host) {
    const Array &array = global_arrays[slot];
    copy_array(host, reinterpret_cast<void *>(array.start), array.size);
}

// After a launch: what no array of ordinary size needs.
extern "C" void emulator_give_back() {
    for (Array &array : global_arrays) {
        if (array.capacity < kSparse) continue;
        madvise(reinterpret_cast<void *>(array.start), array.capacity, MADV_DONTNEED);
        give_back_cells(array);
        array.capacity = 0;
    }
}

// Arrays that a later launch does not have must not look as if it had them.
extern "C" void emulator_forget_arrays(int first_slot) {
    for (int slot = first_slot; slot < kSlots; ++slot) forget(global_arrays[slot]);
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
        if (shared_arrays[slot].tag == tag)
            return reinterpret_cast<void *>(shared_arrays[slot].start);
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
    if (!is_dynamic_declared) shape(array, launch->shared_bytes, element);
    is_dynamic_declared = true;
    if (array.element != element)
        fail(place, "dynamic shared memory is declared with elements of %u and of %u bytes",
             array.element, element);
    return reinterpret_cast<void *>(array.start);
}

}  // namespace emulator
