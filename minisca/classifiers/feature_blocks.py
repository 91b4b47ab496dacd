"""Features of any size, read a block of rows at a time.

A classifier's features can be larger than memory (60,000 x 51,200), so they are never copied whole:
any array that slices along its first axis will do, and each block is small enough to stay in cache
while it is used twice.
"""

from functools import cached_property

import numpy as np

from minisca.chunks import ceil_div, chunks, slices
from minisca.validation import as_array, check_unmasked

# Of the size of a large L3 cache. Measured on two cores with 12,800 and 32,768 features: smaller
# blocks lose to loading the weights and the gradient for fewer rows, larger ones leave the cache.
BLOCK_BYTES = 32 * 2**20

# Neighbouring rows that are read together where the order is random: few, for what always comes
# together slows a descent that goes from row to row, yet enough to read from a file in good time.
RUN = 8

_HALF_MAX = 65504


class FeatureBlocks:
    """The rows of features (n, ...) as blocks (rows, n_features) of float32 or float64.

    features: an array that slices along its first axis, or what `np.asarray` takes. float16,
    float32 and small integers are read as float32, or as `dtype` where that is float64; everything
    else as float64. TypeError for a sparse matrix and a dtype that is not real, ValueError for a
    rank below 2 and no rows or features. rows: of a block, in place of what fits into
    `block_bytes`. name: what the messages call the features. fetch(array): for features that are
    an array of a device, its parts on the host; those features are of floats.

    Iterating yields (slice of the rows, block). A block of `rows` rows, the last one of fewer, is
    valid until the next one is read: either a view of the features or a buffer that is used again.
    """

    def __init__(
        self, features, dtype=np.float32, block_bytes=None, rows=None, name="X", fetch=None
    ):
        if hasattr(features, "toarray"):  # scipy.sparse
            raise TypeError(f"{name} is a sparse matrix; it must be dense, such as X.toarray()")
        has_shape = hasattr(features, "shape")
        if not (has_shape and isinstance(getattr(features, "dtype", None), np.dtype)):
            features = as_array(name, features, "(n, ...)")
        shape = tuple(features.shape)
        if len(shape) < 2:
            must = "it must be (n, ...) of rank 2 or more. Reshape your data: a row is X[None]"
            raise ValueError(f"{name} has shape {shape}; {must}")
        if 0 in shape:
            what = "sample(s)" if shape[0] == 0 else "feature(s)"
            found = f"0 {what} (shape={shape}) while a minimum of 1 is required."
            raise ValueError(f"{name} has {found} No side may be 0")
        if isinstance(features, np.ndarray) and features.dtype == object:
            features = as_array(name, features, "of real numbers", np.float64)
        kind, must = np.dtype(features.dtype).kind, "it must be a real number type"
        if kind == "c":
            raise ValueError(f"Complex data not supported: {name} has {features.dtype}; {must}")
        if kind not in "fiub":
            raise TypeError(f"{name} has dtype {features.dtype}; {must}")
        if fetch is not None and features.dtype not in (np.float16, np.float32, np.float64):
            must = "on a device it must be float16, float32 or float64"
            raise TypeError(f"{name} has dtype {features.dtype}; {must}")
        self.name = name
        self.features = features
        self.fetch = fetch
        self.n = shape[0]
        self.n_features = int(np.prod(shape[1:], dtype=np.int64))
        wide = np.dtype(np.result_type(features.dtype, dtype)).itemsize > 4
        self.dtype = np.dtype(np.float64 if wide else np.float32)
        row_bytes = self.n_features * self.dtype.itemsize
        fitting = chunks(self.n, row_bytes, block_bytes or BLOCK_BYTES)
        self.slices = slices(self.n, rows) if rows else fitting
        self.rows = self.slices[0].stop
        halves = features.dtype == np.float16 and features.dtype.isnative
        #: Of what `stored_block` gives.
        self.stored_dtype = self.dtype
        if fetch is not None or (halves and self.dtype == np.float32):
            self.stored_dtype = np.dtype(features.dtype)

    def __iter__(self):
        for rows in self.slices:
            yield rows, self._read(rows)

    def shuffled(self, random):
        """Yield all rows once, in runs of neighbours from everywhere: (indices, block, places).

        indices (rows,): which rows they are; block (b, f), of `stored_dtype`, has them at `places`.
        It is the features themselves where these are a plain array, or a buffer.
        random: the NumPy generator that the order is drawn from.
        """
        length = min(RUN, self.rows)
        runs = length * random.permutation(ceil_div(self.n, length))
        for part in slices(len(runs), self.rows // length):
            indices = (runs[part, np.newaxis] + np.arange(length)).ravel()
            indices = indices[indices < self.n]
            if self._in_place is not None:
                yield indices, self._in_place, indices
                continue
            block, filled = self._stored_buffer, 0
            for first in runs[part]:
                rows = self._stored(slice(first, min(first + length, self.n)))
                if block is self._buffer:
                    self._convert(rows, block[filled : filled + len(rows)])
                else:
                    block[filled : filled + len(rows)] = rows
                filled += len(rows)
            yield indices, block[:filled].reshape(filled, self.n_features), np.arange(filled)

    def at(self, indices):
        """The rows at these indices, `rows` or fewer, as a block; each is read by itself."""
        for place, i in enumerate(indices):
            self._convert(self._stored(slice(int(i), int(i) + 1)), self._buffer[place : place + 1])
        return self._buffer[: len(indices)].reshape(len(indices), self.n_features)

    def rows_as_they_are(self, indices):
        """The features (len(indices), ...) of some rows, each read as a slice."""
        return np.concatenate([self._stored(slice(int(i), int(i) + 1)) for i in indices])

    def as_stored(self):
        """Iterate as usual, but over float16 as it is where the blocks' dtype is float32."""
        for rows in self.slices:
            yield rows, self.stored_block(rows)

    def stored_block(self, rows):
        """The block of these rows, one of `slices`, of `stored_dtype`; of a device where it is."""
        if self.fetch is not None:
            found = self.features[rows]
            return found.reshape((rows.stop - rows.start, self.n_features))
        if self.stored_dtype != np.float16:
            return self._read(rows)
        block = np.asarray(self._stored(rows), np.float16)
        return np.ascontiguousarray(block).reshape(len(block), self.n_features)

    @cached_property
    def strips(self):
        """Memory for one block, see `minisca.classifiers.kernels.products`; it is used again."""
        from minisca.classifiers.kernels.products import make_strips

        return make_strips(self.rows, self.n_features, self.dtype)

    def checked(self):
        """Iterate as usual, raising ValueError at the first NaN or infinite feature."""
        for rows, block in self:
            # A half-precision infinity or NaN is read as 65,536 or more: see `widen_halves`.
            if self.features.dtype == np.float16:
                finite = max(block.max(), -block.min()) <= _HALF_MAX
            else:
                finite = np.isfinite(block).all()
            if not finite:
                self.check_finite(rows)
            yield rows, block

    def check_finite(self, rows):
        """Raise ValueError if a feature of these rows, a slice, is NaN or infinite."""
        found = np.asarray(self._stored(rows)).reshape(-1, self.n_features)
        for row, column in np.argwhere(~np.isfinite(found))[:1]:
            raise ValueError(
                f"{self.name} has the value {found[row, column]} in row {rows.start + row}; "
                "every feature must be finite (no NaN, no infinity)"
            )

    def moments(self):
        """Every feature's mean (n_features,), and the mean of all squares, in float64; checked."""
        total, mean = 0.0, np.zeros(self.n_features)
        weights = np.full(self.rows, 1 / self.n, self.dtype)  # means, where sums might overflow
        for _, block in self.checked():
            mean += weights[: len(block)] @ block
            squares = float(np.einsum("ij,ij->i", block, block).sum(dtype=np.float64))
            if not 1e-20 < squares < 1e30:  # near the ends of float32's range
                with np.errstate(over="ignore"):  # the caller sees an infinite mean
                    squares = float(np.square(block, dtype=np.float64).sum())
            total += squares
        return mean, total / (self.n * self.n_features)

    def _read(self, rows):
        found = self._stored(rows)
        if (
            isinstance(found, np.ndarray)
            and found.dtype == self.dtype
            and found.dtype.isnative
            and found.flags.c_contiguous
            and found.flags.aligned
        ):
            return np.asarray(found).reshape(len(found), self.n_features)
        buffer = self._buffer[: len(found)]
        self._convert(found, buffer)
        return buffer.reshape(len(found), self.n_features)

    def _stored(self, rows):
        """Some rows, a slice, as they are. ValueError where an array gives others than it says."""
        found = self.features[rows]
        if self.fetch is not None:
            found = self.fetch(found)
        if type(found) is not np.ndarray:  # asked of every few rows of a pass: as little as can be
            check_unmasked(self.name, found)
        shape = rows.stop - rows.start, *self.features.shape[1:]
        if np.shape(found) != shape:
            raise ValueError(
                f"{self.name}[{rows.start}:{rows.stop}] has shape {np.shape(found)}; "
                f"it must be {shape}"
            )
        return found

    @cached_property
    def _buffer(self):
        return np.empty((self.rows, *self.features.shape[1:]), self.dtype)

    @cached_property
    def _stored_buffer(self):
        if self.stored_dtype == self.dtype:
            return self._buffer
        return np.empty((self.rows, *self.features.shape[1:]), self.stored_dtype)

    @cached_property
    def _in_place(self):
        """The features as (n, n_features), if kernels may read them as they lie; else None."""
        found = self.features
        if self.fetch is not None or not isinstance(found, np.ndarray):
            return None
        if found.dtype != self.stored_dtype or not found.flags.carray or np.ma.isMaskedArray(found):
            return None
        return np.asarray(found).reshape(self.n, self.n_features)

    def _convert(self, rows, buffer):
        rows = np.asarray(rows)
        if rows.dtype == np.float16 and rows.dtype.isnative and self.dtype == np.float32:
            widen_halves(rows, buffer)
        else:
            np.copyto(buffer, rows, casting="unsafe")


def widen_halves(halves, out):
    """Write finite float16 `halves` into float32 `out`, exactly; infinity and NaN become >= 65,536.

    NumPy's own conversion takes 13 times as long. A float16 is sign, 5 bits of exponent, 10 of
    fraction: moved to where float32 has them, the number is right but for the exponents' different
    zero, which is a factor of 2^112. That holds for subnormal numbers too.
    """
    for row in range(0, len(halves), 8):  # a few rows at a time stay in the L2 cache
        part = out[row : row + 8]
        bits = part.view(np.int32)
        np.copyto(bits, halves[row : row + 8].view(np.int16))  # copies the sign into the top bits
        np.left_shift(bits, 13, out=bits)
        np.bitwise_and(bits, np.int32(-0x70000001), out=bits)  # all but bits 28 to 30
        np.multiply(part, np.float32(2.0**112), out=part)
