// Images and features as they come: gathered, and as numbers of another type.
//
// ITEM is the type of an item's numbers as they are stored; halves are unsigned short. Without the
// macro it is REAL. With TO_HALVES the numbers become halves.

#include "common.cuh"
#include "tensor.cuh"
#ifndef ITEM
#define ITEM REAL
#endif
#ifdef TO_HALVES
typedef unsigned short Result;
__device__ inline Result result(REAL number) { return to_half(float(number)); }
#else
typedef REAL Result;
__device__ inline Result result(REAL number) { return number; }
#endif
template <class T>
__device__ inline REAL number(T item) { return REAL(item); }
__device__ inline REAL number(unsigned short half) { return from_half(half); }

// gathered (b, row_size) <- images (n, row_size) at rows (b). size = b * row_size.
extern "C" __global__ void gather(const ITEM* images, const Index* rows, Index row_size,
                                  ITEM* gathered, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        gathered[i] = images[rows[i / row_size] * row_size + i % row_size];
}

// numbers (size) <- items (size), less the centre of their channel, if there are channels: of every
// item they follow each other, plane_size numbers each.
extern "C" __global__ void cast(const ITEM* items, const REAL* centre, Index plane_size,
                                int channels, Result* numbers, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        REAL own = number(items[i]);
        if (channels > 0) own -= centre[i / plane_size % channels];
        numbers[i] = result(own);
    }
}
