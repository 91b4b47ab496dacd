"""An operation reached directly is a boundary: its arguments are converted, or refused by name."""

import inspect

import numpy as np
import pytest

from minisca.backends.boundary import operation
from minisca.backends.interface import OPERATIONS, Backend
from minisca.backends.operands import OPERANDS, parse
from tests.support.cases import CALLS, CHANGED, Case, arguments, as_dtype, call, results_of
from tests.support.helpers import as_tuple

CASE = Case(3, 2, 8, 7, 5, 3)
over_calls = pytest.mark.parametrize("name", CALLS)


def operands(name):
    """The arrays and sizes that the call of that name is given."""
    operation = name.split(",")[0]
    parameters = inspect.signature(getattr(Backend, operation)).parameters
    found = [parse(text, parameters) for text in OPERANDS[operation].split(", ")]
    given = len(arguments(name, CASE))
    return [operand for operand in found if operand.index < given]


def is_array(operand):
    return operand.name not in ("size", "shape")


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    memory[...] = array
    return memory


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


#: Other ways to hold the same numbers.
FORMS = {
    "Fortran": np.asfortranarray,
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "unaligned": unaligned,
    "read-only": frozen,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "list": np.ndarray.tolist,
    "subclass": lambda a: a.view(type("Subclass", (np.ndarray,), {})),
    "wider": lambda a: a.astype(np.longdouble if a.dtype.kind == "f" else np.uint64),
    "narrower": lambda a: a.astype(np.float16 if a.dtype.kind == "f" else np.int16),
}


def rounded_to_halves(args):
    """The arrays among `args` with numbers that every form can hold."""
    halves = [
        a.astype(np.float16).astype(np.float32)
        if isinstance(a, np.ndarray) and a.dtype.kind == "f"
        else a
        for a in as_dtype(args, "float32")
    ]
    return halves


def rules(operand, name):
    """Whether the operand's dtype is the call's."""
    every = operands(name)
    return operand == next((each for each in every if each.axes == "mckk"), every[0])


@over_calls
@pytest.mark.parametrize("form", FORMS)
def test_the_same_numbers_in_another_form_give_the_same_results(backend, name, form):
    wanted = results_of(backend, name, rounded_to_halves(arguments(name, CASE)))
    for operand in filter(is_array, operands(name)):
        widened = form in ("list", "wider", "narrower")
        if operand.changed or (widened and rules(operand, name)):
            continue
        args = rounded_to_halves(arguments(name, CASE))
        args[operand.index] = FORMS[form](args[operand.index])
        found = results_of(backend, name, args)
        for result, right in zip(found, wanted, strict=True):
            assert result.dtype == right.dtype
            np.testing.assert_array_equal(result, right)


REFUSED = {
    "complex": lambda a: a.astype(complex),
    "object": lambda a: a.astype(object),
    "text": lambda a: a.astype(str),
    "nothing": lambda a: [None],
    "masked": np.ma.masked_array,
    "ragged": lambda a: [[1.0], [1.0, 2.0]],
}


@over_calls
@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_array_of_real_numbers_is_refused_by_name(backend, name, form):
    for operand in filter(is_array, operands(name)):
        args = list(as_dtype(arguments(name, CASE), "float32"))
        args[operand.index] = REFUSED[form](args[operand.index])
        with pytest.raises((TypeError, ValueError), match=rf"\b{operand.name}\b"):
            call(backend, name, args)


def free(operand, shape, right, every):
    """Whether no other operand has the side by which the shape is wrong."""
    if operand.axes == "*":
        return 0 not in shape and len(every) == 1
    if len(shape) != len(right) or 0 in shape:
        return False
    others = "4k" + "".join(each.axes for each in every if each != operand)
    if "ns" in [each.axes for each in every] and "maps" not in [each.name for each in every]:
        others += "m"  # one slot a map
    wrong = [letter for letter, a, b in zip(operand.axes, shape, right, strict=True) if a != b]
    return not set(wrong) & set(others)


@over_calls
def test_shapes_that_do_not_fit_are_refused_by_the_name_of_one_of_them(backend, name):
    every = operands(name)
    for operand in filter(is_array, every):
        array = as_dtype(arguments(name, CASE), "float32")[operand.index]
        shapes = [array.shape[1:], (1, *array.shape)]  # a side less, a side more
        for axis in range(array.ndim):
            shapes.append((*array.shape[:axis], 0, *array.shape[axis + 1 :]))
            shapes.append((*array.shape[:axis], array.shape[axis] + 1, *array.shape[axis + 1 :]))
        for shape in shapes:
            args = list(as_dtype(arguments(name, CASE), "float32"))
            args[operand.index] = np.zeros(shape, array.dtype)
            if free(operand, shape, array.shape, every):
                call(backend, name, args)
            else:
                with pytest.raises(ValueError, match="|".join(each.name for each in every)):
                    call(backend, name, args)


@over_calls
def test_indices_out_of_range_are_refused(backend, name):
    for operand in operands(name):
        for bad in (-1, CASE.h * CASE.w, 2**31 - 1, 2**40, -(2**40)) if operand.below else ():
            args = list(as_dtype(arguments(name, CASE), "float32"))
            args[operand.index] = args[operand.index].astype(np.int64)
            args[operand.index].flat[-1] = bad
            with pytest.raises(ValueError, match=f"{operand.name} has the index {bad}"):
                call(backend, name, args)
        if operand.below:
            args[operand.index] = args[operand.index] * 1.0
            with pytest.raises(TypeError, match=f"{operand.name} has dtype float64"):
                call(backend, name, args)


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("form", ["Fortran", "strided", "read-only", "unaligned", "list", "wider"])
def test_what_cannot_be_changed_in_place_is_refused(backend, name, form):
    for index in CHANGED[name]:
        args = list(as_dtype(arguments(name, CASE), "float32"))
        if form == "Fortran" and args[index].ndim == 1:
            continue  # it is C too
        args[index] = FORMS[form](args[index])
        with pytest.raises((TypeError, ValueError), match=r"parameter|velocity|filters|bias"):
            call(backend, name, args)


@pytest.mark.parametrize("bad", [0, -1, 2**31, 2**70, 1.0, True, None, "2", np.float32(2)])
def test_counts_are_integers_of_at_least_1(backend, bad):
    for name in CALLS:
        names = list(inspect.signature(getattr(Backend, name.split(",")[0])).parameters)
        for index, parameter in enumerate(names):
            if parameter in ("n_active", "n_survivors", "pool_width", "pool_stride"):
                args = list(arguments(name, CASE))
                args[index] = bad
                with pytest.raises((TypeError, ValueError), match=parameter):
                    call(backend, name, args)


@pytest.mark.parametrize("bad", ["center", "", 0, None, ["corner"], np.array(["corner"] * 2)])
def test_an_origin_is_one_of_two_words(backend, bad):
    for name in ("max_pool", "encode_pooled"):
        *args, _ = arguments(name, CASE)
        with pytest.raises(ValueError, match=r"origin is .* one of 'centred', 'corner'"):
            call(backend, name, [*args, bad])


@pytest.mark.parametrize("bad", [(8,), (8, 0), (8.0, 7), (8, -7), 8, None, "87", (2**16, 2**16)])
def test_sizes_are_integers_of_at_least_1(backend, bad):
    args = list(arguments("decode_winners", CASE))
    args[4] = bad
    with pytest.raises((TypeError, ValueError), match=r"size|maps"):
        call(backend, "decode_winners", args)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_images_of_whole_numbers_are_refused_for_their_range_is_not_known(backend, dtype):
    x, *parameters = arguments("encode_winners", CASE)
    with pytest.raises(TypeError, match="x has dtype"):
        backend.encode_winners(x.astype(dtype), *parameters)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "0.1", None, 1j])
def test_rates_are_finite_numbers(backend, bad):
    *args, rate, momentum = arguments("sgd_momentum_", CASE)
    for numbers, name in (((bad, momentum), "learning_rate"), ((rate, bad), "momentum")):
        with pytest.raises((TypeError, ValueError), match=name):
            backend.sgd_momentum_(*as_dtype(args, "float64"), *numbers)


def test_lists_of_parameters_are_of_one_length(backend):
    arrays = [np.ones(3) for _ in range(2)]
    for name, at in (("gradient", 1), ("velocity", 2), ("learning_rate", 3)):
        lists = [arrays, arrays, arrays, [0.1, 0.1]]
        for bad in (lists[at][:1], lists[at][0]):
            lists[at] = bad
            with pytest.raises(ValueError, match=name):
                backend.sgd_momentum_(*lists, 0.9)
    with pytest.raises(ValueError, match="parameter is an empty list"):
        backend.sgd_momentum_([], [], [], [], 0.9)


def test_every_operation_says_what_may_enter():
    assert set(OPERATIONS) <= set(OPERANDS)
    for name in OPERATIONS:
        parameters = inspect.signature(getattr(Backend, name)).parameters
        for text in OPERANDS[name].split(", "):
            assert parse(text, parameters).name in parameters


def test_an_operation_may_be_called_by_name_or_position():
    @operation()
    def encode_pooled(x, filters, bias, pool_width, pool_stride=2, factors=None):
        return x.dtype, filters.dtype, pool_width, pool_stride

    x, filters, bias, *_ = arguments("encode_pooled", CASE)
    found = encode_pooled(bias=bias, filters=filters.astype("float32"), x=x, pool_width=3)
    assert as_tuple(found) == (np.float32, np.float32, 3, 2)
    with pytest.raises(TypeError, match="missing a required argument"):
        encode_pooled(x, filters)
