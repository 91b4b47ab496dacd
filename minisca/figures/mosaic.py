"""Many small pictures laid out as one array, and numbers turned into brightness."""

import math

import numpy as np

from minisca.validation import check_images, check_integer

CHANNELS = (1, 3)


def check_pictures(pictures, name, advice=""):
    """Return pictures (n, c, h, w), c = 1 or 3, as float64; raise for what cannot be shown."""
    pictures = np.asarray(check_images(pictures, name), np.float64)
    if pictures.shape[1] not in CHANNELS:
        raise ValueError(
            f"{name} has {pictures.shape[1]} channels (shape {pictures.shape}); only 1 (grey) or "
            f"3 (colour) can be shown{advice}"
        )
    if not np.isfinite(pictures).all():
        raise ValueError(f"{name} has NaN or infinite values; every value must be finite")
    return pictures


def stretch(pictures, low, high):
    """Brightness in [0, 1] of values from `low` (black) to `high` (white); beyond is cut."""
    if not high > low:
        return np.zeros(pictures.shape)
    return np.clip((pictures - low) / (high - low), 0, 1)


def near_square(n):
    """Columns of a grid of n cells: no cell empty where that looks square, else the squarest."""
    root = math.ceil(math.sqrt(n))
    full = (c for c in range(root, n + 1) if n % c == 0 and 2 * c <= 3 * (n // c))
    return next(full, root)


def tile(cells, columns, border=1, zoom=1, blank=1.0):
    """Lay cells (n, c, h, w) out row by row: (H, W), or (H, W, 3) if c = 3.

    Each pixel becomes zoom x zoom; lines of `border` pixels of brightness `blank` run between and
    around the cells, H = rows * (zoom * h + border) + border and so on.
    """
    columns = check_integer("columns", columns)
    border = check_integer("border", border, minimum=0)
    cells = np.asarray(cells).repeat(check_integer("zoom", zoom), axis=2).repeat(zoom, axis=3)
    n, c, h, w = cells.shape
    rows = -(-n // columns)
    grid = np.full((rows * columns, h + border, w + border, c), blank)
    grid[:n, :h, :w] = cells.transpose(0, 2, 3, 1)
    grid = grid.reshape(rows, columns, h + border, w + border, c).swapaxes(1, 2)
    grid = grid.reshape(rows * (h + border), columns * (w + border), c)
    grid = np.pad(grid, ((border, 0), (border, 0), (0, 0)), constant_values=blank)
    return grid[:, :, 0] if c == 1 else grid


def corner(index, columns, side, border, zoom):
    """Row and column, in what `tile` returns, of the first pixel of cell `index`; side = (h, w)."""
    row, column = divmod(index, columns)
    return (
        border + row * (zoom * side[0] + border),
        border + column * (zoom * side[1] + border),
    )


def zoom_to(width, columns, side, border=0, largest=24):
    """The largest whole zoom at which `columns` cells of `side` pixels fit in `width` pixels."""
    room = width - border * (columns + 1)
    return max(1, min(largest, room // (columns * side)))
