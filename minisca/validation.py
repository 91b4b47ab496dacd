"""Checks at the boundary: every message names the argument, what it was, and what it must be."""

import math
import numbers
import os
import sys
import warnings

import numpy as np

from minisca.chunks import chunks
from minisca.foreign import as_numpy, is_of_device


class NotFittedError(ValueError, AttributeError):
    """The estimator has learned nothing yet: call `fit` first."""


def check_fitted(estimator, attribute):
    """Raise NotFittedError unless `estimator` has the learned `attribute`."""
    if not hasattr(estimator, attribute):
        raise _not_fitted(
            f"this {type(estimator).__name__} is not fitted yet; call fit(X) before using it"
        )


def _not_fitted(message):
    """A NotFittedError; where scikit-learn is loaded, one of its own too, which its users catch."""
    theirs = _of_scikit_learn("NotFittedError")
    if theirs is None:
        return NotFittedError(message)
    made_again = {"__reduce__": lambda error: (_not_fitted, error.args)}
    return type("NotFittedError", (NotFittedError, theirs), made_again)(message)


def _of_scikit_learn(name, otherwise=None):
    """A class of its exceptions and warnings, if the program has loaded them."""
    return getattr(sys.modules.get("sklearn.exceptions"), name, otherwise)


def check_integer(name, value, minimum=1, odd=False):
    """Return `value` as an int of at least `minimum` (odd, if asked), or raise."""
    kind = f"an {'odd ' if odd else ''}integer of at least {minimum}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is {value!r}; it must be {kind}")
    if value < minimum or (odd and value % 2 == 0):
        raise ValueError(f"{name} is {value}; it must be {kind}")
    return int(value)


def check_seed(random_state):
    """Raise unless `random_state` is None or an integer of at least 0."""
    if random_state is not None:
        check_integer("random_state", random_state, minimum=0)


def make_generator(random_state):
    """NumPy's generator from a seed, None, or itself; raises for anything else."""
    if not isinstance(random_state, np.random.Generator):
        check_seed(random_state)
    return np.random.default_rng(random_state)


def check_number(name, value, low=0.0, high=np.inf, low_open=False, high_open=False):
    """Return `value` as a finite float within [low, high] (ends open if asked), or raise."""
    end = ")" if high_open or high == np.inf else "]"
    interval = f"{'(' if low_open else '['}{low:g}, {high:g}{end}"
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        raise TypeError(f"{name} is {value!r}; it must be a number in {interval}")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        number = np.inf
    inside = (low < number if low_open else low <= number) and (
        number < high if high_open else number <= high
    )
    if not (np.isfinite(number) and inside):
        raise ValueError(f"{name} is {value}; it must be a number in {interval}")
    return number


def check_room(what, shape):
    """Raise MemoryError for an array that no machine has room for, of which NumPy says too little.

    what: what the shape comes from.
    """
    if 8 * math.prod(shape) >= 2**63:
        raise MemoryError(f"{what} would take an array of shape {tuple(shape)}; make it smaller")


def check_flag(name, value):
    """Return `value` as a bool if it is one, or raise."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; it must be True or False")
    return bool(value)


def check_verbose(value):
    """Raise unless `verbose` is a bool or an integer, as other libraries have it."""
    if not isinstance(value, bool | np.bool_ | numbers.Integral):
        raise TypeError(f"verbose is {value!r}; it must be True or False")


def check_choice(name, value, choices):
    """Return `value` if it is one of `choices`, all text, or raise."""
    if not isinstance(value, str) or value not in choices:
        options = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} is {value!r}; it must be one of {options}")
    return value


def as_array(name, array, must, dtype=None):
    """`array` as a NumPy array, or an exception if it is none: nested lists of unequal lengths."""
    array = as_numpy(name, array)
    if is_of_device(array):
        raise TypeError(f"{name} is an array of a device; it must be an array {must} of the host")
    try:
        return np.asarray(array, dtype)
    except (TypeError, ValueError) as error:
        found = f"a {type(array).__name__} that is no array ({error})"
        raise type(error)(f"{name} is {found}; it must be an array {must}") from error


def check_unmasked(name, array):
    """Raise ValueError if numbers of the array are masked: they are not to be used."""
    if np.ma.is_masked(array):
        raise ValueError(f"{name} has masked values; it must have none (fill them, say)")


def check_resume(resume, checkpoint):
    """Raise TypeError for a checkpoint that is no path, ValueError where resuming has none."""
    if not isinstance(checkpoint, str | os.PathLike | None):
        raise TypeError(f"checkpoint is {checkpoint!r}; it must be a path, or None")
    if resume and checkpoint is None:
        raise ValueError("checkpoint is None; with resume it must be the path to resume from")


def check_learned(arrays, shapes):
    """Raise TypeError or ValueError, naming it, for a learned array that cannot be one.

    Arrays of a fitted estimator may be replaced. arrays, shapes: as of `misfits`.
    """
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or np.ma.isMaskedArray(array):
            raise TypeError(f"{name}_ is a {type(array).__name__}; it must be a NumPy array")
        if array.dtype.kind not in ("f" if name != "classes" else "biuU"):
            raise TypeError(f"{name}_ has dtype {array.dtype}; it must be of real numbers")
    for name, shape, must in misfits(arrays, shapes):
        raise ValueError(f"{name}_ has shape {shape}; it must be {must}, as the others ask")


def misfits(arrays, shapes):
    """Yield (name, shape, text of the shape that it must have) of arrays of another shape.

    arrays: {name: array}. shapes: {name: shape}, a shape being a tuple of integers, of names (the
    same name is the same size everywhere, from 1) and of None (any size): {"coef": ("classes",
    None), "bias": ("classes",)}.
    """
    sizes = {}
    for name, shape in shapes.items():
        found = arrays[name].shape
        # A name met for the first time takes the size found, unless that is 0, which no name's
        # may be, or the rank is wrong anyway.
        if len(found) == len(shape):
            for key, side in zip(shape, found, strict=True):
                if isinstance(key, str) and side > 0:
                    sizes.setdefault(key, side)
        wanted = tuple(sizes.get(key, key) if isinstance(key, str) else key for key in shape)
        if len(found) != len(shape) or any(
            side not in (None, actual) for side, actual in zip(wanted, found, strict=True)
        ):
            yield name, found, f"({', '.join('any' if s is None else str(s) for s in wanted)})"


def check_images(images, name="X", channels=None, size=None):
    """Check an image array (n, c, h, w) without reading it: rank, emptiness, dtype, sizes.

    `images` is any array that has a shape and a dtype and slices along its first axis, or what
    `as_numpy` takes. `channels` and `size` (h, w), where given, are what the estimator was fitted
    on. Returns `images`, as such an array.
    """
    must = "(n, channels, height, width)"
    images = as_numpy(name, images)
    has_dtype = isinstance(getattr(images, "dtype", None), np.dtype)
    if not (hasattr(images, "shape") and (has_dtype or not hasattr(images, "__array__"))):
        images = as_array(name, images, must)
    shape = tuple(images.shape)
    if len(shape) != 4:
        raise ValueError(f"{name} has shape {shape}; it must be {must}")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape}; no side may be 0")
    if getattr(images.dtype, "kind", None) not in ("f", "i", "u", "b"):
        raise TypeError(f"{name} has dtype {images.dtype}; it must be a real number type of NumPy")
    if channels is not None and shape[1] != channels:
        found = f"{shape[1]} channels (shape {shape})"
        raise ValueError(f"{name} has {found}; it must have {channels}, as in fit")
    if size is not None and shape[2:] != tuple(size):
        found, must = (f"{height}x{width}" for height, width in (shape[2:], size))
        raise ValueError(f"{name} has images of {found} pixels; they must be {must}, as in fit")
    return images


def read_batch(images, rows, dtype, name="X"):
    """Read images[rows] as a C-contiguous array of `dtype`, refusing what is not finite in it.

    `rows` is a slice or a rising index array, which memory-mapped arrays and HDF5 data sets take.
    Where the dtype is another, a part of the images is read at a time.
    """
    dtype = np.dtype(dtype)
    if images.dtype != dtype:
        indices = range(images.shape[0])[rows] if isinstance(rows, slice) else rows
        image_bytes = math.prod(images.shape[1:]) * max(images.dtype.itemsize, dtype.itemsize)
        parts = [indices[part] for part in chunks(len(indices), image_bytes)]
        if len(parts) > 1:
            batch, end = np.empty((len(indices), *images.shape[1:]), dtype), 0
            for part in parts:
                start, end = end, end + len(part)
                if isinstance(part, range):
                    part = slice(part.start, part.stop, part.step)
                batch[start:end] = _read_part(images, part, dtype, name)
            return batch
    return _read_part(images, rows, dtype, name)


def _read_part(images, rows, dtype, name):
    found = images[rows]
    if not isinstance(found, np.ndarray) and is_of_device(found):
        raise TypeError(f"{name} is an array of a device; here it must be one of the host")
    check_unmasked(name, found)
    # what is too large for `dtype` is refused below, what is too small is 0
    with np.errstate(over="ignore", under="ignore"):
        batch = np.ascontiguousarray(found, dtype=dtype)
    pixels = batch.reshape(-1)
    if not all(np.isfinite(pixels[part]).all() for part in chunks(len(pixels), 1)):
        bad = np.argwhere(~np.isfinite(batch))[0]
        first = rows.start or 0 if isinstance(rows, slice) else None
        image = bad[0] + first if first is not None else rows[bad[0]]
        raise ValueError(
            f"{name} has the value {np.asarray(found)[tuple(bad)]} in image {image}; "
            f"every pixel must be finite (no NaN, no infinity) in {dtype}"
        )
    return batch


def check_floats(name, array):
    """Return `array` if its numbers are float32 or float64, or raise."""
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} has dtype {array.dtype}; it must be float32 or float64")
    return array


def check_out(out, shape):
    """Return `out`, as NumPy sees it, if floats of this shape can be put into it, or raise."""
    out = as_numpy("out", out)
    if getattr(getattr(out, "dtype", None), "kind", None) != "f":
        found = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out is of {found}; it must be an array of floating-point numbers")
    if tuple(out.shape) != tuple(shape):
        raise ValueError(f"out has shape {tuple(out.shape)}; it must be {tuple(shape)}")
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ValueError("out is read-only; it must be writeable")
    return out


def check_labels(labels, n, name="y"):
    """Return labels (n,) as integers, booleans or text, or raise.

    Floats that are whole numbers of int64 become that; text of dtype object becomes a text array. A
    column (n, 1) becomes (n,), with a warning.
    """
    if labels is None:
        must = "it must be (n,), one label a row of X"
        raise ValueError(f"fit requires {name} to be passed, but the target {name} is None; {must}")
    check_unmasked(name, labels)
    labels = as_array(name, labels, "(n,)")
    if labels.ndim == 2 and labels.shape[1] == 1:
        what = f"A column-vector {name} was passed when a 1d array was expected"
        kind = _of_scikit_learn("DataConversionWarning", UserWarning)
        warnings.warn(f"{what}: its shape {labels.shape} must be (n,)", kind, stacklevel=4)
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{name} has shape {labels.shape}; it must be (n,), one label a row of X")
    if len(labels) != n:
        raise ValueError(f"{name} has {len(labels)} labels; it must have {n}, one a row of X")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind == "f":
        wrong = ~((np.abs(labels) < 2.0**63) & (labels == np.trunc(labels)))
        if wrong.any():
            raise ValueError(
                f"{name} has the label {labels[wrong][0]} in row {wrong.argmax()}; "
                "labels must be whole numbers (floats: below 2^63) or text, none continuous"
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuU":
        found = f"Unknown label type: {name} has dtype {labels.dtype}"
        raise TypeError(f"{found}; labels must be whole numbers or text")
    return labels
