"""The emulator of CUDA kernels computes what a GPU would (support/cuda_emulator/examples.cu)."""

import contextlib

import numpy as np
import pytest

from tests.support.cuda_emulator import (
    COMPILER,
    CompileError,
    KernelError,
    RawKernel,
    blocks,
    build,
    can_be_sparse,
    order,
    sparse_zeros,
)
from tests.support.cuda_emulator.examples import example, zeros

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="the emulator compiles with g++: none here"
)


@pytest.fixture(params=["float32", "float64"])
def real(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_grid_of_blocks_adds_vectors(in_order, real, rng):
    a, b = rng.standard_normal((2, 1000)).astype(real)
    total = np.full(1003, -1, real)
    example("add", real)((8,), (128,), (a, b, total[:1000], np.int32(1000)))
    np.testing.assert_array_equal(total[:1000], a + b)
    np.testing.assert_array_equal(total[1000:], -1)


def test_a_block_sums_through_shared_memory_and_barriers(in_order, real, rng):
    x = rng.integers(-9, 10, (3, 500)).astype(real)
    total, even = np.empty(3, real), np.empty(3, np.int32)
    example("sums", real)((3,), (128,), (x, total, even, np.int32(500)))
    np.testing.assert_array_equal(total, x.sum(axis=1))
    np.testing.assert_array_equal(even, 250)


@pytest.mark.parametrize(("width", "by"), [(32, 3), (8, 3), (8, 12)])
@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "float32", "float64"])
def test_shuffles_move_values_between_lanes(in_order, dtype, width, by):
    n = 64
    x = (1000 * np.arange(1, n + 1) + 0.5).astype(dtype)
    moved = np.empty((4, n), dtype)
    arguments = (x, moved, np.int32(by), np.int32(width))
    example(f"shuffles_{dtype}")((1,), (n,), arguments)
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
    example("half_warps", real)((1,), (32,), (x, total))
    np.testing.assert_array_equal(total, np.repeat([x[:16].sum(), x[16:].sum()], 16))


def test_votes_count_the_warp_and_barriers_the_block(in_order):
    x = np.concatenate([np.arange(32) % 3, np.ones(32), np.zeros(32)]).astype(np.int32)
    ballots, any_, all_ = zeros(96, "uint32"), zeros(96), zeros(96)
    block = zeros((96, 3))
    example("votes")((1,), (96,), (x, ballots, any_, all_, block))
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
    example("histogram", real)((3,), (64,), arguments)
    np.testing.assert_array_equal(counts, np.bincount(x))
    assert largest == 6
    assert total == x.sum()


def test_grids_and_blocks_have_three_dimensions(in_order):
    place = zeros((2 * 3 * 2, 4 * 3 * 5))
    example("places")((2, 3, 2), (4, 3, 5), (place,))
    np.testing.assert_array_equal(place, 100 * np.arange(12)[:, None] + np.arange(60))


def test_dynamic_shared_memory_has_the_size_of_the_launch(in_order, real):
    x = np.arange(40, dtype=real)
    example("reverse", real)((1,), (40,), (x,), shared_mem=2 * x.nbytes)
    np.testing.assert_array_equal(x, np.arange(40)[::-1])


def test_vectors_and_arrays_of_two_dimensions_lie_as_in_c(in_order):
    x, y = np.arange(32, dtype=np.float32).reshape(4, 8), np.empty((8, 4), np.float32)
    example("transpose")((1,), (8,), (x, y))
    np.testing.assert_array_equal(y, x.T)


def test_the_last_block_may_read_what_the_others_fenced(in_order):
    x, total = np.arange(9, dtype=np.int32), zeros(1)
    example("last_block")((9,), (32,), (x, zeros(9), zeros(1), total))
    assert total == x.sum()


def test_syncwarp_orders_the_accesses_of_a_warp(in_order):
    x, y = np.arange(64, dtype=np.int32), zeros(64)
    example("neighbours")((1,), (64,), (x, y))
    np.testing.assert_array_equal(y, x ^ 1)


def test_an_array_without_elements_is_a_null_pointer():
    x = zeros(1)
    for nothing in (zeros(0), np.uintp(0)):
        example("is_null")((1,), (1,), (nothing, x))
        assert x == 1
        x[0] = 0


def test_structures_go_through_shared_memory_whole(in_order):
    x, y = np.arange(32, dtype=np.int32), zeros(32)
    example("structures")((1,), (32,), (x, y))
    np.testing.assert_array_equal(y, (x ^ 1) + 3)


def test_a_vote_waits_neither_for_lanes_that_returned_nor_for_lanes_that_are_not_there(in_order):
    ballot = zeros(40, "uint32")
    example("leaving")((1,), (40,), (ballot,))
    odd = np.arange(40) % 2 == 1
    expected = np.where(np.arange(40) < 32, 0xAAAAAAAA, 0b10)
    np.testing.assert_array_equal(ballot, np.where(odd, expected, 0))


def test_arrays_that_share_memory_share_it_in_the_kernel():
    x = zeros(5)
    example("overlap")((1,), (1,), (x[1:], x[:4]))
    np.testing.assert_array_equal(x, [7, 0, 0, 7, 0])


def test_intrinsic_functions_compute_what_they_say():
    y = np.empty(5, np.float32)
    example("numbers")((1,), (1,), (y,))
    np.testing.assert_array_equal(y, [15, 2.5, 1.25, 43, 53])


def test_headers_are_found_through_an_option(tmp_path):
    (tmp_path / "twice.cuh").write_text("__device__ inline int twice(int x) { return FACTOR * x; }")
    code = '#include "twice.cuh"\nextern "C" __global__ void k(int* x) { x[0] = twice(x[0]); }'
    x = np.array([21], np.int32)
    RawKernel(code, "k", (f"-I{tmp_path}", "-DFACTOR=2"))((1,), (1,), (x,))
    assert x == 42


def test_a_text_is_compiled_once(monkeypatch):
    example("add")
    commands = []
    run = build._run
    monkeypatch.setattr(build, "_run", lambda *given: commands.append(given[0]) or run(*given))
    example.__wrapped__("sums")
    assert ["-E" in command for command in commands] == [True], "preprocessed, and no more"


def test_without_a_compiler_the_error_says_so(monkeypatch):
    monkeypatch.setattr(build, "COMPILER", None)
    with pytest.raises(CompileError, match=r"g\+\+ on Linux"):
        example.__wrapped__("add")


def test_each_order_runs_threads_and_blocks_differently():
    holders = {}
    for name, seed in [("forward", 0), ("reversed", 0), ("random", 1), ("random", 2)]:
        with order(name, seed):
            holders[name, seed] = zeros(128)
            example("tickets")((4,), (32,), (zeros(1), holders[name, seed]))
    np.testing.assert_array_equal(holders["forward", 0], np.arange(128))
    np.testing.assert_array_equal(holders["reversed", 0], np.arange(128)[::-1])
    for other in [("forward", 0), ("reversed", 0), ("random", 2)]:
        assert not np.array_equal(holders["random", 1], holders[other])
    for seed in (1, 2):
        np.testing.assert_array_equal(np.sort(holders["random", seed]), np.arange(128))


def test_of_a_grid_the_blocks_at_its_ends_can_be_run_alone(in_order):
    holders = zeros(96)
    with blocks(first=1, last=2):
        example("tickets")((10,), (32,), (zeros(1), holders))
    np.testing.assert_array_equal(np.sort(holders), [*range(32), *range(8 * 32, 320)])
    holders = zeros(128)
    with blocks(first=3, last=100):  # more than there are: each once
        example("tickets")((4,), (32,), (zeros(1), holders))
    np.testing.assert_array_equal(np.sort(holders), np.arange(128))


@pytest.mark.skipif(
    COMPILER is None or not can_be_sparse(), reason="the system lends no addresses without memory"
)
@pytest.mark.parametrize(
    ("kind", "offset", "fault"),
    [
        ("long", "long(blockIdx.x) * int(blockDim.x)", None),
        ("int", "int(blockIdx.x) * int(blockDim.x)", "multiplication over"),
        ("unsigned", "unsigned(blockIdx.x) * int(blockDim.x)", None),
        ("int", "int(blockIdx.x * blockDim.x)", "-2147483648 of argument 0, which has 21474"),
    ],
)
def test_an_array_of_more_than_two_to_the_31_is_read_and_written_where_it_ends(kind, offset, fault):
    n = 2**31 + 77
    x, y = (sparse_zeros((n,), np.float32) for _ in range(2))
    x[-5:] = np.arange(5)
    text = f"""extern "C" __global__ void k(const float* x, float* y, long long n) {{
        const {kind} i = {offset} + int(threadIdx.x);
        if (i < n) y[i] = x[i] + 1;
    }}"""
    refused = pytest.raises(KernelError, match=fault) if fault else contextlib.nullcontext()
    with blocks(first=0, last=1), refused:
        RawKernel(text, "k")((-(-n // 256),), (256,), (x, y, np.int64(n)))
    if fault is None:
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
