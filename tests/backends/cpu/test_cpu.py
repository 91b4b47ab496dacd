"""What only the CPU backend can get wrong: the joints of its chunks, and its second convolution.

The chunks are made small here, so that small arrays have many of them. How near the convolution in
the transform domain is to the reference is tested in `test_transform.py`.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from minisca import chunks
from minisca.backends import cpu
from minisca.backends.cpu import sgd
from minisca.backends.cpu.kernels import direct, slices, survivors, windows
from minisca.backends.cpu.vectors import machine_code
from tests import test_against_reference, test_identities, test_ties
from tests.support.cases import CHANGED, Case, arguments, as_dtype, call
from tests.support.helpers import as_tuple

CASE = Case(5, 2, 8, 7, 9, 5)
check_sums = test_against_reference.test_sums_of_products_are_the_references_up_to_rounding


@pytest.mark.parametrize("chunk_bytes", [1, 30_000])
@pytest.mark.parametrize("name", ["conv2d_backward", "deconv2d", "deconv2d_backward"])
def test_dense_passes_in_chunks_of_few_images(monkeypatch, name, dtype, chunk_bytes):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", chunk_bytes)
    n_chunks = len(chunks.chunks(CASE.n, CASE.c * CASE.k**2 * CASE.h * CASE.w * 4))
    assert n_chunks == {1: 5, 30_000: 3}[chunk_bytes]  # 11 kB an image in float32
    check_sums(cpu, name, CASE, dtype)


@pytest.mark.parametrize(
    "name",
    [
        *("conv2d", "encode_winners", "encode_top_n", "encode_k_largest"),
        *("encode_pooled", "encode_pooled, factors"),
    ],
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


@pytest.mark.parametrize("piece", [1, 100])  # of 450 numbers
def test_an_update_in_pieces_gives_the_same_bits(monkeypatch, dtype, piece):
    whole, in_pieces = (as_dtype(arguments("sgd_momentum_", CASE), dtype) for _ in range(2))
    cpu.sgd_momentum_(*whole)
    monkeypatch.setattr(sgd, "PIECE", piece)
    cpu.sgd_momentum_(*in_pieces)
    for index in CHANGED["sgd_momentum_"]:
        np.testing.assert_array_equal(in_pieces[index], whole[index])


def test_parameters_of_two_dtypes_are_updated_in_one_call():
    updates, alone = (
        [as_dtype(arguments("sgd_momentum_", CASE), each) for each in ("float32", "float64")]
        for _ in range(2)
    )
    *lists, (momentum, _) = map(list, zip(*updates, strict=True))
    cpu.sgd_momentum_(*lists, momentum)
    for update, expected in zip(updates, alone, strict=True):
        cpu.sgd_momentum_(*expected)
        for index in CHANGED["sgd_momentum_"]:
            np.testing.assert_array_equal(update[index], expected[index])


@pytest.mark.parametrize("sliced_bytes", [1, slices.SLICED_BYTES])
@pytest.mark.parametrize("channels", [2, 20])  # one slice of channels, two
def test_a_decoded_residual_is_the_residual_of_what_is_decoded(
    monkeypatch, dtype, channels, sliced_bytes
):
    monkeypatch.setattr(slices, "SLICED_BYTES", sliced_bytes)
    case = Case(5, channels, 8, 7, 9, 5)
    values, positions, filters, bias, size = as_dtype(arguments("decode_winners", case), dtype)
    x = np.random.default_rng(3).standard_normal((case.n, channels, *size)).astype(dtype)
    loss, error = cpu.decoded_residual(values, positions, filters, bias, x, 3)
    x_hat = cpu.decode_winners(values, positions, filters, bias, size)
    expected_loss, expected = cpu.residual(x_hat, x, 3)
    np.testing.assert_array_equal(error, expected)
    assert loss == pytest.approx(expected_loss, rel=1e-14)


@pytest.mark.parametrize("name", ["decode_winners", "winners_backward"])
@pytest.mark.parametrize("channels", [2, 20])  # one slice of channels, two
def test_survivors_a_block_of_maps_and_some_images_at_a_time(monkeypatch, name, dtype, channels):
    monkeypatch.setattr(survivors, "MAPS_BYTES", 1)
    monkeypatch.setattr(survivors, "IMAGES_BYTES", 1)
    check_sums(cpu, name, Case(5, channels, 8, 7, 9, 5), dtype)


def test_an_empty_image_is_an_exact_tie_in_the_transform_domain_too(monkeypatch, dtype):
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    _, filters, bias = as_dtype(arguments("encode_winners", CASE), dtype)
    x = np.zeros((CASE.n, CASE.c, CASE.h, CASE.w), dtype)
    values, positions = cpu.encode_winners(x, filters, bias)
    np.testing.assert_array_equal(values, np.tile(np.maximum(bias, 0), (CASE.n, 1)))
    assert not positions.any()
    test_ties.test_an_empty_image_is_as_silent_after_others(cpu, dtype)


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
    case = Case(3, 2, 8, 7, 70, 3)
    test_identities.test_the_number_of_threads_changes_no_bit("encode_winners", case, dtype)


@pytest.mark.parametrize("more_windows", [-1, 0, 3])
@pytest.mark.parametrize("more_maps", [-1, 0, 5])
def test_windows_and_maps_are_fewer_than_lanes_as_many_and_some_over(
    dtype, more_maps, more_windows
):
    """They are transposed a square of lanes at a time, here in one row of windows and in two."""
    lanes, rng = machine_code.vector_lanes(dtype), np.random.default_rng(0)
    filters, bias = rng.random((lanes + more_maps, 1, 1, 1)), rng.random(lanes + more_maps)
    for height in (1, 2):
        x = rng.random((2, 1, height, lanes + more_windows))
        args = as_dtype((x, filters, bias), dtype)
        pooled = cpu.encode_pooled(*args, 1, 1)  # a window of one pixel each
        np.testing.assert_array_equal(pooled, cpu.conv2d(*args))


@pytest.mark.parametrize(("features", "width"), [("+sse2,-avx", 16), ("+avx", 32), ("", 16)])
def test_vectors_are_those_of_the_machine_that_numba_is_told_of(features, width):
    switches = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features}
    module = "minisca.backends.cpu.vectors.machine_code"
    code = f"import {module} as m; print(m.VECTOR_BYTES, m.machine())"
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | switches, capture_output=True, text=True
    )
    assert found.stdout.strip() == f"{width} {('x86-64', features)}", found.stderr


def test_pooled_rows_are_written_where_they_belong_and_nothing_else_is(dtype):
    """From a row on that is not the first: in squares of lanes, and what is left over."""
    lanes = machine_code.vector_lanes(dtype)
    n_maps, width = lanes + 5, lanes + 3
    block = -(-n_maps // lanes) * lanes
    maps = 1 + np.arange(2 * width * block, dtype=dtype)  # two rows; windows of one pixel each
    pooled = np.full((n_maps, 4, width), -1, dtype)
    pooling = windows.make_pooling(block, dtype, 1, 1, 0, 0)
    windows.pool_rows(maps, (4, width), 1, (1, 3), pooling, np.zeros_like(maps), pooled)
    right = maps.reshape(2, width, block)[..., :n_maps].transpose(2, 0, 1)
    np.testing.assert_array_equal(pooled[:, 1:3], right)
    assert (pooled[:, [0, 3]] == -1).all()
