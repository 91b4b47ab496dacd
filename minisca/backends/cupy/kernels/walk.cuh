// A block's walk through the error, the images or both, with a slice of their channels in shared
// memory. A warp has a map and goes through its entries in their order, a lane a tap: sums stay in
// registers. It reads ahead what its next map needs.
//
// Macros: those of slices.cuh and rounds.cuh.

#include "entries.cuh"
#include "momentum.cuh"
#include "rounds.cuh"
#include "walk_sums.cuh"

// A lane's sums take most of its registers: where they are many, a block has fewer threads, and a
// warp fewer entries at once. Rounds take registers too.
constexpr int kSumsBytes = sizeof(LaneTaps);
constexpr int kThreads = kSumsBytes > 16 || kInRounds ? 512 : 768;
constexpr int kThreadsOfBoth = kSumsBytes >= 16 || kInRounds ? 512 : 768;
constexpr int kBatch = kSumsBytes > 16 ? 2 : 4;

// What there is to walk through; `filters` are the decoder's. The sums go to parts (pieces, Part).
struct Layer {
    const REAL *error, *x;
    Code code;
    const REAL* filters;
    Cut cut;
    Layout layout;
    REAL* parts;
};

// A parameter that a walk's sums are the gradient of, and what a step of it goes by.
struct Parameter {
    REAL *values, *velocity;
    const REAL* rate;
};
struct Step {
    Parameter filters, bias;
    REAL momentum;
};

// Entries that are there already, see `pack_entries`.
struct Packed {
    const double* entries;
    __device__ Entry operator()(Index i, int, int, int) const {
        return reinterpret_cast<const Entry*>(entries)[i];
    }
};

// The pixel under the lane's tap; zeros outside of the image.
__device__ inline Pixel pixel_under(const Pixel* slice, const Entry& entry, int tap, int n_pixels) {
    Pixel pixel{};
    if (unsigned(entry.first_pixel + tap) < unsigned(n_pixels)) pixel = slice[entry.image + tap];
    return pixel;
}

// The walk through a round's images, behind the first `before`. Returns whether there are more.
//
//   read_entry(i, map, image, number) -> Entry: as Code::entry
//   partials (slices, size): <W, e_p> of every entry, over the slice's channels; only where the
//       walk goes through the error alone
//   step: where kUpdates, the sums of the only piece become no part, but a step of parameters: of
//       the decoder's, or of the encoder's filters
template <bool kError, bool kImages, bool kUpdates, class ReadEntry>
__device__ bool walk_once(int before, const Layer& layer, ReadEntry read_entry, REAL* partials,
                          Index size, const Step& step) {
    static_assert(!kUpdates || kError != kImages, "a step is of one parameter's filters");
    extern __shared__ REAL memory[];
    const Layout& layout = layer.layout;
    const Cut& cut = layer.cut;
    const Code& code = layer.code;
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
    const Round round(before, piece, code.n, cut);
    const Part part(layer.parts, piece, cut.n_maps, layout);
    const int lane = threadIdx.x % kWarp, n_warps = blockDim.x / kWarp;
    Entry* const staged = all_staged + threadIdx.x - lane;
    const int end_map = min(cut.n_maps, (group + 1) * cut.maps_of_block);
    int taps[kRounds];
    #pragma unroll
    for (int r = 0; r < kRounds; ++r) taps[r] = layout.tap_offset(r);

    // What the warp's first map needs is read before the images, to arrive with them.
    int map = group * cut.maps_of_block + threadIdx.x / kWarp, n_entries = 0;
    Index first = 0, own_filter = 0;
    Entry mine;
    LaneTaps weights;
    const auto read_mine = [&](int start) {
        mine = Entry{0, 0, kNowhere, round.first_image};
        if (start + lane < n_entries)
            mine = read_entry(first + start + lane, map, round.first_image, start + lane);
    };
    const auto begin_map = [&] {
        first = code.first_entry(map, round.first_image);
        n_entries = int(code.first_entry(map, round.first_image + round.n_images) - first);
        own_filter = (Index(map) * layout.channels + first_channel) * n_taps;
        if (kError) weights.read(layer.filters + own_filter, n_channels, n_taps);
        read_mine(0);
    };
    const auto begin_next_map = [&] {
        map += n_warps;
        if (map < end_map) begin_map();
    };
    if (map < end_map) begin_map();

    if (kInRounds) __syncthreads();  // all have done with the images before
    const int n_here = round.n_images;
    const Index offset = Index(round.first_image) * layout.channels * layout.height * layout.width;
    if (kError) load_slice(layer.error + offset, n_here, first_channel, layout, error_slice);
    if (kImages) load_slice(layer.x + offset, n_here, first_channel, layout, x_slice);
    __syncthreads();

    while (map < end_map) {
        LaneTaps d_encoder{}, d_decoder{};
        REAL d_bias = 0;
        if (!round.is_first()) {
            if (kImages) d_encoder.read(part.d_encoder + own_filter, n_channels, n_taps);
            if (kError) d_decoder.read(part.d_decoder() + own_filter, n_channels, n_taps);
            if (kError && kImages && lane == 0) d_bias = part.d_encoder_bias()[map];
        }
        for (int start = 0; start < n_entries; start += kWarp) {
            if (start > 0) read_mine(start);
            mine.image = (mine.image - round.first_image) * n_pixels + mine.first_pixel;
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
                        for (int r = 0; r < kRounds; ++r) {
                            const Pixel pixel = pixel_under(error_slice, entry, taps[r], n_pixels);
                            d_decoder.add(entry.twice_value, pixel, r);
                            #pragma unroll
                            for (int c = 0; c < kChannels; ++c)
                                products[i] += weights.of[r][c] * pixel.of[c];
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
                        for (int r = 0; r < kRounds; ++r)
                            d_encoder.add(
                                delta, pixel_under(x_slice, entry, taps[r], n_pixels), r);
                    }
                }
            }
            __syncwarp();
        }
        if (kError && kImages && lane == 0) part.d_encoder_bias()[map] = d_bias;

        if (kUpdates && round.is_last) {  // what it reads is to arrive with the next map's
            const LaneTaps& sums = kError ? d_decoder : d_encoder;
            const Index filter = own_filter;
            LaneTaps values, velocity;
            if (kError) values = weights;
            else values.read(step.filters.values + filter, n_channels, n_taps);
            velocity.read(step.filters.velocity + filter, n_channels, n_taps);
            begin_next_map();
            const REAL rate = *step.filters.rate;
            #pragma unroll
            for (int r = 0; r < kRounds; ++r)
                #pragma unroll
                for (int c = 0; c < kChannels; ++c)
                    descend(values.of[r][c], velocity.of[r][c], sums.of[r][c], rate, step.momentum);
            values.each(n_channels, n_taps, write_to(step.filters.values + filter));
            velocity.each(n_channels, n_taps, write_to(step.filters.velocity + filter));
            continue;
        }
        if (kImages) d_encoder.each(n_channels, n_taps, write_to(part.d_encoder + own_filter));
        if (kError) d_decoder.each(n_channels, n_taps, write_to(part.d_decoder() + own_filter));
        begin_next_map();
    }
    if (kError && end_map <= cut.maps_of_block) {  // once a piece and slice
        __syncthreads();  // all have done with what is staged
        const bool is_own = int(threadIdx.x) < n_channels;
        const int channel = first_channel + threadIdx.x;
        REAL* const d_bias = part.d_decoder_bias() + channel;
        const REAL waiting = is_own && !round.is_first() ? *d_bias : 0;
        const REAL sum = sum_images(error_slice, n_here, n_pixels, n_channels, waiting,
                                    reinterpret_cast<Pixel*>(memory));
        if (is_own && kUpdates && round.is_last)
            descend(step.bias.values[channel], step.bias.velocity[channel], sum, *step.bias.rate,
                    step.momentum);
        else if (is_own)
            *d_bias = sum;
    }
    return kInRounds && !round.is_last;
}

// The walk of a block, round by round.
template <bool kError, bool kImages, bool kUpdates, class ReadEntry>
__device__ void walk(const Layer& layer, ReadEntry read_entry, REAL* partials, Index size,
                     const Step& step) {
    int before = 0;
    #pragma unroll 1
    while (walk_once<kError, kImages, kUpdates>(before, layer, read_entry, partials, size, step))
        before += layer.cut.images_at_once;
}
