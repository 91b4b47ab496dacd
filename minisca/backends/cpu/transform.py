"""Convolution in the transform domain, for deep layers: many channels, small maps.

A same-padded correlation of an image of side s with filters of width k is a circular one of period
s + k // 2, where what wraps around meets only zeros. Its Fourier transform needs, for 5 x 5
filters on 10 x 10 maps, 74 complex products a pair of channel and map (the rest is conjugate) in
place of 2,500 real ones. At these sizes the transforms are small matrix products, and so are the
products of one frequency over images x channels x maps: all run through the register tile of
`microkernel`, a block of maps at a time, whose spectra never leave the cache. No fast Fourier
transform is used or wanted: every length works, and nothing is rounded twice.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from minisca.backends.cpu.arrays import recycler
from minisca.backends.cpu.microkernel import ACCUMULATORS, VECTOR_BYTES, multiply_tile


class Basis(NamedTuple):
    """The real matrices of the transform. A frequency has a real and an imaginary row."""

    images: np.ndarray  # (h * w, 3 F): real, imaginary and minus real part of each frequency
    filters: np.ndarray  # (k * k, 2 F): real and imaginary part
    maps: np.ndarray  # (2 F, h * w): back from real and imaginary parts to places


def costs(n, n_maps, channels, k, size):
    """Multiplications of the direct and of the transformed convolution of n images."""
    places = size[0] * size[1]
    frequencies = len(_frequencies(size[0] + k // 2, size[1] + k // 2)[0])
    products = 4 * n * n_maps * channels * frequencies
    back = n * n_maps * 2 * frequencies * places
    forth = channels * (n_maps * k * k * 2 + n * places * 3) * frequencies
    return n * n_maps * channels * k * k * places, products + back + forth


@lru_cache(maxsize=16)
def _frequencies(height, width):
    """One of each conjugate pair of frequencies (fy, fx), and how often it counts (1 or 2)."""
    kept, weights = [], []
    for fy in range(height):
        for fx in range(width // 2 + 1):
            conjugate = (-fy % height, -fx % width)
            if conjugate in kept:
                continue
            kept.append((fy, fx))
            weights.append(1 if conjugate == (fy, fx) else 2)
    return np.array(kept), np.array(weights)


@lru_cache(maxsize=16)
def make_basis(size, k, dtype):
    """The `Basis` for images of `size` (h, w) and filters of width k."""
    period = np.array([size[0] + k // 2, size[1] + k // 2])
    frequencies, weights = _frequencies(*period)
    turns = 2 * np.pi * frequencies / period  # (F, 2)
    places = np.indices(size).reshape(2, -1)
    taps = np.indices((k, k)).reshape(2, -1) - k // 2
    at_places, at_taps = turns @ places, turns @ taps  # (F, h * w), (F, k * k)
    images = np.stack([np.cos(at_places), -np.sin(at_places), -np.cos(at_places)], axis=1)
    filters = np.stack([np.cos(at_taps), -np.sin(at_taps)], axis=1)
    maps = np.stack([np.cos(at_places), -np.sin(at_places)], axis=1)
    maps *= (weights / period.prod())[:, None, None]
    return Basis(
        np.ascontiguousarray(images.reshape(-1, places.shape[1]).T, dtype),
        np.ascontiguousarray(filters.reshape(-1, taps.shape[1]).T, dtype),
        np.ascontiguousarray(maps.reshape(-1, places.shape[1]), dtype),
    )


class Plan(NamedTuple):
    """What the kernels need: packed filters, spectra of the images, the basis."""

    filters: np.ndarray  # (m, c * k * k)
    bias: np.ndarray  # (blocks, MB)
    spectra: np.ndarray  # (3 F, c, n padded to a multiple of MB)
    of_filters: np.ndarray  # Basis.filters
    of_maps: np.ndarray  # Basis.maps
    n_maps: int


def make_plan(x, filters, bias):
    """Transform the images. Returns the plan and the tile's places and vectors."""
    n, channels = x.shape[:2]
    n_maps, _, k, _ = filters.shape
    lanes = VECTOR_BYTES // x.itemsize
    vectors = (0, 0)
    block = len(vectors) * lanes
    basis = make_basis(x.shape[2:], k, x.dtype)
    shortest = min(n, basis.images.shape[0], basis.filters.shape[1])
    places = (0,) * _tile_places(n, min(ACCUMULATORS // len(vectors), shortest))
    packed_bias = np.zeros((-(-n_maps // block), block), x.dtype)
    packed_bias.reshape(-1)[:n_maps] = bias
    columns = -(-n // block) * block
    spectra = recycler.empty((basis.images.shape[1], channels, columns), x.dtype)
    transform_images(x.reshape(n, channels, -1), basis.images, places, vectors, spectra)
    rows = filters.reshape(n_maps, -1)
    return Plan(rows, packed_bias, spectra, basis.filters, basis.maps, n_maps), places, vectors


def _tile_places(n, most):
    """Places of a tile, at most `most`, with the least work for n images."""
    return min(range(most, 0, -1), key=lambda places: (-(-n // places) * (places + 1), -places))


@njit(cache=True)
def multiply(
    left, left_start, left_stride, right, right_start, depth, rows, bias,
    out, out_start, row_stride, places, vectors,
):  # fmt: skip
    """out[r, :MB] = bias + sum over t < depth of left[t, r] * right[t, :MB], for r < rows.

    Matrices within 1-D arrays: left[t, r] at left_start + t * left_stride + r, right[t] at
    right_start + t * MB, out[r] at out_start + r * row_stride.
    """
    n = len(places)
    from_left, from_right = np.empty(1, np.int32), np.empty(1, np.int32)
    from_right[0] = right_start
    for tile in range((rows + n - 1) // n):
        first = min(tile * n, rows - n)
        from_left[0] = left_start + first
        multiply_tile(
            left, from_left, left_stride, right, from_right, 1, depth,
            bias, out, out_start + first * row_stride, row_stride, places, vectors,
        )  # fmt: skip


@njit(parallel=True, cache=True)
def transform_images(x, basis, places, vectors, spectra):
    """x (n, c, h * w) -> spectra (3 F, c, columns), the images side by side."""
    n, channels, pixels = x.shape
    rows, _, columns = spectra.shape
    block = len(vectors) * (VECTOR_BYTES // x.itemsize)
    for c in prange(channels):
        bias = np.zeros(block, x.dtype)
        by_pixel = np.zeros(pixels * block, x.dtype)
        for first in range(0, columns, block):
            for i in range(block):
                for p in range(pixels):
                    by_pixel[p * block + i] = x[first + i, c, p] if first + i < n else 0
            multiply(
                basis.reshape(-1), 0, rows, by_pixel, 0, pixels, rows, bias,
                spectra.reshape(-1), c * columns + first, channels * columns, places, vectors,
            )  # fmt: skip


@njit(cache=True)
def scratch(plan, n, places):
    """Working memory for a block: its filters, some of their spectra, the maps' spectra, maps."""
    block = plan.bias.shape[1]
    channels = plan.spectra.shape[1]
    rows, pixels = plan.of_maps.shape
    dtype = plan.bias.dtype
    packed = np.zeros(plan.filters.shape[1] * block, dtype)
    of_filters = np.empty(chunk_rows(places) * channels * block, dtype)
    of_maps = np.empty(n * rows * block, dtype)
    return packed, of_filters, of_maps, np.empty(pixels * block, dtype), np.zeros(block, dtype)


@njit(cache=True)
def chunk_rows(places):
    """Rows of the filters' spectra, an even number, computed at a time to stay in cache."""
    return len(places) if len(places) % 2 == 0 else 2 * len(places)


@njit(cache=True)
def multiply_spectra(b, n, plan, places, vectors, memory):
    """Spectra of block b of maps for all images, into the memory: (n, 2 F, MB).

    Of a correlation: conj(filter) * image. Real parts fr xr + fi xi, imaginary fr xi - fi xr.
    """
    packed, of_filters, of_maps, _, zero = memory
    block = len(zero)
    rows = plan.of_filters.shape[1]
    taps = plan.of_filters.shape[0]
    _, channels, columns = plan.spectra.shape
    spectra, basis = plan.spectra.reshape(-1), plan.of_filters.reshape(-1)
    for j in range(min(block, plan.n_maps - b * block)):
        for t in range(plan.filters.shape[1]):
            packed[t * block + j] = plan.filters[b * block + j, t]
    part = channels * columns
    from_images, from_filters = np.empty(2, np.int32), np.empty(2, np.int32)
    tiles = (n + len(places) - 1) // len(places)
    chunk = min(chunk_rows(places), rows)
    for start in range(0, rows, chunk):
        first_row = min(start, rows - chunk)
        for c in range(channels):
            multiply(
                basis, first_row, rows, packed, c * taps * block, taps, chunk, zero,
                of_filters, c * block, channels * block, places, vectors,
            )  # fmt: skip
        for row in range(start, min(start + chunk, rows)):
            frequency, imaginary = divmod(row, 2)
            real_filter = (row - imaginary - first_row) * channels * block
            from_filters[0] = real_filter
            from_filters[1] = real_filter + channels * block
            for tile in range(tiles):
                i = min(tile * len(places), n - len(places))
                # imaginary or not: rows (xr, xi) or (xi, -xr) of the image's three
                from_images[0] = (3 * frequency + imaginary) * part + i
                from_images[1] = (3 * frequency + 1 + imaginary) * part + i
                multiply_tile(
                    spectra, from_images, columns, of_filters, from_filters, 2, channels,
                    zero, of_maps, (i * rows + row) * block, rows * block, places, vectors,
                )  # fmt: skip


@njit(cache=True)
def transform_back(i, b, plan, places, vectors, memory):
    """Pre-activations of block b for image i: (h * w, MB), a view of the memory."""
    _, _, of_maps, maps, _ = memory
    rows, pixels = plan.of_maps.shape
    block = plan.bias.shape[1]
    multiply(
        plan.of_maps.reshape(-1), 0, pixels, of_maps, i * rows * block, rows, pixels, plan.bias[b],
        maps, 0, block, places, vectors,
    )  # fmt: skip
    return maps.reshape(pixels, block)
