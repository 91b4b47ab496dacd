"""Small helpers for arrays: a uniform kind for the compiled kernels, and chunks of images."""

import numpy as np

#: Working memory that a matrix-product path may use beside its arguments and results.
CHUNK_BYTES = 32 << 20


def plain(*arrays):
    """The arrays, C-contiguous and writeable, copied only where they are not.

    Compiled kernels are specialised for the kind of their arguments: one kind, one compilation.
    """
    return [np.require(array, requirements=["C", "W"]) for array in arrays]


def chunks(n, bytes_per_item):
    """Slices that cover range(n), each of as many items as fit into CHUNK_BYTES (at least one)."""
    step = max(1, CHUNK_BYTES // bytes_per_item)
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
