// The largest units, ties to the lowest position, of maps or candidates that are stored.
//
// A block has a map, or an image. To find the next largest it looks through all units for the
// largest behind the one before, in the order of falling value and rising position: as many
// readings as units are kept, nothing moved, no memory needed. Few are kept, and a map is in cache
// after the first. With one unit a map this is the winner of paper section 2.1, step 2.

#include "common.cuh"

// This thread's largest positive unit behind `before`.
__device__ inline Unit next_largest(const REAL* units, int n_units, const Unit& before) {
    Unit best{0, 0};
    for (int i = threadIdx.x; i < n_units; i += blockDim.x) {
        const REAL value = units[i];
        const bool behind = value < before.value || (value == before.value && i > before.position);
        if (behind && value > best.value) best = Unit{value, i};
    }
    return best;
}

__device__ inline Unit before_all() {
    return Unit{REAL(__longlong_as_double(0x7ff0000000000000ll)), -1};  // infinity
}

// units (rows, n_units) -> values, positions (rows, n_kept); a block a row.
extern "C" __global__ void keep_top_n(const REAL* units, int n_units, int n_kept, REAL* values,
                                      int* positions) {
    const Index row = blockIdx.x;
    Unit before = before_all();
    for (int slot = 0; slot < n_kept; ++slot) {
        if (slot == 0 || before.value > 0)
            before = block_largest(next_largest(units + row * n_units, n_units, before));
        if (threadIdx.x == 0) {
            values[row * n_kept + slot] = before.value;
            positions[row * n_kept + slot] = before.position;
        }
    }
}

// The same over an image's maps. heads, head_positions (n, m): each map's largest unit, which gives
// way to the map's next when it is taken. A block an image.
extern "C" __global__ void keep_k_largest(const REAL* units, REAL* heads, int* head_positions,
                                          int n_maps, int n_positions, int n_kept, REAL* values,
                                          int* positions, int* maps) {
    const Index image = blockIdx.x;
    heads += image * n_maps;
    head_positions += image * n_maps;
    for (int slot = 0; slot < n_kept; ++slot) {
        // a head's position among the heads is its map
        const Unit taken = block_largest(next_largest(heads, n_maps, before_all()));
        const Unit unit{taken.value, taken.value > 0 ? head_positions[taken.position] : 0};
        if (taken.value > 0) {
            const REAL* map = units + (image * n_maps + taken.position) * n_positions;
            const Unit next = block_largest(next_largest(map, n_positions, unit));
            if (threadIdx.x == 0) {
                heads[taken.position] = next.value;
                head_positions[taken.position] = next.position;
            }
            __syncthreads();  // all see the new head
        }
        if (threadIdx.x == 0) {
            values[image * n_kept + slot] = unit.value;
            positions[image * n_kept + slot] = unit.position;
            maps[image * n_kept + slot] = taken.position;
        }
    }
}

// Candidates (rows, n_candidates), positions rising among equals -> the largest of each row. One
// thread a row.
extern "C" __global__ void keep_largest(const REAL* candidates, const int* candidate_positions,
                                        int n_candidates, REAL* values, int* positions,
                                        Index n_rows) {
    for (Index row = first_element(); row < n_rows; row += n_threads_of_grid()) {
        Unit best{0, 0};
        for (int i = 0; i < n_candidates; ++i) {
            const Index at = row * n_candidates + i;
            best = larger(best, Unit{candidates[at], candidate_positions[at]});
        }
        values[row] = best.value;
        positions[row] = best.position;
    }
}
