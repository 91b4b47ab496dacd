"""The emulator of CUDA kernels computes what a GPU would (support/cuda_emulator/examples.cu).

That sums, shared memory, barriers and atomics are right is shown by the backend's own kernels,
which compute in it what the reference does (test_against_reference.py).
"""

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
from tests.support.cuda_emulator.examples import example

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="the emulator compiles with g++: none here"
)


def zeros(*shape):
    return np.zeros(shape, np.int32)


@pytest.mark.parametrize(("width", "by"), [(32, 3), (8, 3), (8, 12)])
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
def test_shuffles_move_values_between_lanes(in_order, dtype, width, by):
    n = 64
    x = (1000 * np.arange(1, n + 1) + 0.5).astype(dtype)
    moved = np.empty((2, n), dtype)
    arguments = (x, moved, np.int32(by), np.int32(width))
    example(f"shuffles_{dtype}")((1,), (n,), arguments)
    lane = np.arange(n)
    across = np.where((lane ^ by) // width > lane // width, lane, lane ^ by)
    np.testing.assert_array_equal(moved, x[[lane // width * width + by % width, across]])


def test_lanes_of_a_mask_meet_without_the_rest_of_the_warp(in_order):
    x, total = np.arange(32, dtype=np.float32), np.empty(32, np.float32)
    example("half_warps")((1,), (32,), (x, total))
    np.testing.assert_array_equal(total, np.repeat([x[:16].sum(), x[16:].sum()], 16))


def test_nobody_waits_for_lanes_that_returned_or_that_are_not_there(in_order):
    stayed = zeros(40)
    example("leaving")((1,), (40,), (stayed,))
    np.testing.assert_array_equal(stayed, np.arange(40) % 2)


def test_grids_and_blocks_have_three_dimensions(in_order):
    place = zeros(2 * 3 * 2, 4 * 3 * 5)
    example("places")((2, 3, 2), (4, 3, 5), (place,))
    np.testing.assert_array_equal(place, 100 * np.arange(12)[:, None] + np.arange(60))


def test_the_last_block_may_read_what_the_others_fenced(in_order):
    x, total = np.arange(9, dtype=np.int32), zeros(1)
    example("last_block")((9,), (32,), (x, zeros(9), zeros(1), total))
    assert total == x.sum()


def test_an_array_without_elements_is_a_null_pointer():
    x = zeros(1)
    example("is_null")((1,), (1,), (zeros(0), x))
    assert x == 1


def test_arrays_that_share_memory_share_it_in_the_kernel():
    x = zeros(5)
    example("overlap")((1,), (1,), (x[1:], x[:4]))
    np.testing.assert_array_equal(x, [7, 0, 0, 7, 0])


def test_a_text_is_compiled_once(monkeypatch):
    example("add")
    commands = []
    run = build._run
    monkeypatch.setattr(build, "_run", lambda *given: commands.append(given[0]) or run(*given))
    example.__wrapped__("places")
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
    for first, last, n, run in ((1, 2, 10, (0, 8, 9)), (3, 100, 4, range(4))):  # each once
        holders = zeros(len(run), 32)
        with blocks(first, last):
            example("tickets")((n,), (32,), (zeros(1), holders))
        lanes = np.arange(32) + 32 * np.array(run)[:, None]
        np.testing.assert_array_equal(np.sort(holders.ravel()), lanes.ravel())


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
