"""A layer or a stack as a page for notebooks: HTML that stands by itself, drawn without matplotlib.

It takes its colours and letters from the page that it is in, dark ones among them, and is as wide
as there is room.
"""

import base64
import struct
import zlib
from html import escape

import numpy as np

from minisca.figures.filters import filter_grid, project_filters
from minisca.figures.page import near_square

#: Of layers with more maps the first so many are shown.
MAX_MAPS = 64
#: Pixels: how wide the filters are shown, where there is room.
WIDTH = 360

STYLE = (
    "max-width:40em;line-height:1.4;font-family:system-ui,sans-serif;font-size:14px;"
    "overflow-wrap:anywhere"
)
CELL = "text-align:left;padding:1px 1em 1px 0;vertical-align:top;background:none"


def as_html(estimator):
    """What a notebook shows of a SparseConvAutoencoder or a Stack."""
    described = _stack if hasattr(estimator, "layers") else _layer
    return f'<div style="{STYLE}">{described(estimator)}</div>'


def _stack(stack):
    layers = getattr(stack, "layers_", None)
    parts = [_head(stack, "not fitted" if layers is None else f"{len(layers)} layers")]
    for number, layer in enumerate(layers or stack.layers, 1):
        filters = None
        if layers and number > 1 and layers[0].n_channels_ in (1, 3):
            filters = project_filters(stack, number - 1)
        summary = f"<summary>layer {number}: {escape(_told(layer))}</summary>"
        parts.append(f'<details open style="margin:4px 0 4px 1em">{summary}')
        parts.append(f"{_layer(layer, filters, headed=False)}</details>")
    return "".join(parts) + _parameters(stack)


def _layer(layer, filters=None, headed=True):
    parts = [_head(layer, _told(layer))] if headed else []
    if hasattr(layer, "state_"):
        own = layer.decoder_filters_
        filters = own if filters is None else filters
        if filters.ndim == 4 and filters.shape[1] in (1, 3):
            parts.append(_picture(filters, "pixels" if filters is not own else ""))
    return "".join(parts) + _parameters(layer)


def _head(estimator, told):
    return f"<div><b>{escape(type(estimator).__name__)}</b>, {escape(told)}</div>"


def _told(layer):
    """What a layer is, in a line."""
    of = f"{layer.n_maps} maps of {layer.filter_width} × {layer.filter_width}"
    if not hasattr(layer, "state_"):
        return f"{of}, not fitted"
    size = " × ".join(map(str, layer.image_size_))
    done = layer.n_epochs_done_
    epochs = f"{done} epoch" if done == 1 else f"{done} epochs"
    told = f"{of}, images of {layer.n_channels_} × {size}; {epochs}"
    return told + (f", loss {layer.loss_history_[-1]:.4g}" if layer.loss_history_ else "")


def _parameters(estimator):
    """A table of those that were chosen; behind a click all."""
    defaults, rows = estimator._defaults(), {True: [], False: []}
    for name, default in defaults.items():
        value = getattr(estimator, name)
        if name != "layers":
            row = f'<td style="{CELL}">{name}</td><td style="{CELL}">{escape(repr(value))}</td>'
            rows[repr(value) != repr(default)].append(f'<tr style="background:none">{row}</tr>')
    chosen = _table(rows[True])
    more = "<summary>parameters at their defaults</summary>"
    return chosen + (f"<details>{more}{_table(rows[False])}</details>" if rows[False] else "")


def _table(rows):
    made = '<table style="border-collapse:collapse;margin:4px 0;font-family:monospace">'
    return f"{made}{''.join(rows)}</table>" if rows else ""


def _picture(filters, of):
    m = len(filters)
    shown = filters[:MAX_MAPS]
    grid = filter_grid(shown, columns=near_square(len(shown)))
    zoom = max(1, WIDTH // grid.shape[1])
    told = "decoder filters" + (", in pixels" if of else "")
    told += f", {len(shown)} of {m}" if len(shown) < m else ""
    image = f"data:image/png;base64,{base64.b64encode(png(grid)).decode()}"
    style = f"width:{zoom * grid.shape[1]}px;max-width:100%;image-rendering:pixelated"
    return f'<div style="margin:4px 0"><img alt="{told}" style="{style}" src="{image}"/></div>'


def png(picture):
    """The bytes of a PNG of a grey (h, w) or RGB (h, w, 3) array of [0, 1]."""
    shades = np.rint(255 * picture).astype(np.uint8)
    height, width = shades.shape[:2]
    lines = shades.reshape(height, -1)
    data = np.hstack([np.zeros((height, 1), np.uint8), lines]).tobytes()  # 0: a line as it is
    kind = 0 if shades.ndim == 2 else 2
    header = struct.pack(">2I5B", width, height, 8, kind, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
