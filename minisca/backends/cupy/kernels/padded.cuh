// Images with a margin of zeros, as wide as a filter reaches, and where their pixels lie.

constexpr int kMargin = FILTER_WIDTH / 2;
constexpr int kTaps = FILTER_WIDTH * FILTER_WIDTH;

struct Layer {
    int channels, height, width;
    int pitch, plane;  // of a row and a channel, margin included

    __device__ Layer(int channels, int height, int width)
        : channels(channels), height(height), width(width) {
        pitch = width + FILTER_WIDTH - 1;
        plane = (height + FILTER_WIDTH - 1) * pitch;
    }
    __device__ int n_places() const { return height * width; }
    __device__ int n_taps() const { return channels * kTaps; }
    __device__ int first_pixel(int place) const { return place / width * pitch + place % width; }
    // The pixel under a tap, counted from that under the first.
    __device__ int shift(int tap) const {
        return tap / kTaps * plane + tap % kTaps / FILTER_WIDTH * pitch + tap % FILTER_WIDTH;
    }
    // The number of an image at a pixel of the margin or within.
    __device__ float pixel(const float* image, int i) const {
        const int y = i % plane / pitch - kMargin, x = i % pitch - kMargin;
        const bool inside = 0 <= y && y < height && 0 <= x && x < width;
        return inside ? image[i / plane * n_places() + y * width + x] : 0;
    }
};
