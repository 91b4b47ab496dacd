"""What a host compiler does not know put into words that it does: `__shared__`, and kernels' heads.

Works on preprocessed text: no comments, no macros, every `#include` already in place.
"""

import re


class CompileError(Exception):
    """The kernel's text is not CUDA C++ as the emulator knows it; the message is the compiler's."""


_DECLARATION = re.compile(r"(?P<extern>\bextern\s+)?\b__shared__\b(?P<rest>[^;]*);")
_ALIGNMENT = re.compile(r"__align__\s*\([^()]*\)")
_DECLARED = re.compile(
    r"\s*(?P<type>[\w:<>\s*]*?[\w>*])(?:\s+|(?<=\*))(?P<arrays>\w+\s*(?:[\[,].*)?)", re.S
)
_ARRAY = re.compile(r"\s*(?P<name>\w+)\s*(?P<lengths>(?:\[[^\]]*\]\s*)*)")
_BOUNDS = re.compile(r"__launch_bounds__\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)")
_MAX_THREADS = "1024"


def entries(text):
    """For each kernel of the text, the line that defines its entry (shim/parameters.h)."""
    found = {}
    for start in re.finditer(r"\b__global__\b", text):
        last_statement = max(text.rfind(end, 0, start.start()) for end in ";{}")
        head = re.compile(r"[^;{]*").match(text, last_statement + 1)[0]
        bounds = _BOUNDS.search(head)
        name = re.search(r"\bvoid\s+(\w+)\s*\(", _BOUNDS.sub("", head))
        if name is not None:
            found[name[1]] = bounds[1] if bounds else _MAX_THREADS
    return [f"EMULATOR_ENTRY({name}, {bounds})" for name, bounds in found.items()]


def rewrite_shared(text):
    """The text with every `__shared__` declaration replaced by a call of the runtime.

    `__shared__ float tile[8][9];` becomes a reference to 8 × 9 floats that all threads of the
    block share; `extern __shared__ float buffer[];` a pointer to the dynamic shared memory. The
    number of lines stays, so that faults name the right one.
    """
    numbers = iter(range(len(text)))
    return _DECLARATION.sub(lambda match: _rewrite(match, numbers), text)


def _rewrite(match, numbers):
    before = match.string[: match.start()]
    if before.count("{") == before.count("}"):
        raise CompileError(f"the emulator wants {match[0]!r} inside of a function")
    declared = _DECLARED.fullmatch(_ALIGNMENT.sub("", match["rest"]).lstrip())
    if declared is None:
        raise CompileError(f"the emulator does not understand the declaration {match[0]!r}")
    make = _dynamic if match["extern"] else _static
    arrays = declared["arrays"].split(",")
    statements = [make(declared["type"], array, next(numbers)) for array in arrays]
    return "".join(statements) + "\n" * match[0].count("\n")


def _static(kind, array, number):
    name, lengths = _name_and_lengths(array)
    whole, tag = f"emulator_array_{number}", f"emulator_tag_{number}"
    return (
        f"static const char {tag} = 0; using {whole} = {kind} {lengths}; "
        f"{whole} &{name} = *static_cast<{whole} *>(emulator_shared("
        f'&{tag}, "{name}", sizeof({whole}), sizeof({kind}), EMULATOR_PLACE));'
    )


def _dynamic(kind, array, _):
    name, lengths = _name_and_lengths(array)
    if lengths.replace(" ", "") != "[]":
        raise CompileError(f"dynamic shared memory must be declared as `{name}[]`, not {array!r}")
    return (
        f"{kind} *const {name} = "
        f"static_cast<{kind} *>(emulator_dynamic_shared(sizeof({kind}), EMULATOR_PLACE));"
    )


def _name_and_lengths(array):
    parts = _ARRAY.fullmatch(array)
    if parts is None:
        raise CompileError(f"the emulator does not understand the shared array {array!r}")
    return parts["name"], parts["lengths"].strip()
