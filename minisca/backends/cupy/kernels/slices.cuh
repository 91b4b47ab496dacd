// A slice of the channels of some images, in shared memory: channels last, kChannels of them to a
// pixel, so that a lane reads or writes a pixel at once.
//
// A filter lies over a slice with a lane at every tap; taps beyond the 32nd take further rounds.
// Rows of the slice are `pitch` pixels apart. As many pixels as a filter juts out lie between two
// rows, so a filter that juts out at a side reaches none of the image's; and the pitch is such that
// the pixels under neighbouring taps lie in different banks (slices.py). What juts out at the top
// or at the bottom is found by one comparison.
//
// Macros: LANE_CHANNELS, the channels of a pixel; ROUNDS, of 32 taps, that cover a filter.

#include "common.cuh"

constexpr int kChannels = LANE_CHANNELS, kRounds = ROUNDS;

struct __align__(sizeof(REAL) * (kChannels == 3 ? 1 : kChannels)) Pixel {
    REAL of[kChannels];
};

// Where a slot without a survivor has its filter, and a lane without a tap its tap: outside.
constexpr int kNowhere = -(1 << 30);

// How slices lie.
struct Layout {
    int channels, height, width, k, pitch;
    __device__ int image_pixels() const { return height * pitch; }
    __device__ int n_slices() const { return (channels + kChannels - 1) / kChannels; }
    // The first pixel under a filter at that position, counted from the image's first.
    __device__ int first_pixel(int position) const {
        return (position / width - k / 2) * pitch + position % width - k / 2;
    }
    // Where the lane's tap of that round lies, counted from the first pixel under its filter.
    __device__ int tap_offset(int round) const {
        const int tap = threadIdx.x % kWarp + round * kWarp;
        return tap < k * k ? tap / k * pitch + tap % k : kNowhere;
    }
};

// The lane's numbers of a filter's slice, or of something as large.
struct LaneTaps {
    REAL of[kRounds][kChannels];

    // function(its place in the slice, number) of all that there are.
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
    // `slice` points at the first of its n_channels; what there is not is 0.
    __device__ void read(const REAL* slice, int n_channels, int n_taps) {
        *this = LaneTaps{};
        each(n_channels, n_taps, [=](int i, REAL& number) { number = slice[i]; });
    }
    __device__ void add(REAL factor, const Pixel& pixel, int round) {
        #pragma unroll
        for (int c = 0; c < kChannels; ++c) of[round][c] += factor * pixel.of[c];
    }
};

// For LaneTaps::each: writes a slice, of which `slice` points at the first number.
__device__ inline auto write_to(REAL* slice) {
    return [=](int i, REAL number) { slice[i] = number; };
}

// slice (n_images, height, pitch) <- the channels from `first` on of images (n_images, c, h, w).
__device__ inline void load_slice(const REAL* images, int n_images, int first, Layout layout,
                                  Pixel* slice) {
    constexpr int kAtOnce = 8 / kChannels;  // so many pixels are on their way
    const int n_rows = n_images * layout.height, n_pixels = layout.height * layout.width;
    const int more_rows = blockDim.x / layout.pitch, more_columns = blockDim.x % layout.pitch;
    int row = threadIdx.x / layout.pitch, column = threadIdx.x % layout.pitch;
    while (row < n_rows) {
        Pixel pixels[kAtOnce];
        int at[kAtOnce];
        #pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
            at[i] = row < n_rows ? row * layout.pitch + column : kNowhere;
            const int image = row / layout.height, y = row - image * layout.height;
            const REAL* const pixel = images + y * layout.width + column +
                                      (Index(image) * layout.channels + first) * n_pixels;
            #pragma unroll
            for (int c = 0; c < kChannels; ++c)
                pixels[i].of[c] =
                    row < n_rows && column < layout.width && first + c < layout.channels
                        ? pixel[Index(c) * n_pixels]
                        : 0;
            row += more_rows;
            column += more_columns;
            if (column >= layout.pitch) {
                column -= layout.pitch;
                ++row;
            }
        }
        #pragma unroll
        for (int i = 0; i < kAtOnce; ++i)
            if (at[i] >= 0) slice[at[i]] = pixels[i];
    }
}
