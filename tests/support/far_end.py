"""The CuPy backend on arrays of more than 2^31 elements, looked at where they end.

`FarEnd` stands in for a device as `emulated_device.Emulator` does, but arrays are zeros that take
no memory until they are written to, and of a grid only the first and the last few blocks run. What
is zero everywhere but at its end has, at the end of the result, what the end alone would give: an
offset that overflows goes elsewhere.
"""

import math

import numpy as np

from tests.support.cuda_emulator import blocks, sparse_zeros
from tests.support.emulated_device import Arrays, DeviceArray, Emulator, Kernel

FIRST_BLOCKS = 8


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
    """A kernel of whose grids only the ends run."""

    def __call__(self, grid, block, args, *, shared_mem=0):
        with blocks(FIRST_BLOCKS, self.last_blocks):
            super().__call__(grid, block, args, shared_mem=shared_mem)


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


def most_numbers(arrays):
    return max(math.prod(np.shape(array)) for array in arrays)
