"""Shared memory is declared in words that a host compiler does not know: put into ones it does.

Works on preprocessed text: no comments, no macros, every `#include` already in place.
"""

import re

from .errors import CompileError

_DECLARATION = re.compile(
    r"(?P<before>(?:\b(?:extern|static|volatile)\s+)*)\b__shared__\b(?P<rest>[^;]*);"
)
_BRACE = re.compile(r'(?P<scope>\bextern\s*"C"\s*\{|\bnamespace\b[^;{}]*\{)|\{|\}')
_ALIGNMENT = re.compile(r"(__align__|alignas|__attribute__\s*\()\s*\((?:[^()]|\([^()]*\))*\)\s*\)?")
_DECLARED = re.compile(
    r"\s*(?P<type>[\w:<>\s*]*?[\w>*])(?:\s+|(?<=\*))(?P<arrays>\w+\s*(?:[\[,].*)?)", re.S
)
_ARRAY = re.compile(r"\s*(?P<name>\w+)\s*(?P<lengths>(?:\[[^\]]*\]\s*)*)")


def rewrite_shared(text):
    """The text with every `__shared__` declaration replaced by a call of the runtime.

    `__shared__ float tile[8][9];` becomes a reference to 8 × 9 floats that all threads of the
    block share; `extern __shared__ float buffer[];` a pointer to the dynamic shared memory. The
    number of lines stays, so that faults name the right one.
    """
    numbers = iter(range(len(text)))
    return _DECLARATION.sub(lambda match: _rewrite(match, numbers), text)


def _rewrite(match, numbers):
    volatile = "volatile " if "volatile" in match["before"] else ""
    kind = volatile + _ALIGNMENT.sub("", match["rest"]).lstrip()
    declared = _DECLARED.fullmatch(kind)
    if not _is_in_function(match.string[: match.start()]):
        raise CompileError(f"the emulator wants {match[0]!r} inside of a function")
    if declared is None:
        raise CompileError(f"the emulator does not understand the declaration {match[0]!r}")
    make = _dynamic if "extern" in match["before"] else _static
    arrays = declared["arrays"].split(",")
    statements = [make(declared["type"], array, next(numbers)) for array in arrays]
    return "".join(statements) + "\n" * match[0].count("\n")


def _is_in_function(text):
    """Whether a brace is open at the end, other than those of `extern "C"` and of namespaces."""
    opened = []
    for brace in _BRACE.finditer(text):
        if brace[0] == "}":
            opened = opened[:-1]
        else:
            opened.append(brace["scope"] is None)
    return any(opened)


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
