// What kernels use of PTX, under the names that kernels/tensor.cuh gives it: halves, products of
// matrix fragments, matrices read from shared memory by a warp, copies in the background.
#pragma once

extern "C" {
float emulator_from_half(unsigned short half);
unsigned short emulator_to_half(float x);
void emulator_copy_start(void *to, const void *from);
void emulator_copy_commit();
void emulator_copy_wait(int n_left);
}

namespace emulator {

struct Fragments {  // runtime/tensor.cpp has the same
    float *sums;
    const unsigned *left, *right;
};

}  // namespace emulator

using SharedAddress = const char *;
inline SharedAddress shared_address(const void *pointer) {
    return static_cast<const char *>(pointer);
}

inline float from_half(unsigned short half) { return emulator_from_half(half); }
inline unsigned short to_half(float x) { return emulator_to_half(x); }

inline void multiply_fragments(float (&sums)[4], const unsigned (&left)[4],
                               const unsigned (&right)[2]) {
    const emulator::Fragments mine{sums, left, right};
    emulator_meet(emulator::kMultiply, 0xffffffff, reinterpret_cast<unsigned long>(&mine), 0,
                  EMULATOR_PLACE);
}

// ldmatrix: lane i of eight names row i of a matrix, and every lane gets a pair of its row.
template <int N>
inline void load_matrices(unsigned (&pairs)[N], SharedAddress row) {
    const int lane = emulator_lane();
    for (int i = 0; i < N; ++i) {
        const auto from = emulator::shuffle(0xffffffff, row, i * 8 + lane / 4, EMULATOR_PLACE);
        pairs[i] = reinterpret_cast<const unsigned *>(from)[lane % 4];
    }
}

inline void start_copy(void *to, const void *from) { emulator_copy_start(to, from); }
inline void commit_copies() { emulator_copy_commit(); }
template <int kLeft>
inline void wait_for_copies() {
    emulator_copy_wait(kLeft);
}
