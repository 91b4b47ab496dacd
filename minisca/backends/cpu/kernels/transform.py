"""Convolution in the transform domain, for deep layers: many channels, small maps.

A same-padded correlation of an image of side s with filters of width k is a circular one of period
s + k // 2, where what wraps around meets only zeros. Its Fourier transform needs, for 5 x 5
filters on 10 x 10 maps, 74 complex products a pair of channel and map (the rest is conjugate) in
place of 2,500 real ones. At these sizes the transforms are small matrix products, and so are the
products of one frequency over images x channels x maps: all run through the register tile of
`microkernel`, a block of maps at a time. Some filters' spectra are computed and used while they are
in the second-level cache, some channels of them while they are in the first. No fast Fourier
transform is used or wanted: every length works, and nothing is rounded twice.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

from minisca.backends.cpu.runtime.arrays import aligned_zeros, share
from minisca.backends.cpu.runtime.parallel import in_parallel
from minisca.backends.cpu.runtime.recycler import recycler
from minisca.backends.cpu.vectors.machine_code import TILE_SUMS, vector_lanes
from minisca.backends.cpu.vectors.microkernel import multiply_tile, tile_function

#: Rows of the filters' spectra that a tile computes, for as many channels as registers hold.
FILTER_PLACES = 3
#: Rows of the filters' spectra that are computed at a time and used while they are in cache.
CHUNK_ROWS = 4 * FILTER_PLACES
#: Channels whose filters are packed at a time.
PACKED_CHANNELS = 48
#: What some channels of two such rows may take of the first-level cache.
DEPTH_BYTES = 16 << 10


class Basis(NamedTuple):
    """The real matrices of the transform. A frequency has a real and an imaginary row."""

    images: np.ndarray  # (h * w, 2 F): real and imaginary part of each frequency
    filters: np.ndarray  # (k * k, 2 F): real and imaginary part
    maps: np.ndarray  # (2 F, h * w): back from real and imaginary parts to places
    is_real: np.ndarray  # (F,): frequencies that are their own conjugates, without imaginary part


def costs(n, n_maps, channels, k, size):
    """Multiplications of the direct and of the transformed convolution of n images."""
    places = size[0] * size[1]
    frequencies = len(_frequencies(size[0] + k // 2, size[1] + k // 2)[0])
    products = 4 * n * n_maps * channels * frequencies
    back = n * n_maps * 2 * frequencies * places
    forth = channels * (n_maps * k * k + n * places) * 2 * frequencies
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
    images = np.stack([np.cos(at_places), -np.sin(at_places)], axis=1)
    filters = np.stack([np.cos(at_taps), -np.sin(at_taps)], axis=1)
    maps = images * (weights / period.prod())[:, None, None]
    return Basis(
        np.ascontiguousarray(images.reshape(-1, places.shape[1]).T, dtype),
        np.ascontiguousarray(filters.reshape(-1, taps.shape[1]).T, dtype),
        np.ascontiguousarray(maps.reshape(-1, places.shape[1]), dtype),
        weights == 1,
    )


class Plan(NamedTuple):
    """What the kernels need: packed filters, spectra of the images, the basis."""

    filters: np.ndarray  # (m, c * k * k)
    bias: np.ndarray  # (blocks * MB,)
    spectra: np.ndarray  # (2 F, c, n padded to a multiple of MB)
    of_filters: np.ndarray  # Basis.filters
    of_maps: np.ndarray  # Basis.maps
    is_real: np.ndarray  # Basis.is_real
    n_maps: int
    block: int  # MB, maps in a block
    blocks: int
    places: int  # of a tile
    tile: int  # address of its function
    adding_tile: int  # of one that adds to what is there
    subtracting_tile: int  # of one that subtracts from what is there
    filter_places: int  # of a tile that transforms filters
    filter_tile: int  # address of its function
    group: int  # channels whose filters it transforms at a time


def make_plan(x, filters, bias):
    """Transform the images."""
    n, channels = x.shape[:2]
    n_maps, _, k, _ = filters.shape
    lanes = vector_lanes(x.dtype)
    vectors = 2
    block = vectors * lanes
    basis = make_basis(x.shape[2:], k, x.dtype)
    shortest = min(n, basis.images.shape[0], basis.filters.shape[1])
    places = _tile_places(n, min(TILE_SUMS // vectors, shortest))
    tile = tile_function(places, vectors, x.dtype)
    filter_places = min(FILTER_PLACES, basis.filters.shape[1])
    group = TILE_SUMS // (FILTER_PLACES * vectors)
    blocks = -(-n_maps // block)
    packed_bias = np.zeros(blocks * block, x.dtype)
    packed_bias[:n_maps] = bias
    columns = -(-max(n, -(-n // places) * places) // block) * block
    spectra = recycler.empty((basis.images.shape[1], channels, columns), x.dtype)
    in_parallel(
        transform_images, channels, x.reshape(n, channels, -1), basis.images, block, places, tile,
        spectra,
    )  # fmt: skip
    rows = filters.reshape(n_maps, -1)
    return Plan(
        rows, packed_bias, spectra, basis.filters, basis.maps, basis.is_real, n_maps, block, blocks,
        places, tile,
        tile_function(places, vectors, x.dtype, adding=True),
        tile_function(places, vectors, x.dtype, adding=True, subtracting=True), filter_places,
        tile_function(filter_places, vectors * group, x.dtype), group,
    )  # fmt: skip


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
    """Channel c of x (n, c, h * w) -> spectra (2 F, c, columns), the images side by side."""
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

    packed: np.ndarray  # (groups * k * k * group * MB,): its filters
    of_filters: np.ndarray  # (rows * groups * group * MB,): some rows of their spectra
    of_maps: np.ndarray  # (n * 2 F * MB,): the maps' spectra
    maps: np.ndarray  # (h * w * MB,): an image's maps
    zero: np.ndarray  # (group * MB,)


@njit(cache=True)
def make_memory(plan, n):
    rows, pixels = plan.of_maps.shape
    dtype = plan.bias.dtype
    per_row = channel_groups(plan) * plan.group * plan.block
    return Memory(
        aligned_zeros(plan.of_filters.shape[0] * per_row, dtype),
        aligned_zeros(min(CHUNK_ROWS, rows) * per_row, dtype),
        aligned_zeros(-(-n // plan.places) * plan.places * rows * plan.block, dtype),
        aligned_zeros(pixels * plan.block, dtype),
        aligned_zeros(plan.group * plan.block, dtype),
    )


@njit(cache=True)
def channel_groups(plan):
    """Groups of channels; what fills up the last group is zero."""
    return (plan.spectra.shape[1] + plan.group - 1) // plan.group


@njit(cache=True)
def pack_block(b, plan, packed):
    """Filters of block b of maps -> packed (groups, k * k, group, MB), flat.

    Some channels at a time: long enough to read, short enough for what is written to stay in cache.
    """
    taps, block, group = plan.of_filters.shape[0], plan.block, plan.group
    channels = plan.spectra.shape[1]
    some = PACKED_CHANNELS // group * group
    for first in range(0, channels, some):
        for j in range(min(block, plan.n_maps - b * block)):
            weights = plan.filters[b * block + j]
            for c in range(first, min(first + some, channels)):
                own = (c // group * taps * group + c % group) * block + j
                for t in range(taps):
                    packed[own + t * group * block] = weights[c * taps + t]


@njit(cache=True)
def multiply_spectra(b, n, plan, memory):
    """Spectra of block b of maps for all images, into the memory: (n, 2 F, MB).

    Of a correlation: conj(filter) * image. Real parts fr xr + fi xi, imaginary fr xi - fi xr.
    """
    pack_block(b, plan, memory.packed)
    taps, rows = plan.of_filters.shape
    groups = channel_groups(plan)
    width = plan.group * plan.block
    chunk = min(CHUNK_ROWS, rows)
    for start in range(0, rows, chunk):
        first_row = min(start, rows - chunk)
        for g in range(groups):
            multiply(
                plan.of_filters.reshape(-1), first_row, rows, memory.packed, g * taps * width,
                taps, chunk, memory.zero, 0, memory.of_filters, g * width, groups * width,
                plan.filter_places, plan.filter_tile,
            )  # fmt: skip
        for row in range(start, min(start + chunk, rows), 2):
            multiply_frequency(row, row - first_row, n, plan, memory)


@njit(cache=True)
def multiply_frequency(row, own_row, n, plan, memory):
    """Two rows of the maps' spectra, from `row` on: one frequency's real and imaginary parts.

    own_row: where the filters' rows stand in memory. Some channels at a time, whose filters stay in
    the first-level cache for all images.
    """
    block, places = plan.block, plan.places
    rows, channels, columns = plan.spectra.shape
    spectra, part = plan.spectra.reshape(-1), channels * columns
    filter_row = channel_groups(plan) * plan.group * block
    most = max(1, DEPTH_BYTES // (2 * block * spectra.itemsize))
    parts = (channels + most - 1) // most
    is_real = plan.is_real[row // 2]
    from_images, from_filters = np.empty(4, np.int32), np.empty(4, np.int32)
    for index in range(parts):
        first, end = share(index, parts, channels)
        real_filter = own_row * filter_row + first * block
        tile = plan.adding_tile if index else plan.tile
        for i in range(0, n, places):
            real = row * part + first * columns + i
            from_images[0] = from_images[3] = real
            from_images[1] = from_images[2] = real + part
            from_filters[0] = from_filters[2] = real_filter
            from_filters[1] = from_filters[3] = real_filter + filter_row
            out = (i * rows + row) * block
            # fr xr + fi xi, then fr xi, then - fi xr; what is real has only fr xr
            products = (
                (tile, 0, 1 if is_real else 2, out), (tile, 2, 1, out + block),
                (plan.subtracting_tile, 3, 1, out + block),
            )  # fmt: skip
            for which in range(1 if is_real else 3):
                function, pair, count, start = products[which]
                multiply_tile(
                    function, spectra, from_images, from_filters, pair, count, end - first,
                    columns, memory.of_filters, 0, memory.zero, 0, memory.of_maps, start,
                    rows * block,
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
