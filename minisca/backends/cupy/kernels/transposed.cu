// filters (m, c, k, k) -> turned (c, m, k, k), each filter turned by half: with it, `convolve`
// does what the transpose of `convolve` with the filters does.

#include "common.cuh"

extern "C" __global__ void transpose(const REAL* filters, int n_maps, int channels, int taps,
                                     REAL* turned, Index size) {
    for (Index i = first_element(); i < size; i += n_threads_of_grid()) {
        const int tap = int(i % taps), map = int(i / taps % n_maps);
        const Index channel = i / taps / n_maps;
        turned[i] = filters[(Index(map) * channels + channel) * taps + taps - 1 - tap];
    }
}
