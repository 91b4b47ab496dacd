"""Products of many rows of features with few classes, for the classifier's loss and gradient.

A general matrix product is slow where one side has ten columns, and it wants its numbers in
float32. Here a block of rows is first cut into strips, (strips, rows, S): the S neighbouring
features of a strip, row below row, in float32 or float64. A tile of rows is then summed up for all
classes at once, and a strip of the gradient stands in registers while all rows of the block pass.
The features are read from memory once, and the block stays in cache.
"""

import numpy as np

from minisca.backends import cpu_runtime
from minisca.chunks import ceil_div, slices

runtime = cpu_runtime()
aligned_zeros, kernel, share = runtime.aligned_zeros, runtime.kernel, runtime.share
fill_function, tile_function = runtime.strips.fill_function, runtime.microkernel.tile_function
machine_code = runtime.machine_code
call, vector_lanes, TILE_SUMS = machine_code.call, machine_code.vector_lanes, machine_code.TILE_SUMS

#: Classes that are summed up at a time.
GROUP = 16
#: Pieces of work that strips are cut into.
PIECES = 32
#: Strips whose products are summed up in registers before they are added to the others'.
DEPTH = 4
#: Strips that are cut at a time: a page of every row, or memory would not read ahead.
FILL = 32
#: Tiles of rows that pass while some strips' weights are in the first-level cache.
TILES = 2


def make_strips(rows, n_features, dtype):
    """Memory for a block of so many rows, strips (strips, rows, S); what fills them up is zero."""
    length = 2 * vector_lanes(dtype)
    rows = ceil_div(rows, TILE_SUMS) * TILE_SUMS  # whole tiles, however many rows they have
    row_bytes = length * np.dtype(dtype).itemsize
    rows += (1024 - rows * row_bytes) % 4096 // row_bytes  # strips a page apart share cache lines
    return np.zeros((ceil_div(n_features, length), rows, length), dtype)


def pack_weights(weights):
    """weights (classes, f) as `project` wants them: (groups, strips * S, lanes of a group)."""
    n_classes, n_features = weights.shape
    lanes = vector_lanes(weights.dtype)
    shape = (
        ceil_div(n_classes, GROUP),
        ceil_div(n_features, 2 * lanes) * 2 * lanes,
        ceil_div(GROUP, lanes) * lanes,
    )
    packed = np.zeros(shape, weights.dtype)
    for group, classes in zip(packed, slices(n_classes, GROUP), strict=True):
        group[:n_features, : classes.stop - classes.start] = weights[classes].T
    return packed


def project(block, packed, n_classes, strips):
    """block (n, f), float16, float32 or float64, times the weights: (n, n_classes).

    The block's rows are left in `strips`. Halves must be finite.
    """
    _, _, length = strips.shape
    vectors = 2 * packed.shape[2] // length
    rows = TILE_SUMS // vectors
    tile = tile_function(rows, vectors, strips.dtype, adding="after", position_step=length)
    fill = fill_function(block.dtype, strips.dtype)
    projected = np.empty((len(block), n_classes), strips.dtype)
    if block.dtype == np.float16:
        block = block.view(np.int16)
    how = rows, fill, tile
    pieces = ceil_div(len(block), rows * TILES)
    runtime.in_parallel(_project, pieces, *runtime.plain(block), packed, how, strips, projected)
    return projected


@kernel
def _project(piece, block, packed, how, strips, projected):
    rows, fill, tile = how
    n, n_features = block.shape
    n_groups, _, width = packed.shape
    length, span = strips.shape[2], rows * TILES
    stride, first_row = strips.shape[1] * length, piece * span
    end_row = min(first_row + span, n)
    whole = n_features // length
    rest = np.zeros(length, block.dtype)  # what a row's last strip holds
    sums = aligned_zeros(n_groups * span * width, strips.dtype)
    at, taps = np.empty(DEPTH, np.int32), np.empty(DEPTH, np.int32)
    for s in range(DEPTH):
        at[s], taps[s] = s * stride, s * length * width
    for first in range(0, len(strips), FILL):
        end = min(first + FILL, len(strips))
        for row in range(first_row, end_row):
            source, target = row * n_features + first * length, first * stride + row * length
            call(fill, (block, source), min(end, whole) - first, (strips, target), stride)
            if end > whole:
                rest[: n_features - whole * length] = block[row, whole * length :]
                call(fill, rest, 1, (strips, whole * stride + row * length), stride)
        for some in range(first, end, DEPTH):
            depth = min(DEPTH, end - some)
            for group in range(n_groups):
                weights = packed, (group * packed.shape[1] + some * length) * width
                for row in range(first_row, end_row, rows):
                    own = strips, some * stride + row * length
                    out = sums, (group * span + row - first_row) * width
                    call(tile, own, at, taps, depth, length, 1, weights, rest, out, width)
    for row in range(first_row, end_row):
        for c in range(projected.shape[1]):
            own = (c // GROUP * span + row - first_row) * width
            projected[row, c] = sums[own + c % GROUP]


def accumulate_(gradient, residuals, strips):
    """gradient (classes, f) += the transpose of residuals (n, classes) times the strips' rows."""
    length = strips.shape[2]
    for classes in slices(len(gradient), GROUP):
        own = np.ascontiguousarray(residuals[:, classes])
        n_classes = own.shape[1]
        vectors = 2 if 2 * n_classes <= TILE_SUMS else 1
        tile = tile_function(n_classes, vectors, strips.dtype, adding="before", tap_step=length)
        how = vectors * length // 2, tile
        runtime.in_parallel(_accumulate, PIECES, strips, own, how, gradient[classes])


@kernel
def _accumulate(piece, strips, residuals, how, gradient):
    width, tile = how
    n, n_classes = residuals.shape
    length, n_features = strips.shape[2], gradient.shape[1]
    sums, zero = aligned_zeros(n_classes * width, strips.dtype), np.zeros(1, np.int32)
    first, end = share(piece, PIECES, len(strips))
    for s in range(first, end):
        for part in range(0, length, width):
            start = s * length + part
            count = max(0, min(width, n_features - start))
            for c in range(n_classes):
                for f in range(count):
                    sums[c * width + f] = gradient[c, start + f]
            own = strips, s * strips.shape[1] * length + part
            call(tile, residuals, zero, zero, 1, n, n_classes, own, sums, sums, width)
            for c in range(n_classes):
                for f in range(count):
                    gradient[c, start + f] = sums[c * width + f]
