"""What every figure is made of: a white page measured in pixels, and pictures tiled on it.

The page is matplotlib's Figure on its Agg canvas: no pyplot, no window, no state shared between
figures.
"""

import io
import math

import numpy as np

from minisca.chunks import ceil_div
from minisca.files.atomic import atomic_write
from minisca.validation import check_images, check_integer

DPI = 200
INK = "#222222"
FAINT = "#767676"
#: Distinguishable by colour-blind readers, and in this order by their darkness (after Okabe, Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#222222")


def import_matplotlib():
    """Return matplotlib's Figure and FigureCanvasAgg; ImportError says what to install."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'figures are drawn by matplotlib, which is missing: pip install "minisca[figures]"'
        ) from error
    return Figure, FigureCanvasAgg


def text_width(text, size=8):
    """Pixels that `text` takes at `size` points: rather too many, most letters are narrower."""
    return math.ceil(0.6 * size * DPI / 72 * len(text or ""))


class Page:
    """A page of width x height pixels; places are counted from its top left corner.

    A notebook shows it; `save(path)` writes it; `figure` is matplotlib's Figure.
    """

    def __init__(self, width, height):
        figure_class, canvas_class = import_matplotlib()
        self.width, self.height = width, height
        self.figure = figure_class(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        canvas_class(self.figure)

    def axes(self, left, top, width, height):
        """Empty axes over the given pixels."""
        bottom = self.height - top - height
        bounds = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(bounds)

    def image(self, picture, left, top):
        """Place a grey (h, w) or RGB (h, w, 3) array of [0, 1], a pixel for every entry.

        Returns its axes, in which entry (row, column) is at x = column, y = row.
        """
        height, width = picture.shape[:2]
        axes = self.axes(left, top, width, height)
        # Bytes, because a colour map would round to one of 256 shades in its own way.
        shades = np.rint(255 * picture).astype(np.uint8)
        if shades.ndim == 2:
            shades = np.repeat(shades[:, :, None], 3, axis=2)
        axes.imshow(shades, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        return axes

    def text(self, x, y, text, size=8, **options):
        """Write `text` with its left end (option ha) and middle (option va) at pixel (x, y)."""
        options = {"ha": "left", "va": "center", "color": INK, "parse_math": False} | options
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, **options)

    def save(self, path):
        """Write the page to `path` as a PNG, atomically."""
        with atomic_write(path) as file:
            file.write(self._png())

    def _repr_png_(self):
        """What a notebook shows: half as large as the pixels are, for fine screens."""
        return self._png(), {"width": self.width // 2, "height": self.height // 2}

    def __repr__(self):
        return f"<picture of {self.width} x {self.height} pixels; .save(path) writes it>"

    def _png(self):
        png = io.BytesIO()
        # Without matplotlib's version in it, the same picture is the same file for longer.
        self.figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
        return png.getvalue()


def check_pictures(pictures, name, advice=""):
    """Return pictures (n, c, h, w), c = 1 or 3, as float64; raise for what cannot be shown."""
    pictures = np.asarray(check_images(pictures, name), np.float64)
    if pictures.shape[1] not in (1, 3):
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


def tile(cells, columns, border=1, zoom=1):
    """Lay cells (n, c, h, w) out row by row: (H, W), or (H, W, 3) if c = 3.

    Each pixel becomes zoom x zoom; lines of `border` white pixels run between and around the cells.
    """
    columns = check_integer("columns", columns)
    border = check_integer("border", border, minimum=0)
    cells = np.asarray(cells).repeat(check_integer("zoom", zoom), axis=2).repeat(zoom, axis=3)
    n, c, h, w = cells.shape
    rows = ceil_div(n, columns)
    grid = np.ones((rows * columns, h + border, w + border, c))
    grid[:n, :h, :w] = cells.transpose(0, 2, 3, 1)
    grid = grid.reshape(rows, columns, h + border, w + border, c).swapaxes(1, 2)
    grid = grid.reshape(rows * (h + border), columns * (w + border), c)
    grid = np.pad(grid, ((border, 0), (border, 0), (0, 0)), constant_values=1)
    return grid[:, :, 0] if c == 1 else grid


def zoom_to(width, columns, side, border=0, largest=24):
    """The largest whole zoom at which `columns` cells of `side` pixels fit in `width` pixels."""
    room = width - border * (columns + 1)
    return max(1, min(largest, room // (columns * side)))
