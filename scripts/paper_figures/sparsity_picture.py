"""The picture of compare_sparsity.py: every rule's decoder filters over its numbers."""

from minisca.chunks import ceil_div
from minisca.figures import filter_grid
from minisca.figures.page import FAINT, Page, near_square, zoom_to

SIDE, MARGIN, HEAD, FOOT, COLUMNS = 520, 30, 70, 130, 4


def draw_variants(path, records, layers):
    """Write the PNG `path`: records and layers by the rule's name, in their order."""
    rows = ceil_div(len(layers), COLUMNS)
    step_x, step_y = SIDE + MARGIN, HEAD + SIDE + FOOT
    page = Page(COLUMNS * step_x + MARGIN, rows * step_y + MARGIN)
    for number, (name, layer) in enumerate(layers.items()):
        row, column = divmod(number, COLUMNS)
        left, top = MARGIN + column * step_x, row * step_y
        page.text(left, top + HEAD / 2 + 8, name, 10, weight="bold")
        filters = layer.decoder_filters_
        zoom = zoom_to(SIDE, near_square(len(filters)), filters.shape[3], border=4)
        grid = filter_grid(filters, border=4, zoom=zoom)
        page.image(grid, left, top + HEAD)
        for line, text in enumerate(captions(records[name])):
            page.text(left, top + HEAD + grid.shape[0] + 24 + 28 * line, text, 7, color=FAINT)
    page.save(path)


def captions(record):
    """Three lines of numbers."""
    dead, repeated = record["dead_maps"], record["repeated_filters"]
    return (
        f"validation error {record['validation_error_percent']:.2f} %, reconstruction "
        f"{record['reconstruction_error']:.2f}",
        f"{dead:.3g} of {len(record['usage'])} maps dead, {repeated:.3g} repeated",
        f"delta share {record['median_delta_share']:.2f}, sharpness "
        f"{record['median_sharpness']:.2f}, steepness {record['median_steepness']:.2f}",
    )
