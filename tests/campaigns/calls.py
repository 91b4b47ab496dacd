"""Random calls, most of them nearly right: hypothesis draws descriptions, see `things`.

A call is {"call": name, "args": {name of an argument: description}, "right": whether nothing is
wrong with it, so that it has to work, "mutated": the arguments that are not as they should be}.
"""

import inspect

import hypothesis
from hypothesis import strategies as st

from minisca.backends.interface import OPERATIONS, SUPPORT, Backend, Support
from minisca.backends.operands import OPERANDS, parse
from minisca.backends.pool_windows import ORIGINS
from tests.campaigns.subjects import SUBJECTS
from tests.campaigns.things import DTYPES, LAYOUTS, OTHERS, WRAPS

#: What is in `Support` and no operation's boundary knows.
UNCHECKED = dict.fromkeys(("to_device", "to_host", "copy", "holds"), "array *")
UNCHECKED |= {"empty": "", "make_steps": ""}
#: What gives functions, or takes arrays of one kind and makes them of another.
LEFT_OUT = {"cast", "pinned", "send", "fetch"}
NAMES = (*OPERATIONS, *(name for name in SUPPORT if name not in LEFT_OUT), *SUBJECTS)

#: Maps and filter widths: a backend may compile anew for every pair.
MAPS = [(1, 1), (2, 3), (5, 3), (16, 5)]
SHAPES = [(), (1,), (7,), (2, 3), (3, 2, 1), (2, 3, 4, 5), (1, 1, 1, 1), (70_000,)]
FLOATS = ("float32", "float64", "float16", "longdouble", ">f4", ">f8")
INTEGERS = ("int16", "int32", "uint32", "int64", "uint64", ">i4")
HARMLESS_WRAPS = ("list", "tuple", "subclass", "memmap", "array method")
CODES = ("values", "d_values", "d_pooled")

SCALARS = {
    **dict.fromkeys(("n_active", "pool_width", "pool_stride"), st.integers(1, 5)),
    **{"n_survivors": st.just(1), "needs_x": st.booleans()},
    **{"factor": st.sampled_from([0.5, -2, 3.0]), "divisor": st.sampled_from([1, 0.5, -4.0])},
    **{"learning_rate": st.just(0.25), "momentum": st.sampled_from([0, 0.5, 0.9])},
    "dtype": st.sampled_from(["float32", "float64", "int32"]),
    "origin": st.sampled_from(ORIGINS),
    "epsilon": st.sampled_from([0.5, 1e-3, 2]),
}
_WHOLE = [
    -1,
    0,
    1,
    2,
    7,
    100,
    2**31 - 1,
    2**31,
    2**32 + 1,
    2**63 - 1,
    2**63,
    2**64,
    10**30,
    -(2**63),
]
_OTHER = [0.5, 1.0, 2.5, -0.25, 1e300, float("nan"), float("inf"), True, False, None, "2", "", [1]]
_NUMPY = [("int8", 2), ("uint64", 3), ("int32", -1), ("float16", 0.5), ("float64", 2), ("bool", 1)]
_NUMPY += [("complex64", 1), ("longdouble", 0.25), ("str", "2")]
scalars = st.one_of(
    st.sampled_from(_WHOLE).map(lambda value: {"value": value}),
    st.sampled_from(_OTHER).map(lambda value: {"value": value}),
    st.sampled_from(_NUMPY).map(lambda pair: {"numpy": pair[1], "dtype": pair[0]}),
    st.sampled_from(sorted(OTHERS)).map(lambda name: {"other": name}),
)


def array(shape, dtype="float32", fill="quarters", seed=0):
    content = {"shape": list(shape), "dtype": dtype, "fill": fill, "seed": seed}
    return {"array": content | {"layout": "C"}}


def parameters_of(name):
    """The parameters of an operation, as `inspect` has them."""
    owner = Backend if name in OPERATIONS else Support
    return inspect.signature(getattr(owner, name)).parameters


def operands_of(name):
    """{name: `minisca.backends.operands.Operand`} of an operation."""
    text = UNCHECKED[name] if name in UNCHECKED else OPERANDS.get(name, "")
    found = [parse(each, parameters_of(name)) for each in text.split(", ") if each]
    return {operand.name: operand for operand in found}


@st.composite
def calls(draw, name):
    """A call of that name."""
    if name in SUBJECTS:
        call, operands = draw(subject_calls(name)), {}
    else:
        call, operands = draw(operation_calls(name)), operands_of(name)
    wrong = draw(st.sampled_from([0, 0, 0, 1, 1, 1, 1, 2]))
    harmless, mutated = "layers" not in call["args"], []
    for _ in range(wrong if call["args"] else 0):
        argument = draw(st.sampled_from(sorted(call["args"])))
        if argument in mutated:
            continue
        mutated.append(argument)
        description, kept = draw(mutations(call["args"][argument], argument, operands))
        call["args"][argument] = description
        harmless = harmless and kept
    return {"call": name, **call, "right": harmless, "mutated": mutated}


@st.composite
def operation_calls(draw, name):
    """A valid call of an operation."""
    operands, args = operands_of(name), {}
    m, k = draw(st.sampled_from(MAPS))
    sides = dict(
        zip("nchw", draw(st.tuples(*map(st.integers, [1] * 4, [3, 3, 7, 7]))), strict=True)
    )
    if draw(st.integers(0, 30)) == 30:
        m, k, sides = 16, 5, {"n": 2, "c": 4, "h": 12, "w": 12}
    general = any(operand.optional for operand in operands.values()) and draw(st.booleans())
    sides |= {"m": m, "k": k, "b": 4, "y": 3, "z": 2, "p": 5, "1": 1, "4": 4}
    sides |= {"f": 6, "l": 3}
    sides["s"] = draw(st.integers(1, 4)) if general or name == "lifetime_sparsity" else m
    dtype = draw(st.sampled_from(["float32", "float64"]))
    any_shape = draw(st.sampled_from(SHAPES))
    for parameter, given in parameters_of(name).items():
        operand = operands.get(parameter)
        if operand is None:
            if name == "empty" and parameter == "shape":
                args[parameter] = {"value": draw(st.sampled_from([[3], [2, 3], []])), "tuple": True}
            elif given.default is inspect.Parameter.empty or draw(st.booleans()):
                args[parameter] = {"value": draw(SCALARS[parameter])}
        elif operand.name in ("size", "shape"):
            args[parameter] = {"value": [sides[axis] for axis in operand.axes], "tuple": True}
        elif not operand.optional or general:
            shape = any_shape if operand.axes == "*" else [sides[axis] for axis in operand.axes]
            fill = draw(st.sampled_from(["normal", "quarters", "quarters", "zeros"]))
            if operand.below:
                limit = 1
                for axis in operand.below:
                    limit *= sides[axis]
                args[parameter] = array(shape, "int32", f"below {limit}", draw(seeds))
            else:
                fill = "code" if parameter in CODES else fill
                args[parameter] = array(shape, dtype, fill, draw(seeds))
    on_device = draw(st.booleans())
    return {"args": args, "on_device": on_device}


seeds = st.integers(0, 999)


@st.composite
def subject_calls(draw, name):
    """A valid call of what is no operation, settings and fitted arrays among its arguments."""
    subject = SUBJECTS[name]
    n = draw(st.integers(2, 9))
    args = {}
    for argument, axes in subject.arrays.items():
        shape = [subject.sides.get(axis, n) for axis in axes]
        fill = subject.fills.get(argument, "quarters")
        dtype = "int64" if fill == "labels" else "float32"
        args[argument] = array(shape, dtype, fill, draw(seeds))
    for argument, value in subject.scalars.items():
        args[argument] = {"value": value}
    if draw(st.booleans()):
        extra = draw(st.sampled_from(sorted(subject.settings) + sorted(subject.fitted) + [""]))
        if extra in subject.fitted:
            shape = [subject.sides[axis] for axis in subject.fitted[extra]]
            args[extra] = array(shape, subject.dtypes.get(extra, "float32"), seed=draw(seeds))
        elif extra:
            args[extra] = {"value": subject.settings[extra]}
    return {"args": args, "on_device": False}


@st.composite
def mutations(draw, description, argument, operands):
    """(the description of something else, whether the call is still right)."""
    if "array" not in description:
        if description.get("tuple"):
            size = description["value"]
            return draw(st.one_of(other_sizes(size), odd_sizes(size))), False
        found = draw(scalars)
        if argument == "n_epochs":  # many of them take as long as they take
            hypothesis.assume(not isinstance(found.get("value"), int) or found["value"] < 100)
        return found, False
    content = dict(description["array"])
    operand = operands.get(argument)
    changed = operand is not None and operand.changed
    in_place = any(each.changed for each in operands.values())
    indices = content["fill"].startswith("below")
    kind = draw(
        st.sampled_from(["layout"] * 3 + ["wrap", "dtype", "dtype", "shape", "fill", "other"])
    )
    right = False
    if kind == "layout":
        content["layout"] = draw(st.sampled_from(LAYOUTS[1:]))
        right = not changed and argument != "out" and content["fill"] != "labels"
    elif kind == "wrap":
        content["wrap"] = draw(st.sampled_from(WRAPS))
        right = operand is not None and not in_place and content["wrap"] in HARMLESS_WRAPS
    elif kind == "dtype":
        content["dtype"] = draw(st.sampled_from(DTYPES))
        usable = INTEGERS if indices else FLOATS[:2] + FLOATS[4:] if not in_place else ()
        right = operand is not None and content["dtype"] in usable
    elif kind == "shape":
        content["shape"] = draw(other_sizes(content["shape"]))["value"]
    elif kind == "fill":
        special = (
            ["large indices", "negative indices"] if indices else ["huge", "nan", "inf", "tiny"]
        )
        content["fill"] = draw(st.sampled_from(special))
        content["dtype"] = "int64" if indices else content["dtype"]
    else:
        return draw(scalars), False
    return {"array": content}, right


@st.composite
def other_sizes(draw, sides):
    """Sides that are not those."""
    sides = list(sides)
    kind = draw(st.sampled_from(["longer", "shorter", "none", "less", "more", "swapped", "even"]))
    if not sides or kind == "more":
        sides.insert(0, draw(st.sampled_from([1, 2])))
    elif kind == "less":
        sides.pop(draw(st.integers(0, len(sides) - 1)))
    elif kind == "swapped":
        sides.reverse()
    elif kind == "even":  # filters
        sides[-2:] = [side + 1 for side in sides[-2:]]
    else:
        at = draw(st.integers(0, len(sides) - 1))
        sides[at] += {"longer": 1, "shorter": -1, "none": -sides[at]}[kind]
    return {"value": sides, "tuple": True}


@st.composite
def odd_sizes(draw, sides):
    """What is no sides, or sides one of which is no length."""
    at = draw(st.integers(0, len(sides)))
    if at == len(sides):
        return draw(scalars)
    odd = draw(st.sampled_from([*_WHOLE, *_OTHER, 2**15, 2**16]))
    return {"value": [*sides[:at], odd, *sides[at + 1 :]], "tuple": True}
