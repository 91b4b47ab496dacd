"""Images over what the autoencoder makes of them."""

from minisca.chunks import ceil_div, slices
from minisca.figures.page import FAINT, Page, check_pictures, stretch, tile, zoom_to
from minisca.validation import check_integer


def save_reconstructions(path, originals, reconstructions, columns=10):
    """Write `draw_reconstructions(originals, reconstructions, columns)` to the PNG `path`."""
    draw_reconstructions(originals, reconstructions, columns).save(path)


def draw_reconstructions(originals, reconstructions, columns=10):
    """A Page of rows of originals, each over the row of their reconstructions.

    Parameters
    ----------
    originals, reconstructions : arrays (n, c, h, w), c = 1 or 3
        Black is the originals' smallest value, white their largest, in both.
    columns : int
        Images a row, at most.

    Raises
    ------
    ValueError or TypeError for arrays that cannot be shown or have different shapes.
    """
    originals = check_pictures(originals, "originals")
    reconstructions = check_pictures(reconstructions, "reconstructions")
    if reconstructions.shape != originals.shape:
        raise ValueError(
            f"reconstructions has shape {reconstructions.shape}; it must be that of originals, "
            f"{originals.shape}"
        )
    rows = ceil_div(len(originals), check_integer("columns", columns))
    columns = ceil_div(len(originals), rows)  # no row much shorter than the others
    border, margin, label = 6, 24, 220
    zoom = zoom_to(1200, columns, originals.shape[3], border, largest=6)
    limits = originals.min(), originals.max()

    pictures = [
        (tile(stretch(x[row], *limits), columns, border, zoom), name)
        for row in slices(len(originals), columns)
        for x, name in ((originals, "original"), (reconstructions, "reconstructed"))
    ]
    height, width = pictures[0][0].shape[:2]
    page = Page(label + width + margin, len(pictures) * height + (rows + 1) * margin)
    for number, (picture, name) in enumerate(pictures):
        top = margin + number * height + number // 2 * margin
        page.text(label - 12, top + height / 2, name, 7.5, ha="right", color=FAINT)
        page.image(picture, label, top)
    return page
