// The gradients of a code, through its survivors alone (paper section 2.1, step 3): with e_p and
// x_p the patches around a survivor's position, delta = 2 <W, e_p>, dW += 2 z e_p, dP += delta x_p.
//
// A block has a slice of the channels of some images in shared memory (slices.cuh). A warp has a
// map and goes through its entries in their order, a lane a tap: sums stay in registers.
//
// Where a slice has all channels, error and images lie there side by side, and one walk finds all.
// Else a walk through the error comes first, which leaves what its slice adds to every delta; then
// these are added up; then comes a walk through the images. The images are cut into pieces, whose
// gradients are added in order afterwards (sums.cu). Where a piece does not fit into shared memory,
// some of its images come at once; what is summed before waits in global memory.
//
// Macros, besides those of slices.cuh: IN_ROUNDS, 1 where some images come at once, 0 where all do.

#include "slices.cuh"

// A lane's sums take most of its registers: where they are many, a block has fewer threads, and a
// warp fewer entries at once. Rounds take registers too.
constexpr bool kInRounds = IN_ROUNDS;
constexpr int kSumsBytes = kRounds * sizeof(Pixel);
constexpr int kThreads = kSumsBytes > 16 || kInRounds ? 512 : 768;
constexpr int kThreadsOfBoth = kSumsBytes >= 16 || kInRounds ? 512 : 768;
constexpr int kBatch = kSumsBytes > 16 ? 2 : 4;

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

// packed (size) Entry, of all entries of a code.
extern "C" __global__ void pack_entries(const REAL* values, const int* positions,
                                        const Index* entries, const Index* offsets, int is_whole,
                                        int n, int n_slots, int n_maps, int channels, int height,
                                        int width, int k, int pitch, double* packed, Index size) {
    const Layout layout{channels, height, width, k, pitch};
    const Code code{values, positions, entries, offsets, is_whole, n, n_slots};
    const Index end = min(size, code.n_entries(n_maps));
    for (Index i = first_element(); i < end; i += n_threads_of_grid())
        reinterpret_cast<Entry*>(packed)[i] =
            code.entry(i, int(i / n), int(i % n), 0, layout);
}

// The sums of a piece of the images, one behind the other: d_encoder (m, c, k, k), d_decoder
// (m, c, k, k), d_encoder_bias (m), d_decoder_bias (c).
struct Part {
    REAL* d_encoder;
    Index n_weights;
    int n_maps;
    __device__ Part(REAL* parts, int piece, int n_maps, const Layout& layout)
        : n_weights(Index(n_maps) * layout.channels * layout.k * layout.k), n_maps(n_maps) {
        d_encoder = parts + piece * (2 * n_weights + n_maps + layout.channels);
    }
    __device__ REAL* d_decoder() const { return d_encoder + n_weights; }
    __device__ REAL* d_encoder_bias() const { return d_encoder + 2 * n_weights; }
    __device__ REAL* d_decoder_bias() const { return d_encoder_bias() + n_maps; }
};

// packed (size) Entry: delta <- 2 * the sum of its partials (slices, size). d_bias: what these sum up
// to, for every map and piece, a block each; those of pieces are `stride` numbers apart.
extern "C" __global__ void sum_deltas(const REAL* partials, int n_slices, const Index* offsets,
                                      int is_whole, int n, int images_of_piece, int n_maps,
                                      double* packed, REAL* d_bias, Index stride, Index size) {
    const Code code{nullptr, nullptr, nullptr, offsets, is_whole, n, 0};
    const int map = blockIdx.x % n_maps, piece = blockIdx.x / n_maps;
    const int first_image = piece * images_of_piece;
    const Index first = code.first_entry(map, first_image);
    const Index end = code.first_entry(map, min(n, first_image + images_of_piece));
    REAL sum = 0;
    for (Index i = first + threadIdx.x; i < end; i += blockDim.x) {
        REAL total = 0;
        #pragma unroll 8
        for (int slice = 0; slice < n_slices; ++slice) total += partials[slice * size + i];
        reinterpret_cast<Entry*>(packed)[i].delta = 2 * total;
        sum += 2 * total;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) d_bias[piece * stride + map] = sum;
}

// The sums over the warp of each of kBatch numbers: lane i has that of number i % kBatch.
__device__ inline REAL warp_sums(REAL* numbers) {
    const int lane = threadIdx.x % kWarp;
    #pragma unroll
    for (int away = kBatch / 2; away > 0; away /= 2)
        #pragma unroll
        for (int i = 0; i < away; ++i) {
            const bool upper = lane & away;
            const REAL given = upper ? numbers[i] : numbers[i + away];
            const REAL kept = upper ? numbers[i + away] : numbers[i];
            numbers[i] = kept + __shfl_xor_sync(kAllLanes, given, away);
        }
    REAL total = numbers[0];
    #pragma unroll
    for (int away = kBatch; away < kWarp; away *= 2)
        total += __shfl_xor_sync(kAllLanes, total, away);
    return total;
}

// The pixel under the lane's tap; zeros outside of the image.
__device__ inline Pixel pixel_under(const Pixel* slice, const Entry& entry, int tap, int n_pixels) {
    Pixel pixel{};
    if (unsigned(entry.first_pixel + tap) < unsigned(n_pixels)) pixel = slice[entry.image + tap];
    return pixel;
}

// The parts of the gradients that a block adds up.
struct Sums {
    REAL of[kRounds][kChannels];
    __device__ void add(REAL factor, const Pixel& pixel, int round) {
        #pragma unroll
        for (int c = 0; c < kChannels; ++c) of[round][c] += factor * pixel.of[c];
    }
    // function(its place in the filter's slice, sum) of every sum.
    template <class Function>
    __device__ void each(int n_channels, int n_taps, Function function) {
        #pragma unroll
        for (int round = 0; round < kRounds; ++round)
            #pragma unroll
            for (int c = 0; c < kChannels; ++c) {
                const int tap = threadIdx.x % kWarp + round * kWarp;
                if (tap < n_taps && c < n_channels) function(c * n_taps + tap, of[round][c]);
            }
    }
};

// sums (c) of a slice's channels += twice the images; from 0 on where is_first. In `staged` lie the
// images' own; it has a place for each.
__device__ inline void sum_images(const Pixel* slice, int n_images, int n_pixels, int n_channels,
                                  bool is_first, Pixel* staged, REAL* sums) {
    const int lane = threadIdx.x % kWarp, n_warps = blockDim.x / kWarp;
    for (int image = threadIdx.x / kWarp; image < n_images; image += n_warps) {
        Pixel total{};
        for (int i = lane; i < n_pixels; i += kWarp)
            #pragma unroll
            for (int c = 0; c < kChannels; ++c) total.of[c] += slice[image * n_pixels + i].of[c];
        #pragma unroll
        for (int c = 0; c < kChannels; ++c) total.of[c] = warp_sum(total.of[c]);
        if (lane == 0) staged[image] = total;
    }
    __syncthreads();
    if (int(threadIdx.x) < n_channels) {
        REAL sum = is_first ? 0 : sums[threadIdx.x];
        #pragma unroll 8
        for (int image = 0; image < n_images; ++image) sum += 2 * staged[image].of[threadIdx.x];
        sums[threadIdx.x] = sum;
    }
}

// How a layer's images and maps are cut.
struct Cut {
    int images_of_piece, images_at_once, n_maps, maps_of_block;
};

// A block's walk through the error, the images or both: those of its piece that come at once, behind
// the first `before`. Returns whether there are more.
//
//   read_entry(i, map, image, number) -> Entry: as Code::entry
//   parts (pieces, Part)
//   partials (slices, size): <W, e_p> of every entry, over the slice's channels; only where the
//       walk goes through the error alone
template <bool kError, bool kImages, class ReadEntry>
__device__ bool walk_once(int before, const REAL* error, const REAL* x, const Code& code,
                          ReadEntry read_entry, const REAL* filters, const Cut& cut,
                          const Layout& layout, REAL* parts, REAL* partials, Index size) {
    extern __shared__ REAL memory[];
    const int n_pixels = layout.image_pixels(), n_taps = layout.k * layout.k;
    Entry* const all_staged = reinterpret_cast<Entry*>(memory);
    Pixel* const error_slice = reinterpret_cast<Pixel*>(all_staged + blockDim.x);
    Pixel* const x_slice = error_slice + kError * cut.images_at_once * n_pixels;

    const int n_slices = layout.n_slices();
    const int n_groups = (cut.n_maps + cut.maps_of_block - 1) / cut.maps_of_block;
    const int of_slice = blockIdx.x % n_slices, group = blockIdx.x / n_slices % n_groups;
    const int piece = blockIdx.x / n_slices / n_groups;
    const int first_channel = of_slice * kChannels;
    const int n_channels = min(kChannels, layout.channels - first_channel);
    const Part part(parts, piece, cut.n_maps, layout);
    const int lane = threadIdx.x % kWarp, n_warps = blockDim.x / kWarp;
    Entry* const staged = all_staged + threadIdx.x - lane;
    const int end_map = min(cut.n_maps, (group + 1) * cut.maps_of_block);
    int taps[kRounds];
    #pragma unroll
    for (int round = 0; round < kRounds; ++round) taps[round] = layout.tap_offset(round);

    const int first_image = piece * cut.images_of_piece + before;
    const int n_left = min(cut.images_of_piece - before, code.n - first_image);
    const int n_here = kInRounds ? min(cut.images_at_once, n_left) : n_left;

    // What the warp's first map needs is read before the images, to arrive with them.
    int map = group * cut.maps_of_block + threadIdx.x / kWarp, n_entries = 0;
    Index first = 0, own_filter = 0;
    Entry mine;
    Weights weights;
    const auto read_mine = [&](int start) {
        mine = Entry{0, 0, kNowhere, first_image};
        if (start + lane < n_entries)
            mine = read_entry(first + start + lane, map, first_image, start + lane);
    };
    const auto begin_map = [&] {
        first = code.first_entry(map, first_image);
        n_entries = int(code.first_entry(map, first_image + n_here) - first);
        own_filter = (Index(map) * layout.channels + first_channel) * n_taps;
        if (kError) weights.read(filters + own_filter, n_channels, n_taps);
        read_mine(0);
    };
    if (map < end_map) begin_map();

    if (kInRounds) __syncthreads();  // all have done with the images before
    const Index offset = Index(first_image) * layout.channels * layout.height * layout.width;
    if (kError) load_slice(error + offset, n_here, first_channel, layout, error_slice);
    if (kImages) load_slice(x + offset, n_here, first_channel, layout, x_slice);
    __syncthreads();

    while (map < end_map) {
        Sums d_encoder{}, d_decoder{};
        REAL d_bias = 0;
        if (kInRounds && before > 0) {
            const auto read_from = [](const REAL* sums) {
                return [=](int i, REAL& sum) { sum = sums[i]; };
            };
            if (kImages)
                d_encoder.each(n_channels, n_taps, read_from(part.d_encoder + own_filter));
            if (kError)
                d_decoder.each(n_channels, n_taps, read_from(part.d_decoder() + own_filter));
            if (kError && kImages && lane == 0) d_bias = part.d_encoder_bias()[map];
        }
        for (int start = 0; start < n_entries; start += kWarp) {
            if (start > 0) read_mine(start);
            mine.image = (mine.image - first_image) * n_pixels + mine.first_pixel;
            staged[lane] = mine;
            __syncwarp();
            #pragma unroll 1
            for (int batch = 0; batch < min(kWarp, n_entries - start); batch += kBatch) {
                REAL products[kBatch] = {}, sum = 0;
                if (kError) {
                    #pragma unroll
                    for (int i = 0; i < kBatch; ++i) {
                        const Entry entry = staged[batch + i];
                        #pragma unroll
                        for (int round = 0; round < kRounds; ++round) {
                            const Pixel pixel =
                                pixel_under(error_slice, entry, taps[round], n_pixels);
                            d_decoder.add(entry.twice_value, pixel, round);
                            #pragma unroll
                            for (int c = 0; c < kChannels; ++c)
                                products[i] += weights.of[round][c] * pixel.of[c];
                        }
                    }
                    sum = warp_sums(products);
                    if (!kImages && lane < kBatch && start + batch + lane < n_entries)
                        partials[of_slice * size + first + start + batch + lane] = sum;
                }
                if (kImages) {
                    #pragma unroll
                    for (int i = 0; i < kBatch; ++i) {
                        const Entry entry = staged[batch + i];
                        const REAL delta =
                            kError ? 2 * __shfl_sync(kAllLanes, sum, i) : entry.delta;
                        if (kError) d_bias += delta;
                        #pragma unroll
                        for (int round = 0; round < kRounds; ++round)
                            d_encoder.add(
                                delta, pixel_under(x_slice, entry, taps[round], n_pixels),
                                round);
                    }
                }
            }
            __syncwarp();
        }
        const auto write_to = [](REAL* sums) {
            return [=](int i, REAL sum) { sums[i] = sum; };
        };
        if (kImages) d_encoder.each(n_channels, n_taps, write_to(part.d_encoder + own_filter));
        if (kError) d_decoder.each(n_channels, n_taps, write_to(part.d_decoder() + own_filter));
        if (kError && kImages && lane == 0) part.d_encoder_bias()[map] = d_bias;
        map += n_warps;
        if (map < end_map) begin_map();
    }
    if (kError && end_map <= cut.maps_of_block) {  // once a piece and slice
        __syncthreads();  // all have done with what is staged
        sum_images(error_slice, n_here, n_pixels, n_channels, before == 0,
                   reinterpret_cast<Pixel*>(memory), part.d_decoder_bias() + first_channel);
    }
    return kInRounds && n_left > cut.images_at_once;
}

template <bool kError, bool kImages, class ReadEntry>
__device__ void walk(const REAL* error, const REAL* x, const Code& code, ReadEntry read_entry,
                     const REAL* filters, const Cut& cut, const Layout& layout, REAL* parts,
                     REAL* partials, Index size) {
    int before = 0;
    #pragma unroll 1
    while (walk_once<kError, kImages>(before, error, x, code, read_entry, filters, cut, layout,
                                      parts, partials, size))
        before += cut.images_at_once;
}

extern "C" __global__ void __launch_bounds__(kThreadsOfBoth, 1)
walk_both(const REAL* error, const REAL* x, const REAL* values, const int* positions,
          const Index* entries, const Index* offsets, int is_whole, int n, int n_slots,
          const REAL* filters, int images_of_piece, int images_at_once, int n_maps,
          int maps_of_block, int channels, int height, int width, int k, int pitch, REAL* parts) {
    const Layout layout{channels, height, width, k, pitch};
    const Code code{values, positions, entries, offsets, is_whole, n, n_slots};
    const auto read_entry = [&](Index i, int map, int image, int number) {
        return code.entry(i, map, image, number, layout);
    };
    walk<true, true>(error, x, code, read_entry, filters,
                     {images_of_piece, images_at_once, n_maps, maps_of_block}, layout, parts,
                     nullptr, 0);
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
walk_error(const REAL* error, const double* packed, const Index* offsets, int is_whole, int n,
           const REAL* filters, REAL* partials, Index size, int images_of_piece,
           int images_at_once, int n_maps, int maps_of_block, int channels, int height, int width,
           int k, int pitch, REAL* parts) {
    const Code code{nullptr, nullptr, nullptr, offsets, is_whole, n, 0};
    const auto read_entry = [&](Index i, int, int, int) {
        return reinterpret_cast<const Entry*>(packed)[i];
    };
    walk<true, false>(error, nullptr, code, read_entry, filters,
                      {images_of_piece, images_at_once, n_maps, maps_of_block},
                      {channels, height, width, k, pitch}, parts, partials, size);
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
walk_images(const REAL* x, const double* packed, const Index* offsets, int is_whole, int n,
            int images_of_piece, int images_at_once, int n_maps, int maps_of_block, int channels,
            int height, int width, int k, int pitch, REAL* parts) {
    const Code code{nullptr, nullptr, nullptr, offsets, is_whole, n, 0};
    const auto read_entry = [&](Index i, int, int, int) {
        return reinterpret_cast<const Entry*>(packed)[i];
    };
    walk<false, true>(nullptr, x, code, read_entry, nullptr,
                      {images_of_piece, images_at_once, n_maps, maps_of_block},
                      {channels, height, width, k, pitch}, parts, nullptr, 0);
}
