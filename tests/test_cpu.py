"""What only the CPU backend can get wrong: the joints of its chunks, and its second convolution.

The chunks are made small here, so that small arrays have many of them, and the convolution in the
transform domain is asked for where it would not be chosen.
"""

import numba
import numpy as np
import pytest
from cases import Case, arguments, as_dtype, call
from helpers import as_tuple, assert_within, check_selection, rounding_bound

import reference
from minisca.backends import cpu
from minisca.backends.cpu import arrays

CASE = Case(5, 2, 8, 7, 9, 5)


@pytest.mark.parametrize("chunk_bytes", [1, 30_000])
@pytest.mark.parametrize("name", ["conv2d_backward", "deconv2d", "deconv2d_backward"])
def test_dense_passes_in_chunks_of_few_images(monkeypatch, name, dtype, chunk_bytes):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", chunk_bytes)
    n_chunks = len(arrays.chunks(CASE.n, CASE.c * CASE.k**2 * CASE.h * CASE.w * 4))
    assert n_chunks == {1: 5, 30_000: 3}[chunk_bytes]  # 11 kB an image in float32

    args = arguments(name, CASE)
    results = as_tuple(call(cpu, name, as_dtype(args, dtype)))
    expected = as_tuple(call(reference, name, args))
    magnitudes = as_tuple(call(reference, name, tuple(abs(a) for a in args)))
    roundings = max(CASE.m * CASE.k**2, CASE.n * CASE.h * CASE.w) + 1
    for result, right, magnitude in zip(results, expected, magnitudes, strict=True):
        assert_within(result, right, rounding_bound(roundings, magnitude, dtype))


TRANSFORMED = [
    Case(2, 4, 10, 10, 16, 5),
    Case(2, 3, 1, 1, 5, 3),
    Case(3, 2, 8, 7, 70, 3),
    Case(2, 16, 3, 7, 33, 13),
    Case(1, 2, 3, 33, 17, 5, 4, 3),
    Case(1, 5, 33, 7, 9, 3, 2, 2),
    Case(2, 3, 13, 7, 33, 5, 3, 2, "mostly zero"),
    Case(2, 2, 13, 10, 16, 5, 3, 2, "zero"),
]


def units_and_transform_bound(case, dtype):
    """The reference's pre-activations, and how far those of the transform may be from them.

    A unit is the end of r roundings in a row: over the image's places, the filter's taps, the
    channels and the frequencies. They are of independent signs, so they add up in squares: to a
    standard deviation of sqrt(r) eps / 2 times the norm of what is summed. Four of them, so that
    the worst of thousands passes.
    """
    x, filters, bias = arguments("encode_winners", case)
    squares = np.einsum("nc,mc->nm", np.sum(x**2, (2, 3)), np.sum(filters**2, (2, 3)))
    norms = np.broadcast_to((np.sqrt(squares) + np.abs(bias))[:, :, None, None], case_shape(case))
    frequencies = (case.h + case.k // 2) * (case.w + case.k // 2)
    roundings = case.h * case.w + case.k**2 + 2 * case.c + frequencies
    bound = 2 * np.finfo(dtype).eps * np.sqrt(roundings) * norms
    return reference.conv2d(x, filters, bias), bound


def case_shape(case):
    return case.n, case.m, case.h, case.w


@pytest.mark.parametrize("case", TRANSFORMED, ids=str)
def test_winners_found_in_the_transform_domain(monkeypatch, case, dtype):
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    units, bound = units_and_transform_bound(case, dtype)
    values, positions = cpu.encode_winners(*as_dtype(arguments("encode_winners", case), dtype))
    assert values.dtype == dtype
    check_selection(units, bound, values.reshape(-1, 1), positions.reshape(-1, 1))


@pytest.mark.parametrize("case", TRANSFORMED, ids=str)
def test_features_pooled_in_the_transform_domain(monkeypatch, case, dtype):
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    units, bound = units_and_transform_bound(case, dtype)
    pooling = case.pool_width, case.pool_stride
    pooled = cpu.encode_pooled(*as_dtype(arguments("encode_pooled", case), dtype))
    right, _ = reference.max_pool(np.maximum(units, 0), *pooling)
    assert pooled.dtype == dtype
    assert_within(pooled, right, reference.max_pool(bound, *pooling)[0])


def test_the_transform_is_another_computation(monkeypatch):
    """If the two convolutions agreed to the last bit, the tests above would test one of them."""
    args = arguments("encode_winners", TRANSFORMED[0])
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
