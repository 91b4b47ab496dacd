"""Curves: losses over epochs, accuracy over settings."""

import numpy as np

from minisca.figures.page import COLOURS, FAINT, INK, Page
from minisca.validation import check_choice, check_integer

#: More points than this are drawn as a bare line.
MARKED = 40


def save_curves(path, curves, xlabel="epoch", ylabel="loss", title=None, log=False, n_colours=7):
    """Write `draw_curves` of the other arguments to the PNG `path`."""
    draw_curves(curves, xlabel, ylabel, title, log, n_colours).save(path)


def draw_curves(curves, xlabel="epoch", ylabel="loss", title=None, log=False, n_colours=7):
    """A Page of curves over one pair of axes.

    Parameters
    ----------
    curves : dict of label: values
        Values (n,) stand at x = 1, 2, ..., n; a pair (x, y) of such arrays, shape (2, n), says
        where else. An empty label is left out of the legend.
    xlabel, ylabel, title : str
    log : bool, "x", "y" or "xy"
        Which axes are logarithmic; True is "y".
    n_colours : int, 1 to 7 (default)
        So many curves are solid, as many after them dashed in the same colours, and so on.

    Raises
    ------
    ValueError or TypeError for curves of another shape, empty, not finite, or not positive along a
    logarithmic axis.
    """
    if isinstance(log, bool):
        log = "y" if log else ""
    else:
        check_choice("log", log, ("x", "y", "xy"))
    if not isinstance(curves, dict) or not curves:
        raise ValueError(f"curves is {curves!r}; it must be a dict of one label: values or more")
    points = {label: _points(label, values, log) for label, values in curves.items()}
    if not 1 <= check_integer("n_colours", n_colours) <= len(COLOURS):
        raise ValueError(f"n_colours is {n_colours}; it must be from 1 to {len(COLOURS)}")

    page = Page(1200, 800)
    page.figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)
    axes = page.figure.add_subplot()
    for number, (label, (x, y)) in enumerate(points.items()):
        colour = COLOURS[number % n_colours]
        style = ("-", "--", ":")[number // n_colours % 3]
        marker = "o" if len(x) <= MARKED else None
        axes.plot(x, y, style, color=colour, marker=marker, ms=2.5, lw=1.2, label=label)
    for axis in log:
        _make_logarithmic(axes, axis, points.values())
    whole_x = all(np.all(x == np.trunc(x)) for x, _ in points.values())
    _dress(axes, whole_x and "x" not in log)
    axes.set_xlabel(xlabel, fontsize=8, color=INK)
    axes.set_ylabel(ylabel, fontsize=8, color=INK)
    if title:
        axes.set_title(title, fontsize=9, color=INK, loc="left")
    if any(points):
        axes.legend(frameon=False, fontsize=7, labelcolor=INK)
    return page


def _points(label, values, log):
    name = f"curves[{label!r}]"
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {values.dtype}; it must be a real number type")
    if values.ndim == 1:
        values = np.stack([np.arange(1, len(values) + 1), values])
    if values.ndim != 2 or len(values) != 2 or values.size == 0:
        raise ValueError(
            f"{name} has shape {values.shape}; it must be (n,) or (2, n), n at least 1"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has NaN or infinite values; every value must be finite")
    for axis, line in zip("xy", values, strict=True):
        if axis in log and line.min() <= 0:
            raise ValueError(
                f"{name} has {axis} = {line.min():g}; with log={log!r} it must be positive"
            )
    return values


def _dress(axes, whole_x):
    """Two spines, a faint horizontal grid, whole numbers where x has only such."""
    from matplotlib.ticker import MaxNLocator

    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
        axes.spines[side].set_linewidth(0.6)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=7, color=FAINT, labelcolor=INK, width=0.6)
    if whole_x:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True))


def _make_logarithmic(axes, name, points):
    """A logarithmic x or y axis with ticks in plain numbers, however short it is."""
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

    axes.set(**{f"{name}scale": "log"})
    axis = getattr(axes, f"{name}axis")
    values = np.unique(np.concatenate([x if name == "x" else y for x, y in points]))
    ratio = values[-1] / values[0]
    if name == "x" and len(values) <= 8:
        locator = FixedLocator(values)
    elif ratio < 3:
        locator = MaxNLocator(nbins=6, steps=[1, 2, 5, 10])
    else:
        locator = LogLocator(subs=(1, 2, 3, 4, 6, 8) if ratio < 30 else (1, 2, 5))
    axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")
