"""What only the CPU backend can get wrong: joints between the pieces that it cuts its work into.

The pieces are made small here, so that small arrays have many of them.
"""

import pytest
from cases import Case, arguments, as_dtype, call
from helpers import as_tuple, assert_within, rounding_bound

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
