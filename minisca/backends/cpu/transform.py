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
from numba import njit

from minisca.backends.cpu.arrays import aligned_zeros
from minisca.backends.cpu.machine_code import TILE_SUMS, VECTOR_BYTES
from minisca.backends.cpu.microkernel import multiply_tile, tile_function
from minisca.backends.cpu.parallel import in_parallel
from minisca.backends.cpu.recycler import recycler


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
    bias: np.ndarray  # (blocks * MB,)
    spectra: np.ndarray  # (3 F, c, n padded to a multiple of MB)
    of_filters: np.ndarray  # Basis.filters
    of_maps: np.ndarray  # Basis.maps
    n_maps: int
    block: int  # MB, maps in a block
    blocks: int
    places: int  # of a tile
    tile: int  # address of its function


def make_plan(x, filters, bias):
    """Transform the images."""
    n, channels = x.shape[:2]
    n_maps, _, k, _ = filters.shape
    lanes = VECTOR_BYTES // x.itemsize
    vectors = 2
    block = vectors * lanes
    basis = make_basis(x.shape[2:], k, x.dtype)
    shortest = min(n, basis.images.shape[0], basis.filters.shape[1])
    places = _tile_places(n, min(TILE_SUMS // vectors, shortest))
    tile = tile_function(places, vectors, x.dtype)
    blocks = -(-n_maps // block)
    packed_bias = np.zeros(blocks * block, x.dtype)
    packed_bias[:n_maps] = bias
    columns = -(-n // block) * block
    spectra = recycler.empty((basis.images.shape[1], channels, columns), x.dtype)
    in_parallel(
        transform_images, channels, x.reshape(n, channels, -1), basis.images, block, places, tile,
        spectra,
    )  # fmt: skip
    rows = filters.reshape(n_maps, -1)
    return Plan(
        rows, packed_bias, spectra, basis.filters, basis.maps, n_maps, block, blocks, places, tile
    )


def _tile_places(n, most):
    """Places of a tile, at most `most`, with the least work for n images."""
    return min(range(most, 0, -1), key=lambda places: (-(-n // places) * (places + 1), -places))


@njit(cache=True)
def multiply(
    left, left_start, left_stride, right, right_start, depth, rows, bias, first_bias,
    out, out_start, row_stride, places, tile,
):  # fmt: skip
    """out[r, :MB] = bias + sum over t < depth of left[t, r] * right[t, :MB], for r < rows.

    Matrices within 1-D arrays: left[t, r] at left_start + t * left_stride + r, right[t] at
    right_start + t * MB, out[r] at out_start + r * row_stride.
    """
    from_left, from_right = np.empty(1, np.int32), np.zeros(1, np.int32)
    for index in range((rows + places - 1) // places):
        first = min(index * places, rows - places)
        from_left[0] = left_start + first
        multiply_tile(
            tile, left, from_left, from_right, 0, 1, depth, left_stride, right, right_start,
            bias, first_bias, out, out_start + first * row_stride, row_stride,
        )  # fmt: skip


@njit(cache=True)
def transform_images(c, x, basis, block, places, tile, spectra):
    """Channel c of x (n, c, h * w) -> spectra (3 F, c, columns), the images side by side."""
    n, channels, pixels = x.shape
    rows, _, columns = spectra.shape
    bias = np.zeros(block, x.dtype)
    by_pixel = aligned_zeros(pixels * block, x.dtype)
    for first in range(0, columns, block):
        for i in range(block):
            for p in range(pixels):
                by_pixel[p * block + i] = x[first + i, c, p] if first + i < n else 0
        multiply(
            basis.reshape(-1), 0, rows, by_pixel, 0, pixels, rows, bias, 0,
            spectra.reshape(-1), c * columns + first, channels * columns, places, tile,
        )  # fmt: skip


class Memory(NamedTuple):
    """Working memory for a block of maps."""

    packed: np.ndarray  # (c * k * k * MB,): its filters
    of_filters: np.ndarray  # (rows * c * MB,): some rows of their spectra
    of_maps: np.ndarray  # (n * 2 F * MB,): the maps' spectra
    maps: np.ndarray  # (h * w * MB,): an image's maps
    zero: np.ndarray  # (MB,)


@njit(cache=True)
def make_memory(plan, n):
    channels = plan.spectra.shape[1]
    rows, pixels = plan.of_maps.shape
    dtype = plan.bias.dtype
    return Memory(
        aligned_zeros(plan.filters.shape[1] * plan.block, dtype),
        aligned_zeros(chunk_rows(plan.places) * channels * plan.block, dtype),
        aligned_zeros(n * rows * plan.block, dtype),
        aligned_zeros(pixels * plan.block, dtype),
        aligned_zeros(plan.block, dtype),
    )


@njit(cache=True)
def chunk_rows(places):
    """Rows of the filters' spectra, an even number, computed at a time to stay in cache."""
    return places if places % 2 == 0 else 2 * places


@njit(cache=True)
def multiply_spectra(b, n, plan, memory):
    """Spectra of block b of maps for all images, into the memory: (n, 2 F, MB).

    Of a correlation: conj(filter) * image. Real parts fr xr + fi xi, imaginary fr xi - fi xr.
    """
    packed, of_filters, of_maps, _, zero = memory
    block = plan.block
    rows = plan.of_filters.shape[1]
    taps = plan.of_filters.shape[0]
    _, channels, columns = plan.spectra.shape
    spectra, basis = plan.spectra.reshape(-1), plan.of_filters.reshape(-1)
    for j in range(min(block, plan.n_maps - b * block)):
        for t in range(plan.filters.shape[1]):
            packed[t * block + j] = plan.filters[b * block + j, t]
    part = channels * columns
    from_images, from_filters = np.empty(2, np.int32), np.empty(2, np.int32)
    places = plan.places
    tiles = (n + places - 1) // places
    chunk = min(chunk_rows(places), rows)
    for start in range(0, rows, chunk):
        first_row = min(start, rows - chunk)
        for c in range(channels):
            multiply(
                basis, first_row, rows, packed, c * taps * block, taps, chunk, zero, 0,
                of_filters, c * block, channels * block, places, plan.tile,
            )  # fmt: skip
        for row in range(start, min(start + chunk, rows)):
            frequency, imaginary = divmod(row, 2)
            real_filter = (row - imaginary - first_row) * channels * block
            from_filters[0] = real_filter
            from_filters[1] = real_filter + channels * block
            for index in range(tiles):
                i = min(index * places, n - places)
                # imaginary or not: rows (xr, xi) or (xi, -xr) of the image's three
                from_images[0] = (3 * frequency + imaginary) * part + i
                from_images[1] = (3 * frequency + 1 + imaginary) * part + i
                multiply_tile(
                    plan.tile, spectra, from_images, from_filters, 0, 2, channels, columns,
                    of_filters, 0, zero, 0, of_maps, (i * rows + row) * block, rows * block,
                )  # fmt: skip


@njit(cache=True)
def transform_back(i, b, plan, memory):
    """Pre-activations of block b for image i, into memory.maps (h * w, MB); returns h * w."""
    rows, pixels = plan.of_maps.shape
    block = plan.block
    multiply(
        plan.of_maps.reshape(-1), 0, pixels, memory.of_maps, i * rows * block, rows, pixels,
        plan.bias, b * block, memory.maps, 0, block, plan.places, plan.tile,
    )  # fmt: skip
    return pixels
