"""What a classifier got wrong: confusion matrix, and the images themselves."""

import numpy as np

from minisca.chunks import ceil_div
from minisca.figures.page import FAINT, INK, Page, check_pictures, near_square, text_width, tile
from minisca.validation import check_images, check_integer, check_labels


def confusion_matrix(true_labels, predicted_labels, n_classes=None):
    """Count how often each class was predicted as each.

    Parameters
    ----------
    true_labels, predicted_labels : (n,) integers or text
    n_classes : int or None (default)
        With it labels must be integers from 0 to n_classes - 1, and those are the classes; else the
        classes are all labels that occur.

    Returns
    -------
    counts : int64 array (classes, classes), a row a true class
    classes : array (classes,), sorted

    Raises
    ------
    ValueError or TypeError for labels of another shape or kind, or out of range.
    """
    true_labels, predicted_labels = _labels(true_labels, predicted_labels)
    together = np.concatenate([true_labels, predicted_labels])
    if n_classes is None:
        classes, codes = np.unique(together, return_inverse=True)
    else:
        classes, codes = np.arange(check_integer("n_classes", n_classes)), together
        if codes.dtype.kind not in "iu":
            raise TypeError(f"labels have dtype {codes.dtype}; with class names: integers from 0")
        if codes.min() < 0 or codes.max() >= n_classes:
            raise ValueError(
                f"labels run from {codes.min()} to {codes.max()}; with {n_classes} classes they "
                f"must be from 0 to {n_classes - 1}"
            )
    counts = np.zeros((len(classes), len(classes)), np.int64)
    n = len(true_labels)
    np.add.at(counts, (codes[:n], codes[n:]), 1)
    return counts, classes


def misclassified(true_labels, predicted_labels):
    """The rows whose two labels differ, an int64 array, rising.

    Parameters and what is raised: as of `confusion_matrix`.
    """
    true_labels, predicted_labels = _labels(true_labels, predicted_labels)
    return np.flatnonzero(true_labels != predicted_labels)


def save_confusion_matrix(path, true_labels, predicted_labels, class_names=None):
    """Write the confusion matrix to the PNG `path`, coloured by its errors alone.

    Parameters
    ----------
    true_labels, predicted_labels : as of `confusion_matrix`, and what is raised
    class_names : sequence of str or None
        Names of the integer labels 0, 1, ...; by default the labels that occur name themselves.
    """
    n_classes = None if class_names is None else len(class_names)
    counts, classes = confusion_matrix(true_labels, predicted_labels, n_classes)
    names = [str(name) for name in (classes if class_names is None else class_names)]

    cell = 76
    longest = max(map(len, names))
    tilted = longest > 3
    left, head, foot = 110 + 15 * longest, 90, 100 + (11 * longest if tilted else 0)
    side = cell * len(names)
    headline = _headline(counts.sum(), counts.sum() - counts.trace())
    page = Page(left + max(side, text_width(headline, 9)) + 40, head + side + foot)
    axes = page.axes(left, head, side, side)
    _draw_counts(axes, counts)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=45 if tilted else 0, ha="right" if tilted else "center")
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    axes.set_xlabel("predicted", fontsize=8, color=FAINT)
    axes.set_ylabel("true", fontsize=8, color=FAINT)
    page.text(left, head / 2 + 4, headline, 9)
    page.save(path)


def save_misclassified(path, images, true_labels, predicted_labels, limit=100):
    """Write the images whose label was predicted wrongly, each with "true → predicted".

    Without a wrong one the PNG says so.

    Parameters
    ----------
    images : (n, c, h, w), c = 1 or 3; any array that slices, of which the wrong ones are read
        Black is each image's smallest value, white its largest.
    true_labels, predicted_labels : (n,) integers or text
    limit : int
        Of more wrong ones the first so many are shown; the head says so.

    Raises
    ------
    ValueError or TypeError for images that cannot be shown and labels that do not fit.
    """
    images = check_images(images, "images")
    limit = check_integer("limit", limit)
    true_labels, predicted_labels = _labels(true_labels, predicted_labels, images.shape[0])
    wrong = misclassified(true_labels, predicted_labels)
    shown = wrong[:limit]
    headline = _headline(len(true_labels), len(wrong))
    if len(shown) < len(wrong):
        headline += f"; the first {len(shown)}"
    if not len(shown):
        page = Page(60 + text_width(headline, 9), 110)
        page.text(30, 55, headline, 9)
        page.save(path)
        return
    cells = check_pictures(images[shown], "images")
    low, high = (f(cells, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    cells = (cells - low) / np.where(high > low, high - low, 1)
    captions = [f"{true_labels[i]} → {predicted_labels[i]}" for i in shown]
    _captioned_grid(cells, captions, headline).save(path)


def _labels(true_labels, predicted_labels, n=None):
    n = np.size(true_labels) if n is None else n
    true_labels = check_labels(true_labels, n, "true_labels")
    predicted_labels = check_labels(predicted_labels, n, "predicted_labels")
    if n == 0:
        raise ValueError("true_labels is empty; there must be one label or more")
    if (true_labels.dtype.kind == "U") != (predicted_labels.dtype.kind == "U"):
        raise TypeError(
            f"true_labels has dtype {true_labels.dtype} and predicted_labels "
            f"{predicted_labels.dtype}; both must be whole numbers, or both text"
        )
    return true_labels, predicted_labels


def _headline(n, wrong):
    return f"{wrong:,} of {n:,} misclassified: {100 * wrong / n:.2f} %"


def _draw_counts(axes, counts):
    """Counts in their cells; the diagonal grey, the rest redder the more errors."""
    from matplotlib.colors import LinearSegmentedColormap

    reds = LinearSegmentedColormap.from_list("errors", ["#ffffff", "#f4a582", "#b2182b"])
    reds = reds.with_extremes(bad="#ececec")
    diagonal = np.eye(len(counts), dtype=bool)
    errors = np.ma.masked_array(counts, diagonal)
    most = max(1, counts[~diagonal].max(initial=0))
    axes.imshow(errors, cmap=reds, vmin=0, vmax=most, interpolation="nearest", aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            pale = row != column and count > 0.6 * most
            colour = "white" if pale else FAINT if row == column else INK
            size = 7 if count < 10_000 else 6
            axes.text(
                column, row, f"{count}", ha="center", va="center", fontsize=size, color=colour
            )
    edges = np.arange(len(counts) + 1) - 0.5
    for draw in (axes.hlines, axes.vlines):
        draw(edges, -0.5, len(counts) - 0.5, color="#e0e0e0", linewidth=0.4, clip_on=False)
    axes.spines[:].set_visible(False)


def _captioned_grid(cells, captions, headline):
    """A page of cells (n, c, h, w) of [0, 1], each over its caption."""
    columns = max(near_square(len(cells)), min(len(cells), 6))
    h, w = cells.shape[2:]
    zoom = max(1, 112 // max(h, w))
    width = max(w * zoom, text_width(max(captions, key=len), 7))
    step_x, step_y, margin, head = width + 16, h * zoom + 50, 30, 84
    rows = ceil_div(len(cells), columns)
    page_width = 2 * margin + max(columns * step_x - 16, text_width(headline, 9))
    page = Page(page_width, head + rows * step_y + 10)
    page.text(margin, head / 2, headline, 9)
    for index, (cell, caption) in enumerate(zip(cells, captions, strict=True)):
        row, column = divmod(index, columns)
        left, top = margin + column * step_x, head + row * step_y
        page.image(tile(cell[None], 1, 0, zoom), left + (width - w * zoom) // 2, top)
        page.text(left + width / 2, top + h * zoom + 18, caption, 7, ha="center")
    return page
