"""Where the windows of a pooling lie on a map: counted once, for every backend."""

from minisca.chunks import ceil_div

#: Where windows may start: together centred on the map, or the first of them at position 0.
ORIGINS = ("centred", "corner")


def pool_windows(size, pool_width, pool_stride, origin):
    """For both sides of a map: how many windows, and where the first begins (outside, if < 0)."""
    sides = tuple(ceil_div(side, pool_stride) for side in size)
    if origin == "corner":
        return sides, (0, 0)
    return sides, tuple(
        -(((n - 1) * pool_stride + pool_width - side) // 2)
        for n, side in zip(sides, size, strict=True)
    )
