"""What the backends of a device have in common: rules that no kernel of theirs decides."""

import math

import numpy as np


def no_device(name):
    """The error of the backend of that name where there is no device."""
    return RuntimeError(
        f"the backend {name!r} found no CUDA device; it needs an NVIDIA GPU with a driver "
        "(backend='cpu' runs everywhere)"
    )


def no_room(shape, dtype, free_bytes, error):
    """What to raise where an allocation failed with `error`; it says what would fit."""
    shape, dtype = (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype)
    n, row = math.prod(shape[:1]), math.prod(shape[1:]) * dtype.itemsize
    return MemoryError(
        f"an array of shape {shape} and dtype {dtype}, {n * row} bytes, was asked of the device, "
        f"which has {free_bytes} bytes free: room for at most {free_bytes // max(1, row)} instead "
        f"of {n} along its first axis ({error})"
    )
