// The largest units, ties to the lowest place, of maps or candidates that are stored.
//
// A block has a map, or an image. To find the next largest it looks through all units for the
// largest behind the one before, in the order of falling value and rising place: as many readings
// as units are kept, nothing moved, no memory needed. Few are kept, and a map is in cache after
// the first. With one unit a map this is the winner of paper section 2.1, step 2.

#include "common.cuh"

// This thread's largest positive unit behind `before`.
__device__ inline Unit next_largest(const REAL* units, int n_units, const Unit& before) {
    Unit best{0, 0};
    for (int i = threadIdx.x; i < n_units; i += blockDim.x) {
        const REAL value = units[i];
        const bool behind = value < before.value || (value == before.value && i > before.place);
        if (behind && value > best.value) best = Unit{value, i};
    }
    return best;
}

__device__ inline Unit before_all() {
    return Unit{REAL(__longlong_as_double(0x7ff0000000000000ll)), -1};  // infinity
}

// units (rows, n_units) -> values, places (rows, n_kept); a block a row.
extern "C" __global__ void keep_top_n(const REAL* units, int n_units, int n_kept, REAL* values,
                                      int* places) {
    const Index row = blockIdx.x;
    Unit before = before_all();
    for (int slot = 0; slot < n_kept; ++slot) {
        if (slot == 0 || before.value > 0)
            before = block_largest(next_largest(units + row * n_units, n_units, before));
        if (threadIdx.x == 0) {
            values[row * n_kept + slot] = before.value;
            places[row * n_kept + slot] = before.place;
        }
    }
}

// The same over an image's maps. heads, head_places (n, m): each map's largest unit, which gives
// way to the map's next when it is taken. A block an image.
extern "C" __global__ void keep_k_largest(const REAL* units, REAL* heads, int* head_places,
                                          int n_maps, int n_places, int n_kept, REAL* values,
                                          int* places, int* maps) {
    const Index image = blockIdx.x;
    heads += image * n_maps;
    head_places += image * n_maps;
    for (int slot = 0; slot < n_kept; ++slot) {
        // a head's place among the heads is its map
        const Unit taken = block_largest(next_largest(heads, n_maps, before_all()));
        const Unit unit{taken.value, taken.value > 0 ? head_places[taken.place] : 0};
        if (taken.value > 0) {
            const REAL* map = units + (image * n_maps + taken.place) * n_places;
            const Unit next = block_largest(next_largest(map, n_places, unit));
            if (threadIdx.x == 0) {
                heads[taken.place] = next.value;
                head_places[taken.place] = next.place;
            }
            __syncthreads();  // all see the new head
        }
        if (threadIdx.x == 0) {
            values[image * n_kept + slot] = unit.value;
            places[image * n_kept + slot] = unit.place;
            maps[image * n_kept + slot] = taken.place;
        }
    }
}

// Candidates (rows, n_candidates), places rising among equals -> the largest of each row. One
// thread a row.
extern "C" __global__ void keep_largest(const REAL* candidates, const int* candidate_places,
                                        int n_candidates, REAL* values, int* places, Index n_rows) {
    for (Index row = first_element(); row < n_rows; row += n_threads_of_grid()) {
        Unit best{0, 0};
        for (int i = 0; i < n_candidates; ++i) {
            const Index at = row * n_candidates + i;
            best = larger(best, Unit{candidates[at], candidate_places[at]});
        }
        values[row] = best.value;
        places[row] = best.place;
    }
}
