"""What stands where in a PNG: read from its bytes alone."""

import io

import numpy as np
import pytest


def read_png(path):
    """The file's pixels (h, w, 3) in [0, 1], from the bytes alone."""
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    return imread(io.BytesIO(path.read_bytes()), format="png")[..., :3]


def places(page, picture):
    """[(top, left), ...] of where a grey picture (h, w) stands on the page, pixel for pixel."""
    shades, wanted = (np.rint(255 * values).astype(int) for values in (page[..., 0], picture))
    windows = np.lib.stride_tricks.sliding_window_view(shades, wanted.shape)
    fits = np.ones(windows.shape[:2], bool)
    rng = np.random.default_rng(0)
    for row, column in rng.integers(0, wanted.shape, (50, 2)):  # leaves few places to look at
        fits &= windows[:, :, row, column] == wanted[row, column]
    found = (tuple(map(int, place)) for place in np.argwhere(fits))
    return [(top, left) for top, left in found if np.array_equal(windows[top, left], wanted)]


def place(page, picture):
    """(top, left) of a picture that stands on the page once."""
    (found,) = places(page, picture)
    return found


def keep_pages(monkeypatch):
    """From now on pages are not written but kept, in the list that this returns."""
    pytest.importorskip("matplotlib")
    from minisca.figures.page import Page

    kept = []
    monkeypatch.setattr(Page, "save", lambda page, path: kept.append(page))
    return kept


def box(page, axes):
    """(left, top, right, bottom) of axes in pixels."""
    (left, bottom), (right, top) = axes.get_position().get_points()
    height = page.height
    return tuple(
        round(float(side), 3)
        for side in (
            left * page.width,
            height - top * height,
            right * page.width,
            height - bottom * height,
        )
    )


def texts(page):
    """{text: (x, y) in pixels} of what is written on a page beside its axes."""
    return {
        text.get_text(): (
            text.get_position()[0] * page.width,
            (1 - text.get_position()[1]) * page.height,
        )
        for text in page.figure.texts
    }


def shown(axes):
    """The picture (h, w, 3) of [0, 1] in axes."""
    (image,) = axes.images
    return np.asarray(image.get_array())[..., :3] / 255
