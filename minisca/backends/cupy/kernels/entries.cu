// The survivors of a code in the order in which their gradients are added: map by map, within a
// map by image, within an image by slot.
//
//   entries (n * n_slots)   an entry is image * n_slots + slot; what is behind the last is not set
//   offsets (m * n + 1)     where the entries of map i's survivors in image j begin, at i * n + j
//
// A counting sort: count, sum up, put in place. Counts are whole numbers, so that the order in
// which atomics add them does not matter; an entry's place among its equals is found by counting
// those before it.

#include "common.cuh"

// One slot a map: no need to sort, silent slots are listed as well. size = m * n.
extern "C" __global__ void list_columns(int n, int n_slots, Index* entries, Index* offsets,
                                        Index size) {
    for (Index i = first_element(); i <= size; i += n_threads_of_grid()) {
        offsets[i] = i;
        if (i < size) entries[i] = i % n * n_slots + i / n;
    }
}

// counts (m * n), 0 before. One thread a slot; size = n * n_slots.
extern "C" __global__ void count_entries(const REAL* values, const int* maps, int n, int n_slots,
                                         int* counts, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid())
        if (values[i] > 0) atomicAdd(counts + Index(maps[i]) * n + i / n_slots, 1);
}

// offsets[i] <- the sum of the counts before i, for i = 0 to n_counts. One block; a thread sums a
// run of them, then knows where its run starts.
extern "C" __global__ void sum_up(const int* counts, Index n_counts, Index* offsets) {
    __shared__ Index sums[1024];
    const Index share = (n_counts + blockDim.x - 1) / blockDim.x;
    const Index first = min(n_counts, threadIdx.x * share), end = min(n_counts, first + share);
    Index total = 0;
    for (Index i = first; i < end; ++i) total += counts[i];
    sums[threadIdx.x] = total;
    __syncthreads();
    Index offset = 0;
    for (int thread = 0; thread < int(threadIdx.x); ++thread) offset += sums[thread];
    for (Index i = first; i < end; ++i) {
        offsets[i] = offset;
        offset += counts[i];
    }
    if (threadIdx.x == blockDim.x - 1) offsets[n_counts] = offset;
}

// One thread a slot; size = n * n_slots.
extern "C" __global__ void list_entries(const REAL* values, const int* maps, const Index* offsets,
                                        int n, int n_slots, Index* entries, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        if (!(values[i] > 0)) continue;
        const Index image = i / n_slots;
        int before = 0;
        for (Index other = image * n_slots; other < i; ++other)
            before += maps[other] == maps[i] && values[other] > 0;
        entries[offsets[Index(maps[i]) * n + image] + before] = i;
    }
}
