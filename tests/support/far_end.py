"""The CuPy backend on arrays of more than 2^31 elements, looked at where they end.

`FarEnd` stands in for a device as `emulated_device.Emulator` does, but arrays are zeros that take
no memory until they are written to, and of a grid only the first and the last few blocks run. What
is zero everywhere but at its end has, at the end of the result, what the end alone would give: an
offset that overflows goes elsewhere.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from minisca.backends.cupy.device import to_device
from minisca.backends.cupy.kernels import direct, slices, staged, sums, tiles
from minisca.backends.cupy.runtime import machine
from tests.support.backends import EMULATED
from tests.support.cuda_emulator import blocks, can_be_sparse, sparse_zeros
from tests.support.emulated_device import Arrays, DeviceArray, Emulator, Kernel
from tests.support.helpers import as_tuple, whole_numbers

FIRST_BLOCKS = 8
FAR = 2**31

#: Marks of the modules whose tests need this.
NEEDS_FAR_ADDRESSES = [
    pytest.mark.emulated,
    pytest.mark.usefixtures("emulator"),
    pytest.mark.skipif(
        not (EMULATED and can_be_sparse()),
        reason="needs the emulator, and addresses without memory: no device, g++, Linux",
    ),
]


class SparseArrays(Arrays):
    """Every array sparse; one of the host is taken as it is, not copied."""

    def asarray(self, array, order):
        if isinstance(array, DeviceArray):
            return super().asarray(array, order)
        assert array.flags.c_contiguous
        return DeviceArray(array)

    def zeros(self, shape, dtype):
        sides = (shape,) if isinstance(shape, int) else tuple(shape)
        return DeviceArray(sparse_zeros(sides, dtype))

    empty = zeros


class FarEnd(Emulator):
    """last_blocks: how many blocks run at the end of every grid."""

    def __init__(self, last_blocks):
        super().__init__()
        self.xp = SparseArrays(self.transfers)
        self.last_blocks = last_blocks

    def raw_kernel(self, code, name, options):
        kernel = FarKernel(code, name, options)
        kernel.last_blocks = self.last_blocks
        return kernel


class FarKernel(Kernel):
    """A kernel of whose grids only the ends run; where the last block adds up, as if all had."""

    def __call__(self, grid, block, args, *, shared_mem=0):
        if self.name == "sum_channels" and grid[0] > FIRST_BLOCKS + self.last_blocks:
            pieces, channels, tickets = args[3], args[4], args[8]
            assert channels == 1
            tickets.memory[:] = pieces - FIRST_BLOCKS - self.last_blocks
        with blocks(FIRST_BLOCKS, self.last_blocks):
            super().__call__(grid, block, args, shared_mem=shared_mem)


def on_device(*arrays):
    """All of `arrays` on the device."""
    return [to_device(array) for array in arrays]


def lengthen(argument, axis, length):
    """`argument` at the end of zeros, `length` long along `axis`; a shape with that length."""
    if axis is None:
        return argument
    if isinstance(argument, tuple):
        return (*argument[:axis], length, *argument[axis + 1 :])
    far = sparse_zeros(
        (*argument.shape[:axis], length, *argument.shape[axis + 1 :]), argument.dtype
    )
    end_of(far, axis, argument.shape[axis])[...] = argument
    return far


def end_of(array, axis, length):
    """The last `length` along `axis`; the whole without an axis."""
    if axis is None:
        return array
    return array[(slice(None),) * axis + (slice(array.shape[axis] - length, None),)]


def _host(result):
    return result.memory if isinstance(result, DeviceArray) else np.asarray(result)


def on_tiles(monkeypatch):
    """Convolutions go by tiles of a product (tiles.cu), not the fused way (direct.cu)."""
    for other in (direct, staged):
        monkeypatch.setattr(other, "make_layout", lambda *_, **__: None)


def by_stages(monkeypatch):
    """Convolutions go channel after channel (staged.cu)."""
    monkeypatch.setattr(direct, "make_layout", lambda *_, **__: None)
    monkeypatch.setattr(staged, "FEWEST_MAPS", 1)


def last_piece(monkeypatch):
    """Sums are cut into as many pieces as can be, and the last stands for all: others are 0."""
    whole, of_numbers = sums.sum_pieces, sums.add_up
    monkeypatch.setattr(sums, "ENOUGH_BLOCKS", FAR)
    monkeypatch.setattr(slices, "BLOCKS", FAR)
    monkeypatch.setattr(sums, "add_up", lambda total, parts: of_numbers(total, parts[-1:]))
    monkeypatch.setattr(sums, "sum_pieces", lambda parts, factor=1: whole(parts[-1:], factor))


def ends_only(monkeypatch):
    """What is near is computed at the end of a grid only, too: the whole would take long."""
    monkeypatch.setattr(machine, "platform", FarEnd(24))


def draw(*shape, low=-2, high=2, seed=0):
    rng = np.random.default_rng(seed)
    return whole_numbers(rng, *shape, low=low, high=high).astype(np.float32)


def positions_below(n_positions, *shape):
    return np.random.default_rng(1).integers(0, n_positions, shape).astype(np.int32)


def correlate(maps, images, k):
    return tiles.correlate(*on_device(maps, images), k)


class Far(NamedTuple):
    """A function on near arguments and on long ones: their results must end alike."""

    function: Callable
    args: tuple | Callable  # or a function that makes them
    axes: tuple  # along which each argument is lengthened
    length: int
    result_axes: tuple  # along which each result is longer
    last_blocks: int = 24  # of every grid run
    numbers: int = 0  # are compared, the last, where the blocks do not reach all; 0: all
    ways: tuple = ()  # are called with monkeypatch before

    def check(self, monkeypatch):
        for way in self.ways:
            way(monkeypatch)
        args = self.args() if callable(self.args) else self.args
        near = [_host(result) for result in as_tuple(self.function(*args))]
        far_args = [lengthen(*each, self.length) for each in zip(args, self.axes, strict=True)]
        with monkeypatch.context() as patch:
            patch.setattr(machine, "platform", FarEnd(self.last_blocks))
            # on the device already: what the host gives is looked through
            there = [DeviceArray(a) if isinstance(a, np.ndarray) else a for a in far_args]
            far = [_host(result) for result in as_tuple(self.function(*there))]
        arrays = [a for a in (*far_args, *far) if isinstance(a, np.ndarray)]
        assert max(math.prod(np.shape(array)) for array in arrays) > FAR, "nothing is far away"
        for found, right, axis in zip(far, near, self.result_axes, strict=True):
            assert np.any(right) or right.dtype.kind == "i", "zeros show nothing"
            end = end_of(found, axis, None if axis is None else right.shape[axis])
            end, right = (array.reshape(-1)[-self.numbers :] for array in (end, right))
            np.testing.assert_array_equal(end, right)


def many_images(function, args, axes, result_axes=(0,), last_blocks=24, ways=()):
    """Of so many images of 16 x 16 that their numbers are too many.

    A multiple of 1024, so that the last block of `residual` has the last.
    """
    return Far(function, args, axes, FAR // 256 + 1024, result_axes, last_blocks, ways=ways)


def many_maps(function, args, axes=(0,), result_axes=(0,)):
    """Of one image of 12 x 12, whose maps of 144 units and filters of 225 taps are too many."""
    return Far(function, args, axes, 2**24 + 32, result_axes)


def large_images(function, args, axes, result_axes, last_blocks, numbers=32):
    """Of images of 513 planes of 2048 x 2048."""
    return Far(function, args, axes, 513, result_axes, last_blocks, numbers, (ends_only,))


def parametrize(**tables):
    """Run a test of `far` over all entries of some tables."""
    found = [
        pytest.param(far, id=f"{where.replace('_', ' ')}: {name}")
        for where, table in tables.items()
        for name, far in table.items()
    ]
    return pytest.mark.parametrize("far", found)
