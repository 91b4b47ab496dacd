"""Cutting work into parts, or taking a part of it: the one way to do it."""

import numpy as np

#: Working memory for one part, where nothing else is said.
CHUNK_BYTES = 32 << 20


def ceil_div(a, b):
    """The quotient a / b rounded up, for integers; b > 0."""
    return -(-a // b)


def slices(n, length):
    """Slices that cover range(n) in order, each of `length` items, the last of what is left."""
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def chunks(n, bytes_per_item, limit=None):
    """Slices that cover range(n), each of as many items as fit into `limit` bytes, at least one.

    limit: by default `CHUNK_BYTES`.
    """
    return slices(n, max(1, (limit or CHUNK_BYTES) // bytes_per_item))


def part_of(n, index, parts):
    """The slice that is part `index` of `parts` consecutive, nearly equal parts of range(n)."""
    return slice(index * n // parts, (index + 1) * n // parts)


def spread(n, count):
    """Up to `count` of the integers below n, spread evenly from the first to the last: rising."""
    if n <= count:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, count).astype(np.int64))
