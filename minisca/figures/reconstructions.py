"""Images over what the autoencoder makes of them."""

from minisca.chunks import ceil_div, slices
from minisca.figures.page import FAINT, Page, check_pictures, stretch, text_width, tile, zoom_to
from minisca.validation import check_integer


def save_reconstructions(
    path, originals, reconstructions, titles=("original", "reconstructed"), title=None, columns=10
):
    """Write rows of originals, each over the row of their reconstructions, to the PNG `path`.

    Parameters
    ----------
    originals, reconstructions : arrays (n, c, h, w), c = 1 or 3
        Black is the originals' smallest value, white their largest, in both.
    titles : the two rows' names
    title : str or None
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
    if isinstance(titles, str) or len(titles) != 2:
        raise ValueError(f"titles is {titles!r}; it must be two names, one for each kind of row")
    rows = ceil_div(len(originals), check_integer("columns", columns))
    columns = ceil_div(len(originals), rows)  # no row much shorter than the others
    border, between, margin, label, head = 6, 24, 24, 220, 64 if title else 24
    zoom = zoom_to(1200, columns, originals.shape[3], border, largest=6)
    limits = originals.min(), originals.max()

    pictures = [
        (tile(stretch(x[row], *limits), columns, border, zoom), name)
        for row in slices(len(originals), columns)
        for x, name in zip((originals, reconstructions), titles, strict=True)
    ]
    height, width = pictures[0][0].shape[:2]
    page_width = label + max(width, text_width(title, 9)) + margin
    page = Page(page_width, head + len(pictures) * height + (rows - 1) * between + margin)
    if title:
        page.text(label + border, head / 2, title, 9)
    for number, (picture, name) in enumerate(pictures):
        top = head + number * height + number // 2 * between
        page.text(label - 12, top + height / 2, name, 7.5, ha="right", color=FAINT)
        page.image(picture, label, top)
    page.save(path)
