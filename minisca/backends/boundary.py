"""The boundary of every operation, on every backend: its arguments are checked and converted.

Kernels are called with bare pointers: an array of another dtype, order or shape would be read, or
written, beyond its end. So `operation` wraps every cell of the table; what may enter is said in
`operands`.
"""

import functools
import inspect
import math

import numpy as np

from minisca.backends.operands import (
    END,
    OPERANDS,
    SCALARS,
    as_real_array,
    check_indices,
    check_shape,
    check_sides,
    converted,
    narrow_dtype,
    parse,
)

_FLOAT32, _FLOAT64 = map(np.dtype, ("float32", "float64"))


def operation(place=None):
    """A decorator for a cell's function: its arguments checked, and its arrays of one kind.

    place(array) brings an array to where the backend computes; None on the CPU. The function gets
    C-contiguous, aligned, writeable arrays, all of the filters' dtype (without filters, of the
    first one's), and indices as int32 (rows as int64). Other arrays of the host are copied to
    that; one that is changed in place has to be right as it is.

    Raises
    ------
    TypeError or ValueError
        Naming the argument, what it was and what it must be: an array of anything but real
        numbers, a shape that does not fit, a side of 0, an even filter width, an index or a count
        out of range, an array of the device of another dtype.
    """
    return functools.partial(_wrapped, place)


def _wrapped(place, function):
    name, signature = function.__name__, inspect.signature(function)
    n_parameters = len(signature.parameters)
    defaults = tuple(
        each.default for each in signature.parameters.values() if each.default is not each.empty
    )  # of the last parameters
    check = _Check(name, signature.parameters, place)
    if name == "sgd_momentum_":
        check = functools.partial(_check_each, check)

    @functools.wraps(function)
    def checked(*args, **named):
        n_missing = n_parameters - len(args)
        if not named and 0 < n_missing <= len(defaults):  # `bind` takes as long as a launch
            args += defaults[-n_missing:]
        elif named or n_missing:
            bound = signature.bind(*args, **named)
            bound.apply_defaults()
            args = bound.args
        return function(*check(args))

    return checked


def _check_each(check, args):
    """The arguments of `sgd_momentum_`, of which all but the momentum may be lists."""
    *lists, momentum = args
    if not isinstance(lists[0], list):
        return check(args)
    n = len(lists[0])
    if n == 0:
        raise ValueError("parameter is an empty list; it must hold at least one array")
    if hasattr(rates := lists[3], "dtype"):
        if rates.shape != (n,):
            raise ValueError(f"learning_rate has shape {rates.shape}; it must be ({n},)")
        *lists, momentum = _check_each(check, (*lists[:3], [0.0] * n, momentum))
        if rates.dtype != lists[0][0].dtype:
            must = f"{lists[0][0].dtype}, as the parameters are"
            raise TypeError(f"learning_rate is of {rates.dtype}; it must be of {must}")
        return *lists[:3], rates, momentum
    for name, each in zip(("gradient", "velocity", "learning_rate"), lists[1:], strict=True):
        if not isinstance(each, list) or len(each) != n:
            found = f"{len(each)} items" if isinstance(each, list) else f"a {type(each).__name__}"
            raise ValueError(f"{name} is {found}; it must be a list of {n}, one a parameter")
    if all(map(_is_plain_update, *lists)):
        return *lists, SCALARS["momentum"]("momentum", momentum)
    checked = [check((*each, momentum)) for each in zip(*lists, strict=True)]
    *lists, momenta = map(list, zip(*checked, strict=True))
    return *lists, momenta[0]


def _is_plain_update(parameter, gradient, velocity, rate):
    """Whether an update's arguments are as `_Check` would leave them, but quicker."""
    return (
        type(parameter) is type(gradient) is type(velocity) is np.ndarray
        and (parameter.dtype is _FLOAT32 or parameter.dtype is _FLOAT64)
        and parameter.dtype is gradient.dtype is velocity.dtype
        and parameter.shape == gradient.shape == velocity.shape
        and parameter.flags.carray
        and gradient.flags.carray
        and velocity.flags.carray
        and parameter.size > 0
        and type(rate) is float
        and math.isfinite(rate)
    )


class _Check:
    """What is done with the arguments of one operation. Where all are right it is quick."""

    def __init__(self, operation, parameters, place):
        operands = [parse(text, parameters) for text in OPERANDS[operation].split(", ")]
        sizes = [each for each in operands if each.name in ("size", "shape")]
        arrays = [each for each in operands if each not in sizes]
        self.rule = next((each for each in arrays if each.axes == "mckk"), arrays[0])
        self.operands = arrays + sizes
        self.arrays = [(each, each.index, _dtype_of_indices(each)) for each in arrays]
        self.sizes = [(each.index, each.name, each.axes) for each in sizes]
        self.place = place
        self.kinds_of_device = set()  # types of arrays that were met
        self.placed = [each.index for each in arrays if not each.changed] if place else []
        others = set(parameters) - {each.name for each in operands}
        self.scalars = [
            (index, name, SCALARS[name]) for index, name in enumerate(parameters) if name in others
        ]
        self.limits = functools.lru_cache(1024)(self._limits)  # an error is not kept

    def __call__(self, args):
        """The arguments, converted, as a list."""
        args = list(args)
        dtype = self._dtype(args[self.rule.index])
        narrow = self.rule.narrow and narrow_dtype(self.rule, args[self.rule.index])
        shapes = []
        for operand, index, wanted in self.arrays:
            array, wanted = args[index], wanted or dtype
            if narrow and operand.narrow:
                wanted = narrow
            kind = type(array)
            if kind is not np.ndarray and kind in self.kinds_of_device and array.dtype == wanted:
                pass  # as it is
            elif kind is not np.ndarray or array.dtype is not wanted or not array.flags.carray:
                array = args[index] = converted(operand, array, wanted, self._is_on_device(array))
            shapes.append(None if array is None else array.shape)
        for index, name, axes in self.sizes:
            args[index] = check_sides(name, args[index], axes)
            shapes.append(args[index])
        for index, name, limit in self.limits(*shapes):
            if type(args[index]) is np.ndarray:  # what is on a device is an operation's result
                check_indices(name, args[index], limit)
        for index, name, check in self.scalars:
            args[index] = check(name, args[index])
        for index in self.placed:
            if args[index] is not None:
                args[index] = self.place(args[index])
        return args

    def _dtype(self, array):
        """The dtype of the call: that of the filters or, without any, of the first array."""
        if type(array) is np.ndarray and (array.dtype is _FLOAT32 or array.dtype is _FLOAT64):
            return array.dtype
        if not isinstance(array, np.ndarray) and not self._is_on_device(array):
            array = as_real_array(self.rule.name, array)
        if self.rule.narrow and narrow_dtype(self.rule, array):
            return _FLOAT32
        for dtype in (_FLOAT32, _FLOAT64):
            if array.dtype.newbyteorder("=") == dtype:
                return dtype
        raise TypeError(f"{self.rule.name} has dtype {array.dtype}; it must be float32 or float64")

    def _is_on_device(self, array):
        if self.place is None or not hasattr(array, "dtype"):
            return False
        if isinstance(array, np.ndarray | np.generic):
            return False
        self.kinds_of_device.add(type(array))
        return True

    def _limits(self, *shapes):
        """Of the indices among the arguments (which argument, its name, what they are below).

        shapes: of `operands`. Raises ValueError where they do not fit together.
        """
        lengths = {"1": 1, "4": 4}
        given = [pair for pair in zip(self.operands, shapes, strict=True) if pair[1] is not None]
        # the filters first: the others must fit them
        for operand, shape in sorted(given, key=lambda pair: pair[0] is not self.rule):
            check_shape(operand, tuple(shape), lengths)
        height, width = lengths.get("h", 1), lengths.get("w", 1)
        if height * width >= END:
            found = next(operand.name for operand, _ in given if "h" in operand.axes)
            must = "they must have fewer than 2^31 units"
            raise ValueError(f"{found} gives maps of {height} x {width}; {must}")
        if len(given) < len(shapes) and lengths.get("s", lengths["m"]) != lengths["m"]:
            raise ValueError(
                f"values has {lengths['s']} slots an image; without maps it must have "
                f"{lengths['m']}, one a map"
            )
        return [
            (each.index, each.name, math.prod(lengths[letter] for letter in each.below))
            for each, _ in given
            if each.below
        ]


def _dtype_of_indices(operand):
    """None for an operand that holds no indices."""
    return np.dtype(np.int64 if operand.name == "rows" else np.int32) if operand.below else None
