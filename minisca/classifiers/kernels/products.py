"""Products of many rows of features with few classes, for the classifier's loss and gradient.

A general matrix product is slow where one side has ten columns, and it wants its numbers in
float32. Here a block of rows is first cut into strips, (strips, rows, S): the S neighbouring
features of a strip, row below row, in float32 or float64. A tile of rows is then summed up for all
classes at once, and a strip of the gradient stands in registers while all rows of the block pass.
The features are read from memory once, and the block stays in cache.
"""

import numpy as np

from minisca.backends import cpu_runtime
from minisca.chunks import ceil_div

runtime = cpu_runtime()
aligned_zeros, kernel, share = runtime.aligned_zeros, runtime.kernel, runtime.share
emitted, vectors_of = runtime.strips, runtime.machine_code
call, TILE_SUMS = vectors_of.call, vectors_of.TILE_SUMS

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
    length = emitted.strip_length(dtype)
    rows = ceil_div(rows, TILE_SUMS) * TILE_SUMS  # whole tiles, however many rows they have
    row_bytes = length * np.dtype(dtype).itemsize
    rows += (1024 - rows * row_bytes) % 4096 // row_bytes  # strips a page apart share cache lines
    return np.zeros((ceil_div(n_features, length), rows, length), dtype)


def pack_weights(weights):
    """weights (classes, f) as `project` wants them: (groups, strips * S, lanes of a group)."""
    n_classes, n_features = weights.shape
    length = emitted.strip_length(weights.dtype)
    groups, lanes = ceil_div(n_classes, GROUP), _lanes_of_group(weights.dtype)
    packed = np.zeros((groups, ceil_div(n_features, length) * length, lanes), weights.dtype)
    for group, classes in zip(packed, _groups(n_classes), strict=True):
        group[:n_features, : classes.stop - classes.start] = weights[classes].T
    return packed


def project(block, packed, n_classes, strips):
    """block (n, f), float16, float32 or float64, times the weights: (n, n_classes).

    The block's rows are left in `strips`. Halves must be finite.
    """
    vectors = packed.shape[2] * strips.itemsize // vectors_of.VECTOR_BYTES
    rows = TILE_SUMS // vectors
    function = emitted.project_function(rows, vectors, strips.shape[2], strips.dtype)
    projected = np.empty((len(block), n_classes), strips.dtype)
    fill = emitted.fill_function(block.dtype, strips.dtype)
    if block.dtype == np.float16:
        block = block.view(np.int16)
    pieces = ceil_div(len(block), rows * TILES)
    runtime.in_parallel(
        _project, pieces, *runtime.plain(block), packed, rows, fill, function, strips, projected
    )
    return projected


@kernel
def _project(piece, block, packed, rows, fill, function, strips, projected):
    n, n_features = block.shape
    length, span = strips.shape[2], rows * TILES
    stride = strips.shape[1] * length
    flat = strips.reshape(-1)
    sums = aligned_zeros(len(packed) * span * packed.shape[2], strips.dtype)
    for first in range(0, len(strips), FILL):
        end = min(first + FILL, len(strips))
        for row in range(piece * span, min((piece + 1) * span, n)):
            count = min(end * length, n_features) - first * length
            target = flat[first * stride + row * length :]
            call(fill, (block, row * n_features + first * length), count, target, stride)
        for some in range(first, end, DEPTH):
            few = min(some + DEPTH, end)
            _add_strips(piece * span, some, few, n, packed, rows, function, strips, sums)
    _take_sums(piece * span, sums, span, packed.shape[2], projected)


@kernel
def _add_strips(first_row, first, end, n, packed, rows, function, strips, sums):
    """Add some strips' products to sums (groups, rows * TILES, lanes), flat."""
    features, length, width = strips.reshape(-1), strips.shape[2], packed.shape[2]
    stride = strips.shape[1] * length
    for group in range(len(packed)):
        weights = packed[group].reshape(-1)[first * length * width :]
        for tile in range(TILES):
            row = first_row + tile * rows
            if row < n:
                own = ((group * TILES + tile) * rows) * width
                tile_rows, out = (features, first * stride + row * length), (sums, own)
                call(function, tile_rows, stride, weights, end - first, out)


@kernel
def _take_sums(first_row, sums, span, width, projected):
    n, n_classes = projected.shape
    for row in range(first_row, min(first_row + span, n)):
        for c in range(n_classes):
            own = (c // GROUP * span + row - first_row) * width
            projected[row, c] = sums[own + c % GROUP]


def accumulate_(gradient, residuals, strips):
    """gradient (classes, f) += the transpose of residuals (n, classes) times the strips' rows."""
    for classes in _groups(len(gradient)):
        own = np.ascontiguousarray(residuals[:, classes])
        vectors = 2 if 2 * own.shape[1] <= TILE_SUMS else 1
        function = emitted.accumulate_function(own.shape[1], vectors, strips.shape[2], strips.dtype)
        runtime.in_parallel(_accumulate, PIECES, strips, own, vectors, function, gradient[classes])


@kernel
def _accumulate(piece, strips, residuals, vectors, function, gradient):
    n, n_classes = residuals.shape
    length, n_features = strips.shape[2], gradient.shape[1]
    scales, width = residuals.reshape(-1), vectors * length // 2
    sums = aligned_zeros(n_classes * width, strips.dtype)
    first, end = share(piece, PIECES, len(strips))
    for s in range(first, end):
        for part in range(0, length, width):
            start = s * length + part
            count = max(0, min(width, n_features - start))
            for c in range(n_classes):
                for f in range(count):
                    sums[c * width + f] = gradient[c, start + f]
            call(function, (strips, s * strips.shape[1] * length + part), scales, n, sums)
            for c in range(n_classes):
                for f in range(count):
                    gradient[c, start + f] = sums[c * width + f]


def _groups(n_classes):
    return [slice(c, min(c + GROUP, n_classes)) for c in range(0, n_classes, GROUP)]


def _lanes_of_group(dtype):
    lanes = vectors_of.vector_lanes(dtype)
    return ceil_div(GROUP, lanes) * lanes
