"""What may enter an operation: the arrays and sizes of each, and how one is checked and converted.

`boundary` does it with all arguments of a call.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from minisca import validation
from minisca.backends.pool_windows import ORIGINS
from minisca.validation import check_choice, check_flag, check_integer, check_number

_CONVOLVE = "x nchw, filters mckk, bias m"
#: Of every operation the arrays and sizes that it takes, with their sides; one letter is one
#: length. Letters as in `interface`; "b", "p", "s", "y" and "z" are any, 1 is 1 and 4 is 4. "<":
#: indices, whole numbers from 0 and below the product of those lengths. "*": any shape, the same of
#: all. "!": changed in place. "~": may be float16, "^": that or uint8, and is then taken as it is.
OPERANDS = {
    "conv2d": _CONVOLVE,
    "conv2d_backward": "x nchw, filters mckk, d_maps nmhw",
    "deconv2d": "maps nmhw, filters mckk, bias c",
    "deconv2d_backward": "maps nmhw, filters mckk, d_images nchw",
    "relu": "maps *",
    "relu_backward": "d_activations *, maps *",
    "winner_take_all": "maps nmhw",
    "winner_take_all_backward": "d_values nm, positions nm<hw, shape nmhw",
    "encode_winners": _CONVOLVE,
    "encode_top_n": _CONVOLVE,
    "encode_k_largest": _CONVOLVE,
    "lifetime_sparsity": "values ns",
    "decode_winners": "values ns, positions ns<hw, filters mckk, bias c, size hw, maps ns<m",
    "winners_backward": "x nchw, error nchw, values ns, positions ns<hw, encoder_filters mckk, "
    "decoder_filters mckk, maps ns<m",
    "max_pool": "maps nmhw",
    "max_pool_backward": "d_pooled nmyz, argmax nmyz<hw, shape nmhw",
    "encode_pooled": f"{_CONVOLVE}, factors nhw",
    "sgd_momentum_": "parameter! *, velocity! *, gradient *",
    "winners_update_": "x nchw, error nchw, values ns, positions ns<hw, "
    "encoder_filters! mckk, encoder_bias! m, decoder_filters! mckk, decoder_bias! c, "
    "encoder_filters_velocity! mckk, encoder_bias_velocity! m, "
    "decoder_filters_velocity! mckk, decoder_bias_velocity! c, learning_rates 4, maps ns<m",
    "linear": "features~ nf, weights lf, intercept l",
    "linear_backward": "features~ nf, d_scores nl",
    "squared_hinge": "scores nl, classes n<l",
    "cross_entropy": "scores nl, classes n<l",
    "row_squares": "features~ nf",
    "contrast_normalised": "features nf",
    "nearest": "points nf, centres lf",
    "copy_into_": "array!~ *, source~ *",
    "gather": "images^ nchw, rows b<n",
    "residual": "x_hat *, x *",
    "decoded_residual": "values ns, positions ns<hw, filters mckk, bias c, x nchw, maps ns<m",
    "add_up_": "total! 1, parts p",
    "scaled": "array *",
    "add_": "array! *, other *",
    "all_finite": "array *",
}

#: What the marks of `OPERANDS` mean.
NARROW = {
    "~": (np.dtype(np.float16),),
    "^": (np.dtype(np.float16), np.dtype(np.uint8)),
}

#: Indices and counts are below this: they have 32 bits on every backend.
END = 2**31
#: The smallest divisor in either dtype.
_SMALLEST = float(np.finfo(np.float32).tiny)


class Operand(NamedTuple):
    """An array or a size among the arguments of an operation."""

    index: int
    name: str
    axes: str
    below: str  # of indices: the lengths whose product they are below; else ""
    changed: bool
    optional: bool
    narrow: tuple  # dtypes besides the call's that it may have


def parse(text, parameters):
    """The `Operand` that an entry of `OPERANDS` describes, of a function with these parameters."""
    name, axes = text.split()
    axes, _, below = axes.partition("<")
    name, marks = name.rstrip("!~^"), name[len(name.rstrip("!~^")) :]
    changed, narrow = "!" in marks, NARROW.get(marks[-1:], ())
    names = list(parameters)
    optional = parameters[name].default is None
    return Operand(names.index(name), name, axes, below, changed, optional, narrow)


def narrow_dtype(operand, array):
    """The dtype of an array in native order, if it is one of the operand's narrow ones; or None."""
    dtype = getattr(array, "dtype", None)
    native = dtype.newbyteorder("=") if isinstance(dtype, np.dtype) else None
    return native if native in operand.narrow else None


def check_shape(operand, shape, lengths):
    """Raise ValueError unless the shape has the operand's axes; add them to `lengths`."""
    axes = operand.axes
    if axes == "*":
        must = lengths.setdefault("*", shape)
        if shape != must:
            raise ValueError(f"{operand.name} has shape {shape}; it must be {must}")
    else:
        known = {letter: lengths[letter] for letter in axes if letter in lengths}
        fits = len(shape) == len(axes) and all(
            known.get(letter, side) == side for letter, side in zip(axes, shape, strict=True)
        )
        if fits and axes == "mckk":
            fits = shape[2] == shape[3] and shape[2] % 2 == 1
        if not fits:
            must = f"({', '.join(axes)}{',' * (len(axes) == 1)})"
            must += " with odd k" * (axes == "mckk")
            named = [(letter, side) for letter, side in known.items() if letter.isalpha()]
            where = " and ".join(f"{letter} = {side}" for letter, side in named)
            raise ValueError(
                f"{operand.name} has shape {shape}; it must be {must}"
                + f", where {where}" * bool(named)
            )
        lengths.update(zip(axes, shape, strict=True))
    if 0 in shape:
        raise ValueError(f"{operand.name} has shape {shape}; no side may be 0")


def as_real_array(name, array):
    """`array` as a NumPy array of real numbers, or TypeError or ValueError."""
    if type(array) is np.ndarray and array.dtype.kind == "f":  # quick for what most arrays are
        return array
    _refuse_mask(name, array)
    found = validation.as_array(name, array, "of real numbers")
    if found.dtype.kind not in "biuf":
        must = "it must be an array of real numbers"
        raise TypeError(f"{name} has dtype {found.dtype}; {must}")
    return found


#: What `cast` takes, and what it makes of that.
TRAVELLING = tuple(map(np.dtype, ("uint8", "float16", "float32", "float64")))


def check_cast(array, dtype, centre, to_device):
    """The arguments of `cast`, checked: arrays where the backend computes, a dtype of NumPy."""
    _, dtype = check_new((), dtype)
    if dtype not in TRAVELLING[1:]:
        raise TypeError(f"dtype is {dtype}; it must be float16, float32 or float64")
    if 0 in getattr(array, "shape", ()):
        raise ValueError(f"array has shape {tuple(array.shape)}; no side may be 0")
    array = to_device(array)
    if array.dtype not in TRAVELLING or array.ndim == 0:
        must = "an array of rank 1 or more of uint8, float16, float32 or float64"
        raise TypeError(f"array is of {array.dtype} and rank {array.ndim}; it must be {must}")
    if centre is not None:
        number = np.float32 if dtype == np.float16 else dtype
        if not hasattr(centre, "dtype") or isinstance(centre, np.ndarray | np.generic):
            centre = np.asarray(as_real_array("centre", centre), number)
        centre = to_device(centre)
        if centre.dtype != number or tuple(centre.shape) != tuple(array.shape[1:2]):
            found = f"{centre.dtype} and shape {tuple(centre.shape)}"
            must = f"{np.dtype(number)} and (c,), where array is (n, c, ...)"
            raise ValueError(f"centre is of {found}; it must be of {must}")
    return array, dtype, centre


def check_new(shape, dtype):
    """Shape and dtype of a new array of real numbers: a tuple of integers, NumPy's dtype."""
    must = "it must be integers of at least 0"
    if isinstance(shape, int | np.integer):
        shape = (shape,)
    try:
        sides = tuple([_as_side(side) for side in shape])
    except TypeError as error:
        raise TypeError(f"shape is {shape!r}; {must}") from error
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype is {dtype!r}; it must be one of real numbers") from error
    if found.kind not in "biuf":
        raise TypeError(f"dtype is {dtype!r}; it must be one of real numbers")
    validation.check_room("shape", sides)
    return sides, found


def _as_side(side):
    return side if type(side) is int and side >= 0 else check_integer("shape", side, minimum=0)


def _refuse_mask(name, array):
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; it must be an array without a mask")


def converted(operand, array, wanted, on_device):
    """`array` as a C-contiguous, aligned, writeable one of dtype `wanted`; of a device, as it is.

    One that is to be changed, or is on a device, has to have the dtype.
    """
    name = operand.name
    if array is None and operand.optional:
        return None
    _refuse_mask(name, array)
    if on_device or operand.changed:
        if not hasattr(array, "dtype") or array.dtype != wanted:
            kind = getattr(array, "dtype", type(array).__name__)
            must = f"an array of {wanted}{' on the device' if on_device else ''}"
            raise TypeError(f"{name} is of {kind}; it must be {must}")
        if isinstance(array, np.ndarray) and not array.flags.carray:
            raise ValueError(
                f"{name} is changed in place; it must be C-contiguous, aligned and writeable"
            )
        return array
    found = as_real_array(name, array)
    if name == "x" and found.dtype.kind != "f":
        raise TypeError(
            f"x has dtype {found.dtype}; images must be floating-point numbers, of the range that "
            "the filters were learned on (0 to 1, say, not 0 to 255)"
        )
    if operand.below:
        if found.dtype.kind not in "iu":
            raise TypeError(f"{name} has dtype {found.dtype}; it must be of whole numbers")
        if found.dtype.itemsize >= wanted.itemsize and found.size:
            check_indices(name, found, END)
    with np.errstate(over="ignore", under="ignore"):
        return np.require(found, wanted, ["C", "A", "W"])


def check_indices(name, array, limit):
    """Raise ValueError unless all of the indices are from 0 and below `limit`."""
    unsigned = array.view(np.uint32) if array.dtype == np.int32 and array.flags.carray else array
    if unsigned.max() >= limit or (unsigned is array and array.min() < 0):
        bad = array[(array < 0) | (array >= limit)][0]
        raise ValueError(f"{name} has the index {bad}; it must be from 0 to {limit - 1}")


def check_sides(name, sides, axes):
    """`sides` as a tuple of integers of at least 1, as many as axes."""
    if type(sides) is tuple and all(type(side) is int and side > 0 for side in sides):
        return sides
    must = f"({', '.join(axes)}), integers of at least 1"
    try:
        found = tuple(sides)
    except TypeError as error:
        raise TypeError(f"{name} is {sides!r}; it must be {must}") from error
    return tuple(check_integer(name, side) for side in found)


def _check_count(name, count):
    if type(count) is int and 0 < count < END:
        return count
    count = check_integer(name, count)
    if count >= END:
        raise ValueError(f"{name} is {count}; it must be below 2^31")
    return count


def _check_factor(name, factor):
    """`factor` as a float: a finite number."""
    if type(factor) is float and math.isfinite(factor):
        return factor
    if type(factor) is int and abs(factor) < END:
        return float(factor)
    return check_number(name, factor, low=-math.inf)


def _check_divisor(name, divisor):
    divisor = _check_factor(name, divisor)
    if abs(divisor) < _SMALLEST:
        raise ValueError(f"{name} is {divisor}; it must not be 0")
    return divisor


def _check_positive(name, number):
    return check_number(name, number, low_open=True)


#: By its name, how an argument is checked that is neither an array nor a size.
SCALARS = {
    "n_active": _check_count,
    "n_survivors": _check_count,
    "pool_width": _check_count,
    "pool_stride": _check_count,
    "origin": partial(check_choice, choices=ORIGINS),
    "needs_x": check_flag,
    "factor": _check_factor,
    "divisor": _check_divisor,
    "learning_rate": _check_factor,
    "momentum": _check_factor,
    "epsilon": _check_positive,
}
