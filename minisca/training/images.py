"""What training asks of its images before it begins: how large they are, and which they are."""

import hashlib
import math

import numpy as np

from minisca.backends import name_of
from minisca.chunks import chunks, slices, spread
from minisca.training.arrivals import arriving
from minisca.validation import check_integer, read_batch

#: Images that are measured, spread over all; and that a fingerprint is of.
MEASURED, FINGERPRINTED = 1000, 256
#: Images that are read at a time take no more.
READ_BYTES = 64 << 20
#: Numbers whose squares are held at a time.
SQUARES = 1 << 20
#: A pixel's root mean square beyond which the images are trained on in another unit.
SMALLEST, LARGEST = 1e-12, 1e12


def channel_means(X, dtype, backend):
    """Mean of each channel of images X (n, c, h, w): an array (c,) of `dtype`.

    Summed in float64; on a device the images of a chunk in `dtype`, before that. Raises ValueError
    for pixels that are not finite.
    """
    n, channels, *size = X.shape
    total = np.zeros(channels)
    parts = chunks(n, math.prod(X.shape[1:]) * np.dtype(dtype).itemsize)
    if name_of(backend) == "cpu":
        for rows in parts:
            total += read_batch(X, rows, dtype).sum(axis=(0, 2, 3), dtype=np.float64)
    else:
        for x in arriving(backend, X, parts, dtype):
            x = x.reshape((x.shape[0], x.size // x.shape[0]))
            sums, _ = backend.linear_backward(x, np.ones((x.shape[0], 1), dtype))
            total += backend.to_host(sums).reshape(channels, -1).sum(axis=1, dtype=np.float64)
    return (total / (n * math.prod(size))).astype(dtype)


def measure_patch_energy(settings, X):
    """Mean squared norm of a c x k x k patch, over up to 1,000 images spread over X; 0 of zeros.

    Raises ValueError where the squares are beyond float64, or pixels are not finite.
    """
    n, channels, height, width = X.shape
    rows = spread(n, MEASURED)
    image_bytes = channels * height * width * np.dtype(settings.dtype).itemsize
    total, black = 0.0, True
    for part in slices(len(rows), max(1, min(settings.batch_size, READ_BYTES // image_bytes))):
        images = read_batch(X, part if len(rows) == n else rows[part], settings.dtype)
        with np.errstate(over="ignore", under="ignore"):
            total += squared_norm(images)
        black = black and not images.any()
    energy = total / (len(rows) * height * width) * settings.filter_width**2
    if not np.isfinite(energy):
        raise ValueError("X has values whose squares are too large for float64; scale it down")
    if energy < np.finfo(np.float64).tiny and not black:
        raise ValueError("X has values whose squares are too small for float64; scale it up")
    return energy


def choose_unit(energy, settings, n_channels):
    """The power of two that images of this patch energy are multiplied by while they train.

    1 for all but tiny or huge images, whose squares float32 does not hold. Nothing is rounded by a
    power of two: in any unit the same is learned.
    """
    size = math.sqrt(energy / (n_channels * settings.filter_width**2))
    return 1.0 if SMALLEST < size < LARGEST or size == 0 else 2.0 ** -round(math.log2(size))


def fingerprint(X, limit=FINGERPRINTED, read=None):
    """What tells images X (n, c, h, w), or another array of rank 1 or more, from others.

    Its shape, its dtype, and the SHA-256 of up to `limit` of its images, spread over X, as they
    are; a dict for JSON. read: the function that takes rising indices and returns the images
    there; by default X[indices].
    """
    dtype, read = np.dtype(X.dtype), read or X.__getitem__
    image_bytes = math.prod(X.shape[1:]) * dtype.itemsize
    rows, digest = spread(X.shape[0], limit), hashlib.sha256()
    for part in chunks(len(rows), image_bytes, READ_BYTES):
        images = np.asarray(read(rows[part]), dtype.newbyteorder("<"))
        digest.update(images.tobytes())
    shape = [int(side) for side in X.shape]
    return {"shape": shape, "dtype": dtype.name, "sha256": digest.hexdigest()}


def check_fingerprint(found, what="images"):
    """Return what a file holds as a fingerprint, or None, or raise ValueError or TypeError."""
    if found is None:
        return None
    if not (
        isinstance(found, dict)
        and set(found) == {"shape", "dtype", "sha256"}
        and isinstance(found["shape"], list)
        and all(isinstance(found[name], str) for name in ("dtype", "sha256"))
    ):
        raise ValueError(f"{what} is {found!r}; it must be None, or have shape, dtype and sha256")
    for side in found["shape"]:
        check_integer(f"a side of {what}", side)
    return found


def squared_norm(array):
    """Sum of squares of a NumPy array, taken in float64; the same on any number of threads."""
    numbers = array.reshape(-1)
    if len(numbers) <= SQUARES:
        return float(np.square(numbers, dtype=np.float64).sum())
    half = len(numbers) // 2 // 8 * 8  # where NumPy's own sum, of pairs, cuts it: the same bits
    return squared_norm(numbers[:half]) + squared_norm(numbers[half:])


def difference(known, found, what="images", limit=FINGERPRINTED):
    """In words, how images with the fingerprint `found` differ from those of `known`; "" if not."""
    for name in ("shape", "dtype"):
        if known[name] != found[name]:
            theirs, ours = (
                tuple(each[name]) if name == "shape" else each[name] for each in (known, found)
            )
            return f"their {name} was {theirs}, not {ours}"
    if known["sha256"] != found["sha256"]:
        return f"some of {min(limit, known['shape'][0])} {what} that were compared differ"
    return ""
