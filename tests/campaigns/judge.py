"""Whether what a call returned is right: by the plain reference, by NumPy, or by itself.

An operation is compared with `reference/`, given its arguments as float64 after their conversion to
the dtype of the call. What is no operation is compared with itself, given plain arrays of the same
numbers.
"""

import numpy as np

import reference
from minisca.backends.interface import OPERATIONS
from tests.campaigns.calls import operands_of, parameters_of
from tests.campaigns.subjects import SUBJECTS
from tests.support.helpers import as_tuple, assert_within, check_selection, rounding_bound

#: Beyond this, sums overflow: nothing is promised of them.
LARGEST = {"float32": 1e15, "float64": 1e100}


#: What gives its first result in float64, whatever the dtype of the call.
IN_FLOAT64 = ("squared_hinge", "cross_entropy", "row_squares")


def _residual(x_hat, x, divisor=1):
    return np.sum((x_hat - x) ** 2), (x_hat - x) / divisor


def _decoded_residual(values, positions, filters, bias, x, divisor=1, maps=None):
    code = values, positions, filters, bias, x.shape[2:]
    return _residual(reference.decode_winners(*code, maps), x, divisor)


#: Names in `reference/` of what is not called so there.
NUMPY = {
    "to_device": lambda array: array,
    "to_host": lambda array: array,
    "copy": lambda array: array,
    "copy_into_": lambda array, source: source,
    "gather": lambda images, rows: images[rows],
    "scaled": lambda array, factor: array * factor,
    "add_": lambda array, other: array + other,
    "all_finite": lambda array: np.isfinite(array).all(),
    "add_up_": lambda total, parts, divisor=1: np.array([np.sum(parts) / divisor]),
    "residual": _residual,
    "decoded_residual": _decoded_residual,
}


def judge_operation(name, things, results):
    """What is wrong with the results of an operation, or None.

    things: {argument: Thing}. results: a tuple of what it returned or changed.
    """
    if name in ("empty", "free_bytes", "make_steps", "holds"):
        return None
    operands = operands_of(name)
    arrays = {key: np.asarray(things[key].plain) for key in operands if key in things}
    rule = next((key for key in arrays if operands[key].axes == "mckk"), next(iter(arrays)))
    dtype = np.asarray(things[rule].value).dtype.newbyteorder("=")
    if dtype in operands[rule].narrow:
        if name in ("gather", "copy_into_"):  # they take and give them as they are
            right = arrays["source" if name == "copy_into_" else "images"]
            right = right[arrays["rows"].astype(np.int64)] if name == "gather" else right
            same = np.array_equal(results[0], right.astype(dtype), equal_nan=dtype.kind == "f")
            return None if same else "other numbers"
        dtype = np.dtype(np.float32)
    if name in ("to_device", "to_host", "copy"):
        found = np.asarray(results[0])
        same = found.shape == arrays["array"].shape and np.array_equal(
            found, arrays["array"], equal_nan=found.dtype.kind == "f"
        )
        return None if same else f"other numbers, of shape {found.shape}"
    if dtype not in (np.float32, np.float64):
        return f"{rule} of {dtype} was accepted"
    args, usable = {}, True
    for key, thing in things.items():
        value = thing.plain
        if key in arrays and value is not None and operands[key].name not in ("size", "shape"):
            if operands[key].below:
                value = arrays[key].astype(np.int64)
            else:
                with np.errstate(over="ignore"):
                    value = arrays[key].astype(dtype).astype(np.float64)
                usable &= bool(np.all(np.abs(value) < LARGEST[dtype.name]))
        value = value.item() if isinstance(value, np.generic) else value
        usable &= not isinstance(value, float) or abs(value) < LARGEST[dtype.name]
        args[key] = value
    with np.errstate(all="ignore"):
        try:
            return _compare(name, args, dtype, results, usable)
        except AssertionError as error:
            return f"wrong: {' '.join(str(error).split())[:300]}"
        except Exception as error:
            return f"accepted what the reference refuses: {type(error).__name__}: {error}"


def _compare(name, args, dtype, results, usable):
    for result in results:
        kind = getattr(getattr(result, "dtype", None), "kind", "")
        if kind in "fi" and kind and isinstance(result, np.ndarray):
            wide = name in IN_FLOAT64 and result is results[0]
            wanted = np.float64 if wide else dtype if kind == "f" else np.int32
            assert result.dtype == wanted, result.dtype
    expected = _right(name, args)
    assert [np.shape(each) for each in results if each is not None] == [
        np.shape(each) for each in expected if each is not None
    ], "other shapes"
    if not usable:
        return None
    steps = 10 + sum(np.size(value) for value in args.values() if isinstance(value, np.ndarray))
    sizes = {
        key: np.asarray(np.abs(value))
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
        else value
        for key, value in args.items()
    }
    if name in ("encode_winners", "encode_top_n", "encode_k_largest"):
        _check_code(name, args, sizes, dtype, results, steps)
        return None
    if name in ("squared_hinge", "cross_entropy"):
        scale = (sizes["scores"].shape[1] + sizes["scores"].max()) ** 2
        for result, right, kind in zip(results, expected, ("float64", dtype), strict=True):
            assert_within(result.astype(np.float64), right, rounding_bound(steps, scale, kind))
        return None
    if name in ("contrast_normalised", "nearest"):
        if name == "nearest":  # of centres that are as near, any
            scale = (sizes["points"].max() + sizes["centres"].max()) ** 2 * steps
        else:
            scale = 1 + sizes["features"].max() / sizes["epsilon"]
        assert_within(
            results[-1].astype(np.float64), expected[-1], rounding_bound(steps, scale, dtype)
        )
        return None
    bounds = _right(name, _summed(name, sizes))
    for result, right, bound in zip(results, expected, bounds, strict=True):
        if right is None:
            assert result is None
        else:
            bound = np.abs(np.asarray(bound, np.float64))
            tolerance = rounding_bound(steps, bound, dtype) + np.finfo(dtype).tiny * steps
            assert_within(np.asarray(result, np.float64), np.asarray(right, np.float64), tolerance)
    return None


def _right(name, args):
    """What the operation returns or changes, as a tuple."""
    args = {key: np.copy(v) if isinstance(v, np.ndarray) else v for key, v in args.items()}
    if name not in OPERATIONS:
        return as_tuple(NUMPY[name](**args))
    result = getattr(reference, name)(**args)
    if name.endswith("_"):
        return tuple(args[key] for key, each in operands_of(name).items() if each.changed)
    return as_tuple(result)


def _summed(name, sizes):
    """Arguments with which the operation adds up what it otherwise takes from each other."""
    if name == "sgd_momentum_":
        return sizes | {"learning_rate": -abs(sizes["learning_rate"])}
    if name == "winners_update_":
        return sizes | {"learning_rates": -sizes["learning_rates"]}
    if name in ("residual", "decoded_residual"):
        return sizes | {"x": -sizes["x"]}
    return sizes


def _check_code(name, args, sizes, dtype, results, steps):
    values, positions, *maps = (np.asarray(result) for result in results)
    units = reference.conv2d(args["x"], args["filters"], args["bias"])
    bound = reference.conv2d(sizes["x"], sizes["filters"], sizes["bias"])
    bound = rounding_bound(steps, bound, dtype) + np.finfo(dtype).tiny * steps
    n_slots = {"encode_winners": 1, "encode_top_n": args.get("n_active")}.get(name)
    if n_slots is None:
        places = maps[0].astype(np.int64) * (units.shape[2] * units.shape[3]) + positions
        check_selection(units, bound, values, places)
        return
    if maps:
        by_map = np.repeat(np.arange(units.shape[1]), n_slots)
        assert np.array_equal(maps[0], np.broadcast_to(by_map, maps[0].shape)), "maps"
    check_selection(units, bound, values.reshape(-1, n_slots), positions.reshape(-1, n_slots))


def same(found, expected):
    """What differs between two flat lists of results, or None."""
    if len(found) != len(expected):
        return f"{len(found)} results in place of {len(expected)}"
    for one, other in zip(found, expected, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape:
            return f"shape {one.shape} in place of {other.shape}"
        if one.dtype.kind not in "fc" or other.dtype.kind not in "fc":
            if not np.array_equal(one, other):
                return "other numbers"
            continue
        one, other = one.astype(np.float64), other.astype(np.float64)
        scale = max(1e-30, np.abs(other[np.isfinite(other)]).max(initial=0))
        if not np.allclose(one, other, rtol=1e-3, atol=1e-3 * scale, equal_nan=True):
            worst = np.nanmax(np.abs(one - other))
            return f"numbers that differ by {worst:.3g} of up to {scale:.3g}"
    return None


def named_in(name, message, args):
    """Whether a message names one of the arguments (or parameters) of the call."""
    known = {*args, "images", "layers", "parameters"}
    if name in SUBJECTS:
        known |= {*SUBJECTS[name].settings, *SUBJECTS[name].fitted}
    else:
        known |= set(parameters_of(name))
    return any(key in message for key in known) or "argument" in message
