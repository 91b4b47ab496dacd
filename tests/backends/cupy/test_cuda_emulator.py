"""The emulator of CUDA kernels computes what a GPU would, and reports what a GPU leaves undefined.

Every fault that it promises to see is planted here in a small kernel of its own.
"""

import contextlib
import functools
from pathlib import Path

import numpy as np
import pytest

from tests.support import cuda_emulator
from tests.support.cuda_emulator import (
    COMPILER,
    OPT_IN_LIMIT,
    ORDERS,
    STATIC_LIMIT,
    CompileError,
    KernelError,
    LaunchError,
    RawKernel,
    blocks,
    build,
    can_be_sparse,
    order,
    sparse_zeros,
)

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="the emulator compiles with g++: none here"
)

COMPUTATIONS = (Path(cuda_emulator.__file__).parent / "examples.cu").read_text()


@functools.cache
def computation(name, real="float32"):
    return RawKernel(
        COMPUTATIONS, name, (f"-DREAL={dict(float32='float', float64='double')[real]}",)
    )


@pytest.fixture(params=ORDERS)
def in_order(request):
    """The test in one of the orders in which threads and blocks can run."""
    with order(request.param, seed=1):
        yield request.param


@pytest.fixture(params=["float32", "float64"])
def real(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def zeros(n, dtype="int32"):
    return np.zeros(n, dtype)


# What kernels compute ---------------------------------------------------------------------


def test_a_grid_of_blocks_adds_vectors(in_order, real, rng):
    a, b = rng.standard_normal((2, 1000)).astype(real)
    total = np.full(1003, -1, real)
    computation("add", real)((8,), (128,), (a, b, total[:1000], np.int32(1000)))
    np.testing.assert_array_equal(total[:1000], a + b)
    np.testing.assert_array_equal(total[1000:], -1)


def test_a_block_sums_through_shared_memory_and_barriers(in_order, real, rng):
    x = rng.integers(-9, 10, (3, 500)).astype(real)
    total, even = np.empty(3, real), np.empty(3, np.int32)
    computation("sums", real)((3,), (128,), (x, total, even, np.int32(500)))
    np.testing.assert_array_equal(total, x.sum(axis=1))
    np.testing.assert_array_equal(even, 250)


@pytest.mark.parametrize(("width", "by"), [(32, 3), (8, 3), (8, 12)])
@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "float32", "float64"])
def test_shuffles_move_values_between_lanes(in_order, dtype, width, by):
    n = 64
    x = (1000 * np.arange(1, n + 1) + 0.5).astype(dtype)
    moved = np.empty((4, n), dtype)
    arguments = (x, moved, np.int32(by), np.int32(width))
    computation(f"shuffles_{dtype}")((1,), (n,), arguments)
    lane = np.arange(n)
    group = lane // width * width
    sources = [
        group + by % width,
        np.where(lane - by >= group, lane - by, lane),
        np.where(lane + by < group + width, lane + by, lane),
        np.where((lane ^ by) // width > lane // width, lane, lane ^ by),
    ]
    np.testing.assert_array_equal(moved, x[np.array(sources)])


def test_lanes_of_a_mask_meet_without_the_rest_of_the_warp(in_order, real):
    x, total = np.arange(32, dtype=real), np.empty(32, real)
    computation("half_warps", real)((1,), (32,), (x, total))
    np.testing.assert_array_equal(total, np.repeat([x[:16].sum(), x[16:].sum()], 16))


def test_votes_count_the_warp_and_barriers_the_block(in_order):
    x = np.concatenate([np.arange(32) % 3, np.ones(32), np.zeros(32)]).astype(np.int32)
    ballots, any_, all_ = zeros(96, "uint32"), zeros(96), zeros(96)
    block = zeros((96, 3))
    computation("votes")((1,), (96,), (x, ballots, any_, all_, block))
    warps = (x > 0).reshape(3, 32)
    bits = (warps * 2 ** np.arange(32)).sum(axis=1)
    np.testing.assert_array_equal(ballots, np.repeat(bits, 32))
    np.testing.assert_array_equal(any_, np.repeat(warps.any(axis=1), 32))
    np.testing.assert_array_equal(all_, np.repeat(warps.all(axis=1), 32))
    np.testing.assert_array_equal(block, [[(x > 0).sum(), 1, 0]] * 96)


def test_atomic_operations_of_all_blocks_add_up(in_order, real, rng):
    x = rng.integers(0, 7, 1000).astype(np.int32)
    counts, largest, total = zeros(7), zeros(1), zeros(1, real)
    arguments = (x, counts, largest, total, np.int32(1000))
    computation("histogram", real)((3,), (64,), arguments)
    np.testing.assert_array_equal(counts, np.bincount(x))
    assert largest == 6
    assert total == x.sum()


def test_grids_and_blocks_have_three_dimensions(in_order):
    place = zeros((2 * 3 * 2, 4 * 3 * 5))
    computation("places")((2, 3, 2), (4, 3, 5), (place,))
    np.testing.assert_array_equal(place, 100 * np.arange(12)[:, None] + np.arange(60))


def test_dynamic_shared_memory_has_the_size_of_the_launch(in_order, real):
    x = np.arange(40, dtype=real)
    computation("reverse", real)((1,), (40,), (x,), shared_mem=2 * x.nbytes)
    np.testing.assert_array_equal(x, np.arange(40)[::-1])


def test_vectors_and_arrays_of_two_dimensions_lie_as_in_c(in_order):
    x, y = np.arange(32, dtype=np.float32).reshape(4, 8), np.empty((8, 4), np.float32)
    computation("transpose")((1,), (8,), (x, y))
    np.testing.assert_array_equal(y, x.T)


def test_the_last_block_may_read_what_the_others_fenced(in_order):
    x, total = np.arange(9, dtype=np.int32), zeros(1)
    computation("last_block")((9,), (32,), (x, zeros(9), zeros(1), total))
    assert total == x.sum()


def test_syncwarp_orders_the_accesses_of_a_warp(in_order):
    x, y = np.arange(64, dtype=np.int32), zeros(64)
    computation("neighbours")((1,), (64,), (x, y))
    np.testing.assert_array_equal(y, x ^ 1)


def test_an_array_without_elements_is_a_null_pointer():
    x = zeros(1)
    for nothing in (zeros(0), np.uintp(0)):
        computation("is_null")((1,), (1,), (nothing, x))
        assert x == 1
        x[0] = 0


def test_structures_go_through_shared_memory_whole(in_order):
    x, y = np.arange(32, dtype=np.int32), zeros(32)
    computation("structures")((1,), (32,), (x, y))
    np.testing.assert_array_equal(y, (x ^ 1) + 3)


def test_a_vote_waits_neither_for_lanes_that_returned_nor_for_lanes_that_are_not_there(in_order):
    ballot = zeros(40, "uint32")
    computation("leaving")((1,), (40,), (ballot,))
    odd = np.arange(40) % 2 == 1
    expected = np.where(np.arange(40) < 32, 0xAAAAAAAA, 0b10)
    np.testing.assert_array_equal(ballot, np.where(odd, expected, 0))


def test_arrays_that_share_memory_share_it_in_the_kernel():
    x = zeros(5)
    computation("overlap")((1,), (1,), (x[1:], x[:4]))
    np.testing.assert_array_equal(x, [7, 0, 0, 7, 0])


def test_intrinsic_functions_compute_what_they_say():
    y = np.empty(5, np.float32)
    computation("numbers")((1,), (1,), (y,))
    np.testing.assert_array_equal(y, [15, 2.5, 1.25, 43, 53])


def test_headers_are_found_through_an_option(tmp_path):
    (tmp_path / "twice.cuh").write_text("__device__ inline int twice(int x) { return FACTOR * x; }")
    code = '#include "twice.cuh"\nextern "C" __global__ void k(int* x) { x[0] = twice(x[0]); }'
    x = np.array([21], np.int32)
    RawKernel(code, "k", (f"-I{tmp_path}", "-DFACTOR=2"))((1,), (1,), (x,))
    assert x == 42


def test_a_text_is_compiled_once(monkeypatch):
    computation("add")
    commands = []
    run = build._run
    monkeypatch.setattr(build, "_run", lambda *given: commands.append(given[0]) or run(*given))
    computation.__wrapped__("sums")
    assert ["-E" in command for command in commands] == [True], "preprocessed, and no more"


def test_without_a_compiler_the_error_says_so(monkeypatch):
    monkeypatch.setattr(build, "COMPILER", None)
    with pytest.raises(CompileError, match=r"g\+\+ on Linux"):
        computation.__wrapped__("add")


def test_each_order_runs_threads_and_blocks_differently():
    holders = {}
    for name, seed in [("forward", 0), ("reversed", 0), ("random", 1), ("random", 2)]:
        with order(name, seed):
            holders[name, seed] = zeros(128)
            computation("tickets")((4,), (32,), (zeros(1), holders[name, seed]))
    np.testing.assert_array_equal(holders["forward", 0], np.arange(128))
    np.testing.assert_array_equal(holders["reversed", 0], np.arange(128)[::-1])
    for other in [("forward", 0), ("reversed", 0), ("random", 2)]:
        assert not np.array_equal(holders["random", 1], holders[other])
    for seed in (1, 2):
        np.testing.assert_array_equal(np.sort(holders["random", seed]), np.arange(128))


def test_of_a_grid_the_blocks_at_its_ends_can_be_run_alone(in_order):
    holders = zeros(96)
    with blocks(first=1, last=2):
        computation("tickets")((10,), (32,), (zeros(1), holders))
    np.testing.assert_array_equal(np.sort(holders), [*range(32), *range(8 * 32, 320)])
    holders = zeros(128)
    with blocks(first=3, last=100):  # more than there are: each once
        computation("tickets")((4,), (32,), (zeros(1), holders))
    np.testing.assert_array_equal(np.sort(holders), np.arange(128))


OVERFLOWS = """extern "C" __global__ void k(const float* x, float* y, long long n) {
    const TYPE i = TYPE(blockIdx.x) * int(blockDim.x) + int(threadIdx.x);
    if (i < n) y[i] = x[i] + 1;
}"""


@pytest.mark.skipif(
    COMPILER is None or not can_be_sparse(), reason="the system lends no addresses without memory"
)
def test_an_array_of_more_than_two_to_the_31_is_read_and_written_where_it_ends():
    n = 2**31 + 77
    x, y = (sparse_zeros((n,), np.float32) for _ in range(2))
    x[-5:] = np.arange(5)
    for text, fault in (
        (OVERFLOWS.replace("TYPE", "long"), contextlib.nullcontext()),
        (OVERFLOWS.replace("TYPE", "int"), pytest.raises(KernelError, match="multiplication over")),
        (OVERFLOWS.replace("TYPE", "unsigned"), contextlib.nullcontext()),
        (
            OVERFLOWS.replace("TYPE(blockIdx.x) * int(blockDim.x)", "int(blockIdx.x * blockDim.x)")
            .replace("TYPE", "int"),
            pytest.raises(KernelError, match="element -2147483648 of argument 0, which has 21474"),
        ),
    ):  # fmt: skip
        with blocks(first=0, last=1), fault:
            RawKernel(text, "k")((-(-n // 256),), (256,), (x, y, np.int64(n)))
    np.testing.assert_array_equal(y[-77:-5], 1)
    np.testing.assert_array_equal(y[-5:], 1 + np.arange(5))
    assert not y[:1000].any()


def test_what_nobody_has_touched_is_zero_whatever_a_launch_had_there_before():
    n = 8 << 20
    for x in (np.ones(n, np.float32), sparse_zeros((n,), np.float32)):
        total = np.zeros(1, np.float32)
        text = 'extern "C" __global__ void k(float* x, float* y) { y[0] = x[5000] + x[8 << 19]; }'
        RawKernel(text, "k")((1,), (1,), (x, total))
        assert total == x[0] + x[0]


# What they must not do --------------------------------------------------------------------

# By the kernel's name: its body, the fault, and the blocks that it is launched with. `x` has 64
# floats, `i` is the thread of 64 in its block, `buffer` is 64 floats of dynamic shared memory.
LINE = "__shared__ float line[64]; line[i] = i; __syncthreads();"
FAULTS = {
    # out of bounds
    "read_after_the_end": (
        "buffer[i] = x[i + 1];",
        "read of 4 .* element 64 of argument 0, .* 64$",
    ),
    "read_before_the_start": ("buffer[i] = x[i - 1];", "read of 4 bytes .* -1 of argument 0"),
    "write_after_the_end": ("x[64 - i] = 1;", "write of 4 bytes .* element 64 of argument 0"),
    "write_far_away": (
        "x[(i << 20) + i] = 1;",
        r"write of 4 bytes .* element \d{7,} of argument 0",
    ),
    "vector_over_the_end": (
        "if (i <= 16) reinterpret_cast<float4*>(buffer)[i] = make_float4(1, 1, 1, 1);",
        "write of 16 bytes .* element 64 of dynamic shared memory, which has 64$",
    ),
    "dynamic_after_the_end": ("buffer[i + 1] = 1;", ".* element 64 of dynamic shared memory"),
    "dynamic_before_the_start": ("buffer[i - 1] = 1;", ".* element -1 of dynamic shared memory"),
    "static_by_pointer": (
        LINE + "float* p = line; x[i] = p[i == 9 ? 64 : i];",
        "element 64 of shared line",
    ),
    "static_by_index": (LINE + "x[i] = line[i + 1];", "index 64 out of bounds of an array"),
    "inner_index": ("__shared__ float tile[8][8]; tile[0][i] = 1;", "index [0-9]+ out of bounds"),
    "local_index": ("float mine[4] = {}; mine[i % 4] = i; x[i] = mine[i];", "index [0-9]+ out of"),
    "null_pointer": (
        "float* p = x + i; if (i == 9) p = nullptr; *p = 1;",
        "null or misaligned pointer",
    ),
    "stray_pointer": ("float* p = x + i; if (i == 9) p = (float*)4096; *p = 1;", "a stray pointer"),
    "variable_of_another_thread": (
        "__shared__ int* p; int mine = i; if (i == 7) p = &mine; __syncthreads(); x[i] = *p;",
        "read of 4 bytes through a stray pointer",
    ),
    "misaligned_vector": ("((float2*)(x + 1))[i / 32] = make_float2(0, 0);", "misaligned pointer"),
    # not written
    "static_unwritten": (
        "__shared__ float line[64]; if (i != 5) line[i] = 1; __syncthreads(); x[i] = line[63 - i];",
        "read of element 5 of shared line, which nobody has written",
    ),
    "dynamic_unwritten": (
        "x[i] = buffer[i];",
        "of dynamic shared memory, which nobody has written",
    ),
    "atomic_on_unwritten": (
        "__shared__ int n; atomicAdd(&n, i);",
        "atomic operation of element 0 of shared n, which nobody has written",
    ),
    "written_by_the_block_before": (
        "__shared__ float line[64], turn; if (i == 0) turn = atomicAdd(x, 1.0f); __syncthreads();"
        "if (turn == 1) line[i] = 1; __syncthreads(); buffer[i] = line[i];",
        "of shared line, which nobody has written",
        2,
    ),
    # races
    "missing_barrier": (
        LINE + "line[i] = 2; x[i] = line[63 - i];",
        r"race: (read|write) of element \d+ of shared line, which thread .* has (written|read)",
    ),
    "missing_second_barrier": (
        LINE + "float y = line[63 - i]; line[i] = y;",
        r"race: (read|write) of element \d+ of shared line, which thread .* has (written|read)",
    ),
    "all_write": ("__shared__ int flag; flag = 1;", "race: write of element 0 of shared flag"),
    "race_in_global_memory": ("x[i / 2] = i;", "race: write of element .* of argument 0"),
    "shuffle_is_no_barrier": (
        LINE + "line[i] = 2; float y = __shfl_sync(~0u, line[i], 0); x[i] = line[i ^ 1] + y;",
        "race: read of element .* of shared line",
    ),
    "warp_is_not_block": (
        LINE + "line[i] = 2; __syncwarp(); x[i] = line[i ^ 32];",
        "race: (read|write) of element .* of shared line",
    ),
    "write_after_others_read": (
        LINE + "float y = line[0]; if (i == 63) line[0] = 2; x[i] = y;",
        "race: (read|write) of element 0 of shared line, which thread .* has (written|read)",
    ),
    "syncwarp_of_half": (
        LINE + "line[i] = 2; __syncwarp(i % 32 < 16 ? 0xffffu : 0xffff0000u); x[i] = line[i ^ 16];",
        "race: (read|write) of element .* of shared line",
    ),
    "last_block_without_fence": (
        "if (i) return; x[blockIdx.x] = 1; if (atomicAdd(x + 9, 1.0f) == 2) x[9] = x[0] + x[1];",
        "race between blocks: read of element [01] of argument 0, which another block has written",
        2,
    ),
    "atomic_and_plain": (
        "__shared__ int n; if (i == 0) n = 0; __syncthreads();"
        "if (i < 63) atomicAdd(&n, 1); else x[i] = n;",
        "race: (read|atomic operation) of element 0 of shared n",
    ),
    "race_between_blocks": ("x[i] = 1;", "race between blocks: write of .* of argument 0", 2),
    # barriers
    "barrier_of_some": (
        "if (i < 40) __syncthreads();",
        r"barrier: thread \(40, 0, 0\) has returned",
    ),
    "return_before_barrier": ("if (i == 9) return; __syncthreads();", r"\(9, 0, 0\) has returned"),
    "two_barriers": (
        "if (i < 32) __syncthreads();\n else __syncthreads();",
        r"divergent barrier: thread \(32, 0, 0\) waits at kernel.cu:\d+",
    ),
    # warps
    "lanes_at_a_barrier": (
        "if (i % 32 < 16) __syncwarp(); __syncthreads();",
        r"lane 0 waits for the lanes of the mask 0xffffffff, but thread \(16, 0, 0\) waits at",
    ),
    "shuffle_of_some": ("if (i < 60) x[i] = __shfl_down_sync(~0u, i, 1);", "reads lane 28, which"),
    "shuffle_of_others": (
        "if (i < 16) x[i] = __shfl_sync(0xffffu, i, 20);",
        "reads lane 20, which does not take part",
    ),
    "different_masks": (
        "x[i] = __ballot_sync(i % 32 < 16 ? ~0u : 0xffff0001u, 1);",
        r"lane 0 waits for the lanes of the mask 0xffffffff, but thread \(16, 0, 0\) waits at",
    ),
    "caller_not_in_mask": (
        "__syncwarp(0xffffu);",
        r"lane \d+ calls .* 0x0000ffff does not name it",
    ),
    # undefined behaviour
    "signed_overflow": ("x[i] = i + 2147483600;", "undefined behaviour: a signed addition"),
    "shift_too_far": ("x[i] = 1 << i;", "undefined behaviour: a shift"),
    "division_by_zero": ("x[i] = 64 / (i - 9);", "undefined behaviour: a division by zero"),
    "float_too_large": ("x[i] = int(1e9f * i);", "undefined behaviour: a floating-point number"),
}


# Every kernel starts a line of its own.
FAULTY = "\n".join(
    f'extern "C" __global__ void {name}(float* x) {{ extern __shared__ float buffer[];'
    f" int i = threadIdx.x; {fault[0]} }}"
    for name, fault in FAULTS.items()
)


@functools.cache
def faulty(name):
    return RawKernel(FAULTY, name)


@pytest.mark.parametrize("name", FAULTS)
def test_every_planted_fault_is_reported_in_every_order(in_order, name):
    _, message, *n_blocks = FAULTS[name]
    x = np.ones(64, np.float32)
    with pytest.raises(KernelError, match=message) as raised:
        faulty(name)((*n_blocks, 1), (64,), (x,), shared_mem=256)
    lines = [n for n, line in enumerate(FAULTY.split("\n"), 1) if f"void {name}(" in line]
    lines += [lines[0] + 1] * ("\n" in FAULTS[name][0])
    places = [f"kernel {name}, kernel.cu:{line}, block (" for line in lines]
    assert any(str(raised.value).startswith(place) for place in places), raised.value
    np.testing.assert_array_equal(x, 1, "a kernel that failed changes nothing")


def test_a_fault_names_block_and_thread():
    code = """extern "C" __global__ void k(float* x) {
        if (blockIdx.y == 2 && threadIdx.z == 3)
            x[threadIdx.x + 7] = 1;
    }"""
    place = r"^kernel k, kernel.cu:3, block \(0, 2, 0\), thread \(1, 0, 3\): write of 4 bytes"
    with pytest.raises(KernelError, match=place):
        RawKernel(code, "k")((1, 3), (2, 1, 4), (np.zeros(8, np.float32),))


def test_the_emulator_goes_on_after_a_fault():
    with pytest.raises(KernelError):
        faulty("barrier_of_some")((1,), (64,), (np.ones(64, np.float32),), shared_mem=256)
    x = np.ones(64, np.float32)
    computation("add")((1,), (64,), (x, x, x, np.int32(64)))
    np.testing.assert_array_equal(x, 2)


# What a launch must be --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "block", "shared_mem"),
    [
        ((0,), (32,), 0),
        ((1, 65536), (32,), 0),
        ((1, 1, 65536), (32,), 0),
        ((2**31,), (32,), 0),
        ((1, 1, 1, 1), (32,), 0),
        ((1,), (0,), 0),
        ((1,), (1025,), 0),
        ((1,), (32, 33), 0),
        ((1,), (1, 1, 65), 0),
        ((1,), (32,), STATIC_LIMIT + 1),
    ],
)
def test_a_launch_that_a_device_refuses_is_refused(grid, block, shared_mem):
    with pytest.raises(LaunchError, match=r"invalid configuration: .*kernel places"):
        computation("places")(grid, block, (zeros(1),), shared_mem=shared_mem)


@pytest.mark.parametrize(
    "head",
    [
        "__global__ void __launch_bounds__(128)",
        "__launch_bounds__((1 + 3) * (sizeof(int) == 4 ? 32 : 0), int(2)) __global__ void",
        "__global__ __launch_bounds__(\n128, 2) void",
    ],
)
def test_launch_bounds_are_kept(head):
    other = "template <class T> __global__ void other(T* x) { *x = 1; }"
    kernel = RawKernel(f'{other}\nextern "C" {head} k(int* x) {{ other(x); }}', "k")
    kernel((1,), (1,), (zeros(1),))
    with pytest.raises(LaunchError, match="has 129 threads, more than the 128 that kernel k"):
        kernel((1,), (129,), (zeros(1),))


def test_static_and_dynamic_shared_memory_share_the_limit():
    code = (
        'extern "C" __global__ void k(int* x) { __shared__ int whole[12 << 10];'
        "extern __shared__ int more[]; whole[0] = 1; if (x[0] > 0) more[x[0] - 1] = 1; }"
    )
    kernel = RawKernel(code, "k")
    kernel((1,), (1,), (zeros(1),))
    with pytest.raises(LaunchError, match="49152 bytes of static and 4 of dynamic shared memory"):
        kernel((1,), (1,), (zeros(1),), shared_mem=4)
    kernel.max_dynamic_shared_size_bytes = 50 << 10
    kernel((1,), (1,), (np.full(1, 50 << 8, np.int32),), shared_mem=50 << 10)
    with pytest.raises(LaunchError, match="must be 0 to 51200"):
        kernel((1,), (1,), (zeros(1),), shared_mem=(50 << 10) + 1)
    with pytest.raises(LaunchError, match="max_dynamic_shared_size_bytes is 101377"):
        kernel.max_dynamic_shared_size_bytes = OPT_IN_LIMIT + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: 1.0}, "argument 0 of kernel add is 1.0 of type .*float; it must be an array"),
        ({0: None}, "argument 0 of kernel add is None"),
        (
            {1: np.zeros(4)},
            "argument 1 of kernel add is an array of float64; the kernel takes float32",
        ),
        ({2: np.zeros(8, np.float32)[::2]}, "argument 2 of kernel add is not C-contiguous"),
        ({3: 4}, r"argument 3 of kernel add is 4 of type .*int; .* pass numpy.int32\(\.\.\.\)"),
        ({3: 4.0}, "argument 3 of kernel add is 4.0 of type .*float"),
        ({3: np.int64(4)}, "argument 3 of kernel add is .* of type numpy.int64"),
        ({3: np.float32(4)}, "argument 3 of kernel add is .* of type numpy.float32"),
        ({3: np.zeros(1, np.int32)}, "argument 3 of kernel add"),
        ({4: np.int32(4)}, "kernel add has 4 parameters, 5 given"),
    ],
)
def test_an_argument_that_is_not_the_parameter_is_refused(change, message):
    right = {0: zeros(4, "float32"), 1: zeros(4, "float32"), 2: zeros(4, "float32"), 3: np.int32(4)}
    computation("add")((1,), (4,), tuple(right.values()))
    with pytest.raises(TypeError, match=message):
        computation("add")((1,), (4,), tuple((right | change).values()))


def test_a_read_only_array_may_be_read_but_not_written():
    x, y = zeros(4, "float32"), zeros(4, "float32")
    x.flags.writeable = False
    computation("add")((1,), (4,), (x, x, y, np.int32(4)))
    with pytest.raises(ValueError, match="argument 2 is a read-only array"):
        computation("add")((1,), (4,), (y, y, x, np.int32(4)))


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("x[0] = y;", (), "kernel.cu:2:.*'y' was not declared"),
        ("x[0] = INFINITY;", (), "kernel.cu:2:.*'INFINITY' was not declared"),
        ("x[0] = __activemask();", (), "name the lanes in a mask"),
        ("__shared__ float y[] = {1};", (), "does not understand"),
        ("} __shared__ int y[4]; void l() {", (), "inside of a function"),
        ("float y; x[0] = y;", (), "kernel.cu:2:.*'y' is used uninitialized"),
        ("float y[40000]; y[int(x[0])] = 1; x[0] = y[3];", (), "frame size of .* is larger"),
        ("x[0] = 1;", ("--gpu-code=sm_90",), r"options .* not know: \['--gpu-code=sm_90'\]"),
        ("} void other() {", (), "no .* void k"),
    ],
)
def test_a_text_that_is_no_kernel_is_refused_with_the_line(code, options, message):
    head = "void j" if "other" in code else "__global__ void k"
    with pytest.raises(CompileError, match=message):
        RawKernel(f'extern "C" {head}(float* x) {{\n{code}\n}}', "k", options)


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="order is 'sideways'"), order("sideways"):
        pass
