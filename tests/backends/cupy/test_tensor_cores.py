"""What stands behind kernels/tensor.cuh: fragments, halves, copies in the background.

Where an element of a matrix lies is said here once more, from the PTX manual's "Matrix Fragments
for mma.m16n8k16 with floating point type", and the same tests run on a device.
"""

import numpy as np
import pytest

from minisca.backends import cupy
from minisca.backends.cupy.runtime import launching, machine
from tests.support.backends import EMULATED
from tests.support.cuda_emulator import KernelError

pytestmark = [
    pytest.mark.emulated if EMULATED else pytest.mark.gpu,
    pytest.mark.skipif(
        not cupy.is_available() or machine.platform.compute_capability < 80,
        reason="no device with tensor cores that multiply m16n8k16, and no g++ for the emulator",
    ),
]

TEXT = """
struct __align__(16) Row { unsigned short half[8]; };

extern "C" __global__ void multiply(const int* left, const int* right, float* sums) {
    unsigned of_left[4], of_right[2];
    float of_sums[4];
    for (int i = 0; i < 4; ++i) of_left[i] = left[threadIdx.x * 4 + i];
    for (int i = 0; i < 2; ++i) of_right[i] = right[threadIdx.x * 2 + i];
    for (int i = 0; i < 4; ++i) of_sums[i] = sums[threadIdx.x * 4 + i];
    multiply_fragments(of_sums, of_left, of_right);
    for (int i = 0; i < 4; ++i) sums[threadIdx.x * 4 + i] = of_sums[i];
}

extern "C" __global__ void load(const unsigned short* matrices, int* pairs) {
    __shared__ Row rows[32];
    for (int i = 0; i < 8; ++i) rows[threadIdx.x].half[i] = matrices[threadIdx.x * 8 + i];
    __syncthreads();
    unsigned found[4];
    load_matrices(found, shared_address(rows + threadIdx.x));
    for (int i = 0; i < 4; ++i) pairs[threadIdx.x * 4 + i] = int(found[i]);
}

extern "C" __global__ void convert(const float* x, unsigned short* halves, float* back, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        halves[i] = to_half(x[i]);
        back[i] = from_half(halves[i]);
    }
}

extern "C" __global__ void copy(const float* x, float* y, int n_groups) {
    __shared__ __align__(16) float line[2][128];
    for (int group = 0; group < 2; ++group) {
        start_copy(line[group] + threadIdx.x * 4, x + group * 128 + threadIdx.x * 4);
        commit_copies();
    }
    if (n_groups == 1) wait_for_copies<1>();
    if (n_groups == 2) wait_for_copies<0>();
    WAIT
    for (int i = threadIdx.x; i < 256; i += 32) y[i] = line[i / 128][i % 128];
}
"""


def run(name, *args, text=TEXT, wait="__syncthreads();"):
    """Launch one warp of the kernel `name` on NumPy arrays; they are changed."""
    code = launching.source("tensor.cuh") + text.replace("WAIT", wait)
    made = machine.platform.raw_kernel(code, name, ("-std=c++17",))
    on_device = [cupy.to_device(arg) if isinstance(arg, np.ndarray) else arg for arg in args]
    made((1,), (32,), tuple(on_device))
    for arg, result in zip(args, on_device, strict=True):
        if isinstance(arg, np.ndarray):
            arg[...] = cupy.to_host(result)


def fragments(matrix, places):
    """Of every lane the elements of `matrix` at places(lane, i), two halves a register."""
    halves = matrix.astype(np.float16)
    n = 8 if matrix.shape == (16, 16) else 4
    taken = [[halves[places(lane, i)] for i in range(n)] for lane in range(32)]
    return np.array(taken, np.float16).view(np.int32)


def of_left(lane, i):
    return lane // 4 + 8 * (i // 2 % 2), lane % 4 * 2 + i % 2 + 8 * (i // 4)


def of_right(lane, i):
    return lane % 4 * 2 + i % 2 + 8 * (i // 2), lane // 4


def of_sums(lane, i):
    return lane // 4 + 8 * (i // 2), lane % 4 * 2 + i % 2


def matrices(seed=0):
    random = np.random.default_rng(seed)
    shapes = (16, 16), (16, 8), (16, 8)
    return [random.integers(-50, 50, shape).astype(np.float32) for shape in shapes]


def multiplied(text=TEXT):
    """What the warp makes of left, right, sums, back in the form of a matrix."""
    left, right, sums = matrices()
    lanes = np.array([[sums[of_sums(lane, i)] for i in range(4)] for lane in range(32)])
    run("multiply", fragments(left, of_left), fragments(right, of_right), lanes, text=text)
    found = np.empty_like(sums)
    for lane in range(32):
        for i in range(4):
            found[of_sums(lane, i)] = lanes[lane, i]
    return found


def test_a_warp_multiplies_matrices_that_lie_in_its_registers_as_the_manual_says():
    left, right, sums = matrices()
    np.testing.assert_array_equal(multiplied(), sums + left @ right)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("of_left[4], of_right[2];", "of_left[4], of_right[2]; left += threadIdx.x % 4 == 1;"),
        ("left[threadIdx.x * 4 + i]", "left[threadIdx.x * 4 + (i == 1 ? 2 : i == 2 ? 1 : i)]"),
        ("right[threadIdx.x * 2 + i]", "right[threadIdx.x * 2 + 1 - i]"),
        ("sums[threadIdx.x * 4 + i] = of", "sums[threadIdx.x * 4 + (i ^ 2)] = of"),
    ],
    ids=["a lane's", "left", "right", "sums"],
)
def test_a_fragment_in_the_wrong_place_is_found(right, wrong):
    left, of_the_right, sums = matrices()
    text = TEXT.replace(right, wrong)
    assert text != TEXT
    assert not np.array_equal(multiplied(text), sums + left @ of_the_right)


def test_a_warp_reads_four_matrices_row_by_row():
    halves = np.arange(4 * 8 * 8, dtype=np.uint16).reshape(4, 8, 8)
    pairs = np.zeros((32, 4), np.int32)
    run("load", halves.reshape(32, 8), pairs)
    found = pairs.view(np.uint16).reshape(32, 4, 2)
    for lane in range(32):
        columns = slice(lane % 4 * 2, lane % 4 * 2 + 2)
        np.testing.assert_array_equal(found[lane], halves[:, lane // 4, columns])


def test_halves_are_rounded_as_numpy_rounds_them():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    every = every[np.isfinite(every)]
    ties = (every[1:] + every[:-1]) / 2
    random = np.random.default_rng(0).standard_normal(5000) * 2.0 ** np.arange(5000) ** 0.3
    more = [np.inf, -np.inf, 65519.99, 65520, 1e-30, -1e30, 2**-25, 2**-25 * 1.01]
    x = np.concatenate([every, ties, np.nextafter(ties, np.inf), random, more]).astype(np.float32)
    halves, back = np.zeros(x.size, np.uint16), np.zeros(x.size, np.float32)
    run("convert", x, halves, back, np.int32(x.size))
    with np.errstate(over="ignore"):
        right = x.astype(np.float16)
    np.testing.assert_array_equal(halves, right.view(np.uint16))
    np.testing.assert_array_equal(back, right.astype(np.float32))


def test_a_copy_is_there_when_it_was_waited_for():
    x, y = np.arange(256, dtype=np.float32), np.zeros(256, np.float32)
    run("copy", x, y, np.int32(2))
    np.testing.assert_array_equal(y, x)


needs_emulator = pytest.mark.skipif(not EMULATED, reason="a device reports nothing")


@needs_emulator
def test_of_a_copy_that_nobody_waited_for_there_is_nothing_but_rubbish():
    x, y = np.arange(256, dtype=np.float32), np.zeros(256, np.float32)
    run("copy", x, y, np.int32(1))  # the second group is still on its way
    np.testing.assert_array_equal(y[:128], x[:128])
    assert np.isnan(y[128:]).all()


@needs_emulator
def test_a_copy_is_seen_by_other_threads_after_a_barrier_only():
    with pytest.raises(KernelError, match=r"race: read|nobody has written"):
        run("copy", *(np.zeros(256, np.float32) for _ in range(2)), np.int32(2), wait="")


@needs_emulator
def test_a_product_needs_all_lanes_of_its_warp():
    text = TEXT.replace("unsigned of_left[4]", "if (threadIdx.x == 9) return; unsigned of_left[4]")
    with pytest.raises(KernelError, match="all 32 lanes"):
        multiplied(text)
