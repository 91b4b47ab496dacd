// The entries of a code, map by map: what the walks (walk.cuh) go through.

#include "slices.cuh"

// A survivor, or a silent slot, as the walks need it; the first pixel under its filter, counted from
// its image's first.
struct __align__(sizeof(REAL) == 4 ? 16 : 8) Entry {
    REAL twice_value, delta;
    int first_pixel, image;
};

// The entries of a code map by map, within a map by image: slots that `entries` (survivors.cu)
// lists, those of map i and image j from offsets[i * n + j] on. Where `is_whole` a code has one slot
// a map; then all its slots are entries, silent ones too, and nothing is listed.
struct Code {
    const REAL* values;
    const int* positions;
    const Index *entries, *offsets;
    int is_whole, n, n_slots;

    __device__ Index first_entry(int map, int image) const {
        const Index i = Index(map) * n + image;
        return is_whole ? i : offsets[i];
    }
    __device__ Index n_entries(int n_maps) const { return first_entry(n_maps, 0); }
    // Entry i, the `number`-th of the map that are at or after `image`.
    __device__ Entry entry(Index i, int map, int image, int number, const Layout& layout) const {
        const Index slot = is_whole ? Index(image + number) * n_slots + map : entries[i];
        const REAL value = values[slot];
        const int position = positions[slot];
        if (is_whole) image += number; else image = int(slot / n_slots);
        if (value > 0) return Entry{2 * value, 0, layout.first_pixel(position), image};
        return Entry{0, 0, kNowhere, image};
    }
};
