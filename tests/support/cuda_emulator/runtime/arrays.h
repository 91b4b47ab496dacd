// The arrays that a kernel may touch, and where they are.
//
// They lie in two ranges of addresses, global and shared, cut into slots much larger than any
// array, one array a slot: the address tells the slot, and a stray address nearly always falls
// into the slot of the array that it was meant for.
#pragma once

#include "runtime.h"

namespace emulator {

using Stamp = uint64_t;  // an access, see accesses.cpp
struct Cell {
    Stamp write, atomic, read, other_read;
};
struct Array {
    uintptr_t start;
    uint64_t size, capacity, n_cells;
    unsigned element, shift;  // bytes of an element, log2 of the bytes of a cell
    bool is_shared, written;
    const void *tag;          // the declaration of a __shared__ array
    char name[64];            // empty: no such array in this launch
    Cell *cells;
};

constexpr int kGlobalBits = 37, kSharedBits = 20, kSlots = 64;
extern Array global_arrays[kSlots], shared_arrays[kSlots];
extern uintptr_t global_base, shared_base;

inline Array *slot_of(uintptr_t address) {
    if (uint64_t offset = address - shared_base; offset < uint64_t(kSlots) << kSharedBits)
        return shared_arrays + (offset >> kSharedBits);
    if (uint64_t offset = address - global_base; offset < uint64_t(kSlots) << kGlobalBits)
        return global_arrays + (offset >> kGlobalBits);
    return nullptr;
}

}  // namespace emulator
