"""What only the CPU backend can get wrong: the joints of its chunks, and its second convolution.

The chunks are made small here, so that small arrays have many of them. How near the convolution in
the transform domain is to the reference is tested in `test_transform.py`.
"""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

import reference
from minisca import chunks
from minisca.backends import cpu
from minisca.backends.cpu import sgd
from minisca.backends.cpu.kernels import direct, survivors
from minisca.backends.cpu.kernels.windows import make_pooling, transpose_windows
from minisca.backends.cpu.vectors import machine_code
from tests.support.cases import CHANGED, Case, arguments, as_dtype, call
from tests.support.helpers import as_tuple, assert_within, rounding_bound

CASE = Case(5, 2, 8, 7, 9, 5)


@pytest.mark.parametrize("chunk_bytes", [1, 30_000])
@pytest.mark.parametrize("name", ["conv2d_backward", "deconv2d", "deconv2d_backward"])
def test_dense_passes_in_chunks_of_few_images(monkeypatch, name, dtype, chunk_bytes):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", chunk_bytes)
    n_chunks = len(chunks.chunks(CASE.n, CASE.c * CASE.k**2 * CASE.h * CASE.w * 4))
    assert n_chunks == {1: 5, 30_000: 3}[chunk_bytes]  # 11 kB an image in float32

    args = arguments(name, CASE)
    results = as_tuple(call(cpu, name, as_dtype(args, dtype)))
    expected = as_tuple(call(reference, name, args))
    magnitudes = as_tuple(call(reference, name, tuple(abs(a) for a in args)))
    roundings = max(CASE.m * CASE.k**2, CASE.n * CASE.h * CASE.w) + 1
    for result, right, magnitude in zip(results, expected, magnitudes, strict=True):
        assert_within(result, right, rounding_bound(roundings, magnitude, dtype))


@pytest.mark.parametrize(
    "name", ["conv2d", "encode_winners", "encode_top_n", "encode_k_largest", "encode_pooled"]
)
@pytest.mark.parametrize("maps_bytes", [1, 3 * 9 * 16 * 4])
def test_an_image_convolved_some_rows_at_a_time_gives_the_same_bits(
    monkeypatch, name, dtype, maps_bytes
):
    args = as_dtype(arguments(name, CASE), dtype)
    whole = as_tuple(call(cpu, name, args))
    monkeypatch.setattr(direct, "MAPS_BYTES", maps_bytes)
    assert 1 <= direct.make_plan(*args[:3]).rows < CASE.h
    for result, expected in zip(as_tuple(call(cpu, name, args)), whole, strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["sgd_momentum_", "normalise_filters_"])
@pytest.mark.parametrize("piece", [1, 100])  # of 450 numbers of 9 filters
def test_an_update_in_pieces_gives_the_same_bits(monkeypatch, name, dtype, piece):
    whole, in_pieces = (as_dtype(arguments(name, CASE), dtype) for _ in range(2))
    call(cpu, name, whole)
    monkeypatch.setattr(sgd, "PIECE", piece)
    call(cpu, name, in_pieces)
    for index in CHANGED[name]:
        np.testing.assert_array_equal(in_pieces[index], whole[index])


@pytest.mark.parametrize("name", ["decode_winners", "winners_backward"])
@pytest.mark.parametrize("channels", [2, 20])  # one slice of channels, two
def test_survivors_a_block_of_maps_and_some_images_at_a_time(monkeypatch, name, dtype, channels):
    args = arguments(name, Case(5, channels, 8, 7, 9, 5))
    monkeypatch.setattr(survivors, "MAPS_BYTES", 1)
    monkeypatch.setattr(survivors, "IMAGES_BYTES", 1)
    results = as_tuple(call(cpu, name, as_dtype(args, dtype)))
    expected = as_tuple(call(reference, name, args))
    magnitudes = as_tuple(call(reference, name, tuple(_magnitude(a) for a in args)))
    # a bias sums every pixel, a pixel some maps, a delta a patch; then a few products
    roundings = CASE.n * CASE.h * CASE.w + CASE.m + channels * CASE.k**2 + 4
    for result, right, magnitude in zip(results, expected, magnitudes, strict=True):
        assert_within(result, right, rounding_bound(roundings, magnitude, dtype))


def _magnitude(argument):
    return abs(argument) if isinstance(argument, np.ndarray) else argument


def test_an_empty_image_is_an_exact_tie_in_the_transform_domain_too(monkeypatch, dtype):
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    _, filters, bias = as_dtype(arguments("encode_winners", CASE), dtype)
    x = np.zeros((CASE.n, CASE.c, CASE.h, CASE.w), dtype)
    values, positions = cpu.encode_winners(x, filters, bias)
    np.testing.assert_array_equal(values, np.tile(np.maximum(bias, 0), (CASE.n, 1)))
    assert not positions.any()


def test_the_transform_is_another_computation(monkeypatch):
    """If the two convolutions agreed to the last bit, one of them would go untested."""
    args = arguments("encode_winners", CASE)
    results = []
    for convolution in ("direct", "transform"):
        monkeypatch.setenv("MINISCA_CONVOLUTION", convolution)
        results.append(cpu.encode_winners(*args)[0])
    assert np.any(results[0] != results[1])


def test_the_transform_gives_the_same_bits_whatever_the_threads(monkeypatch, dtype):
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba was given a single thread")
    args = as_dtype(arguments("encode_winners", Case(3, 2, 8, 7, 70, 3)), dtype)
    before, results = numba.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            numba.set_num_threads(n_threads)
            results.append(cpu.encode_winners(*args))
    finally:
        numba.set_num_threads(before)
    for one_thread, two_threads in zip(*results, strict=True):
        np.testing.assert_array_equal(one_thread, two_threads)


@pytest.mark.parametrize("more_windows", [-1, 0, 3])
@pytest.mark.parametrize("more_maps", [-1, 0, 5])
def test_pooled_windows_are_transposed_to_maps_of_windows(dtype, more_maps, more_windows):
    """Fewer maps or windows than a vector has lanes, as many, and some over."""
    lanes = machine_code.vector_lanes(dtype)
    n_maps, n_windows, first = lanes + more_maps, 2 * lanes + more_windows, 2
    block = chunks.ceil_div(n_maps, lanes) * lanes
    windows = np.arange(n_windows * block, dtype=dtype)
    pooled = np.full((n_maps, first + n_windows + 1), -1, dtype)
    pooling = make_pooling(block, dtype, 5, 3)
    for n in (n_windows, lanes + more_windows):
        pooled[:] = -1
        transpose_windows(windows, n, pooling, pooled, first)
        right = windows.reshape(n_windows, block)[:n, :n_maps].T
        np.testing.assert_array_equal(pooled[:, first : first + n], right)
        assert (np.delete(pooled, np.s_[first : first + n], axis=1) == -1).all()


@pytest.mark.parametrize(("features", "width"), [("+sse2,-avx", 16), ("+avx", 32), ("", 16)])
def test_vectors_are_those_of_the_machine_that_numba_is_told_of(features, width):
    switches = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features}
    module = "minisca.backends.cpu.vectors.machine_code"
    code = f"import {module} as m; print(m.VECTOR_BYTES, m._machine())"
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | switches, capture_output=True, text=True
    )
    assert found.stdout.strip() == f"{width} {('x86-64', features)}", found.stderr
