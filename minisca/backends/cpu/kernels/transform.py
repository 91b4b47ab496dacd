"""Convolution in the transform domain, for deep layers: many channels, small maps.

Source: the convolution theorem. A correlation is conj(filter) * image, frequency by frequency. A
same-padded correlation of an image of side s with filters of width k is a circular one of period
s + k // 2: what wraps around meets only zeros.

5 x 5 filters on 10 x 10 maps have 74 frequencies; the others are their conjugates. So a channel and
a map take 74 complex products in place of 2,500 real ones. At these sizes the transforms are small
matrix products. So are the products of one frequency over images x channels x maps. A fast Fourier
transform is not needed: every length works, and nothing is rounded twice.

All products run through the register tile of `microkernel`, a block of maps at a time. Some rows of
the filters' spectra are computed and used while they are in the second-level cache, some channels
of these while they are in the first.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minisca.backends.cpu.runtime import (
    aligned_zeros,
    ceil_div,
    in_parallel,
    kernel,
    recycler,
    share,
)
from minisca.backends.cpu.vectors.lanes import transpose_function
from minisca.backends.cpu.vectors.machine_code import TILE_SUMS, call, vector_lanes
from minisca.backends.cpu.vectors.microkernel import tile_function

#: Vectors of maps in a block.
VECTORS = 2
#: Rows of the filters' spectra that a tile computes, for as many channels as registers hold.
FILTER_ROWS = 3
#: Rows of the filters' spectra that are computed at a time and used while they are in cache.
CHUNK_ROWS = 4 * FILTER_ROWS
#: Channels whose filters are packed at a time.
PACKED_CHANNELS = 48
#: What some channels of two such rows may take of the first-level cache.
DEPTH_BYTES = 16 << 10


class Basis(NamedTuple):
    """The real matrices of the transform. A frequency has a real and an imaginary row."""

    images: np.ndarray  # (h * w, 2 F)
    filters: np.ndarray  # (k * k, 2 F)
    maps: np.ndarray  # (2 F, h * w): back to positions
    is_real: np.ndarray  # (F,): frequencies that are their own conjugates, without imaginary part


def _frequencies(height, width):
    """One of each conjugate pair of frequencies (fy, fx), and how often it counts (1 or 2)."""
    half = width // 2 + 1
    fy, fx = np.indices((height, half)).reshape(2, -1)
    own, conjugate = fy * width + fx, -fy % height * width + -fx % width
    kept = (-fx % width >= half) | (own <= conjugate)
    return np.stack([fy, fx], axis=1)[kept], np.where(own == conjugate, 1, 2)[kept]


@lru_cache(maxsize=16)
def make_basis(size, k, dtype):
    """The `Basis` for images of `size` (h, w) and filters of width k."""
    period = np.array([size[0] + k // 2, size[1] + k // 2])
    frequencies, weights = _frequencies(*period)
    turns = 2 * np.pi * frequencies / period  # (F, 2)
    positions = np.indices(size).reshape(2, -1)
    taps = np.indices((k, k)).reshape(2, -1) - k // 2
    at_positions, at_taps = turns @ positions, turns @ taps  # (F, h * w), (F, k * k)
    images = np.stack([np.cos(at_positions), -np.sin(at_positions)], axis=1)
    filters = np.stack([np.cos(at_taps), -np.sin(at_taps)], axis=1)
    maps = images * (weights / period.prod())[:, None, None]
    return Basis(
        np.ascontiguousarray(images.reshape(-1, positions.shape[1]).T, dtype),
        np.ascontiguousarray(filters.reshape(-1, taps.shape[1]).T, dtype),
        np.ascontiguousarray(maps.reshape(-1, positions.shape[1]), dtype),
        weights == 1,
    )


class TransformPlan(NamedTuple):
    """What the kernels need. Tiles are given by their functions' addresses."""

    filters: np.ndarray  # (m, c * k * k)
    bias: np.ndarray  # (blocks * MB,)
    spectra: np.ndarray  # of the images: (2 F, tiles, c, images of a tile), what fills up is zero
    of_filters: np.ndarray  # Basis.filters
    of_maps: np.ndarray  # Basis.maps
    is_real: np.ndarray  # Basis.is_real
    n_maps: int
    block: int  # MB, maps in a block
    blocks: int
    group: int  # channels whose filters are transformed at a time
    groups: int  # of channels; what fills up the last one is zero
    tile_rows: int  # of the left matrix that a tile multiplies
    tile: int
    adding_tile: int  # adds to what is there
    subtracting_tile: int  # subtracts from what is there
    filter_rows: int  # of a tile that transforms filters
    filter_tile: int
    transpose: int  # a square of maps and taps


def make_plan(x, filters, bias):
    """The plan for images x (n, c, h, w), which are transformed here."""
    n, channels = x.shape[:2]
    n_maps, _, k, _ = filters.shape
    vectors = VECTORS
    block = vectors * vector_lanes(x.dtype)
    blocks = ceil_div(n_maps, block)
    packed_bias = np.zeros(blocks * block, x.dtype)
    packed_bias[:n_maps] = bias
    basis = make_basis(x.shape[2:], k, x.dtype)
    most = min(TILE_SUMS // vectors, n, basis.images.shape[0], basis.filters.shape[1])
    # the rows of a tile with the least work for n images
    rows = min(range(most, 0, -1), key=lambda rows: (ceil_div(n, rows) * (rows + 1), -rows))
    tile = tile_function(rows, vectors, x.dtype)
    adding = tile_function(rows, vectors, x.dtype, adding="before")
    subtracting = tile_function(rows, vectors, x.dtype, adding="before", subtracting=True)
    group = TILE_SUMS // (FILTER_ROWS * vectors)
    filter_rows = min(FILTER_ROWS, basis.filters.shape[1])
    filter_tile = tile_function(filter_rows, vectors * group, x.dtype)
    # A tile reads its images' numbers in the order in which they stand.
    spectra = recycler.empty((basis.images.shape[1], ceil_div(n, rows), channels, rows), x.dtype)
    pixels = x.reshape(n, channels, -1)
    in_parallel(_transform_images, channels, pixels, basis.images, block, (tile, rows), spectra)
    return TransformPlan(
        *(filters.reshape(n_maps, -1), packed_bias, spectra, *basis[1:]),
        *(n_maps, block, blocks, group, ceil_div(channels, group)),
        *(rows, tile, adding, subtracting, filter_rows, filter_tile, transpose_function(x.dtype)),
    )


@kernel
def _multiply(tiling, rows, depth, left, left_stride, right, bias, out, out_stride):
    """out[r, :MB] = bias + sum over t < depth of left[t, r] * right[t, :MB], for r < rows.

    left, right, bias, out: pairs of an array and where in it the matrix begins. left[t, r] stands
    at t * left_stride + r, right[t] at t * MB, out[r] at r * out_stride. tiling: a tile's function
    and how many rows it multiplies.
    """
    tile, tile_rows = tiling
    from_left, from_right = np.empty(1, np.int32), np.zeros(1, np.int32)
    for index in range(ceil_div(rows, tile_rows)):
        first = min(index * tile_rows, rows - tile_rows)
        from_left[0] = first
        to = out[0], out[1] + first * out_stride
        call(tile, left, from_left, from_right, 1, depth, left_stride, right, bias, to, out_stride)


@kernel
def _transform_images(c, x, basis, block, tiling, spectra):
    """Channel c of x (n, c, h * w) -> its part of the spectra, some images at a time."""
    n, _, pixels = x.shape
    rows, n_tiles, _, tile_images = spectra.shape
    by_pixel = aligned_zeros(pixels * block, x.dtype)
    found = aligned_zeros(rows * block, x.dtype)
    bias = np.zeros(block, x.dtype), 0
    left = basis.reshape(-1), 0
    for first in range(0, n_tiles * tile_images, block):
        for i in range(block):
            for p in range(pixels):
                by_pixel[p * block + i] = x[first + i, c, p] if first + i < n else 0
        _multiply(tiling, rows, pixels, left, rows, (by_pixel, 0), bias, (found, 0), block)
        for i in range(first, min(first + block, n_tiles * tile_images)):
            tile, own = i // tile_images, i % tile_images
            for row in range(rows):
                spectra[row, tile, c, own] = found[row * block + i - first]


class TransformMemory(NamedTuple):
    """Working memory for a block of maps."""

    packed: np.ndarray  # (groups * k * k * group * MB,): its filters
    of_filters: np.ndarray  # (rows * groups * group * MB,): some rows of their spectra
    of_maps: np.ndarray  # (n * 2 F * MB,): the maps' spectra
    maps: np.ndarray  # (h * w * MB,): an image's maps
    zero: np.ndarray  # (group * MB,)


@kernel
def make_memory(plan, n):
    """The `TransformMemory` for n images."""
    rows, positions = plan.of_maps.shape
    dtype = plan.bias.dtype
    per_row = plan.groups * plan.group * plan.block
    return TransformMemory(
        aligned_zeros(plan.of_filters.shape[0] * per_row, dtype),
        aligned_zeros(min(CHUNK_ROWS, rows) * per_row, dtype),
        aligned_zeros(ceil_div(n, plan.tile_rows) * plan.tile_rows * rows * plan.block, dtype),
        aligned_zeros(positions * plan.block, dtype),
        aligned_zeros(plan.group * plan.block, dtype),
    )


@kernel
def _pack_block(b, plan, packed):
    """Filters of block b of maps -> packed (groups, k * k, group, MB), flat.

    Some channels at a time: enough to read in a run, few enough for what is written to stay in
    cache.
    """
    taps, block, group = plan.of_filters.shape[0], plan.block, plan.group
    channels, lanes = plan.spectra.shape[2], plan.block // VECTORS
    some = PACKED_CHANNELS // group * group
    whole = taps >= lanes and (b + 1) * block <= plan.n_maps
    for first in range(0, channels, some):
        end = min(first + some, channels)
        for j in range(0, block, lanes if whole else block):
            for c in range(first, end if whole else first):
                own = (c // group * taps * group + c % group) * block + j
                for square in range(0, taps, lanes):
                    t = min(square, taps - lanes)  # the last overlaps the one before
                    source = plan.filters, ((b * block + j) * channels + c) * taps + t
                    to = packed, own + t * group * block
                    call(plan.transpose, source, channels * taps, to, group * block)
        for j in range(0 if whole else min(block, plan.n_maps - b * block)):
            weights = plan.filters[b * block + j]
            for c in range(first, end):
                own = (c // group * taps * group + c % group) * block + j
                for t in range(taps):
                    packed[own + t * group * block] = weights[c * taps + t]


@kernel
def multiply_spectra(b, n, plan, memory):
    """Spectra of block b of maps for all images, into the memory: (n, 2 F, MB).

    conj(filter) * image has the real part fr xr + fi xi, the imaginary part fr xi - fi xr.
    """
    _pack_block(b, plan, memory.packed)
    taps, rows = plan.of_filters.shape
    groups, length = plan.groups, plan.group * plan.block
    chunk = min(CHUNK_ROWS, rows)
    tiling, bias, stride = (plan.filter_tile, plan.filter_rows), (memory.zero, 0), groups * length
    for start in range(0, rows, chunk):
        first_row = min(start, rows - chunk)
        left = plan.of_filters.reshape(-1), first_row
        for g in range(groups):
            right, out = (memory.packed, g * taps * length), (memory.of_filters, g * length)
            _multiply(tiling, chunk, taps, left, rows, right, bias, out, stride)
        for row in range(start, min(start + chunk, rows), 2):
            _multiply_frequency(row, row - first_row, n, plan, memory)


@kernel
def _multiply_frequency(row, own_row, n, plan, memory):
    """Two rows of the maps' spectra, from `row` on: one frequency's real and imaginary parts.

    own_row: where the filters' rows stand in memory. The filters of some channels at a time stay in
    the first-level cache for all images.
    """
    block, tile_rows = plan.block, plan.tile_rows
    rows, n_tiles, channels, _ = plan.spectra.shape
    spectra, part = plan.spectra, n_tiles * channels * tile_rows
    filter_row = plan.groups * plan.group * block
    most = max(1, DEPTH_BYTES // (2 * block * spectra.itemsize))
    parts = ceil_div(channels, most)
    is_real = plan.is_real[row // 2]
    from_images, from_filters = np.empty(4, np.int32), np.empty(4, np.int32)
    filters, zero, stride = memory.of_filters, memory.zero, rows * block
    for index in range(parts):
        first, end = share(index, parts, channels)
        real_filter = own_row * filter_row + first * block
        first_tile, depth = plan.adding_tile if index else plan.tile, end - first
        for i in range(0, n, tile_rows):
            real = row * part + i * channels + first * tile_rows
            from_images[0] = from_images[3] = real
            from_images[1] = from_images[2] = real + part
            from_filters[0] = from_filters[2] = real_filter
            from_filters[1] = from_filters[3] = real_filter + filter_row
            own = (i * rows + row) * block
            # fr xr + fi xi, then fr xi, then - fi xr; what is real has only fr xr
            products = (
                (first_tile, 0, 1 if is_real else 2, own),
                (first_tile, 2, 1, own + block),
                (plan.subtracting_tile, 3, 1, own + block),
            )
            for which in range(1 if is_real else 3):
                tile, pair, count, start = products[which]
                left, right = (from_images, pair), (from_filters, pair)
                out = memory.of_maps, start
                call(
                    tile, spectra, left, right, count, depth, tile_rows, filters, zero, out, stride
                )


@kernel
def transform_back(i, b, plan, memory):
    """Pre-activations of block b for image i, into memory.maps (h * w, MB); returns h * w."""
    rows, positions = plan.of_maps.shape
    block, tiling = plan.block, (plan.tile, plan.tile_rows)
    left, right = (plan.of_maps.reshape(-1), 0), (memory.of_maps, i * rows * block)
    bias, out = (plan.bias, b * block), (memory.maps, 0)
    _multiply(tiling, positions, rows, left, positions, right, bias, out, block)
    return positions
