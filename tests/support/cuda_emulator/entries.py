"""The kernels of a text: where the launcher comes in.

Works on preprocessed text, as rewrite.py does.
"""

import re

_HEAD = re.compile(r"[^;{]*")
_NAME = re.compile(r"\bvoid\s+(\w+)\s*\(")
_BOUNDS = re.compile(r"__launch_bounds__\s*\(")
_MAX_THREADS = "1024"


def entries(text):
    """For each kernel that is no template, the line that defines its entry (shim/parameters.h)."""
    found = {}
    for start in re.finditer(r"\b__global__\b", text):
        last_statement = max(text.rfind(end, 0, start.start()) for end in ";{}")
        head = _HEAD.match(text, last_statement + 1)[0]
        threads, head = _without_bounds(head)
        name = _NAME.search(head)
        if name is not None and not re.search(r"\btemplate\s*<", head):
            found[name[1]] = threads
    return [f"EMULATOR_ENTRY({name}, ({threads}))" for name, threads in found.items()]


def _without_bounds(head):
    """The first argument of __launch_bounds__, and the head without it."""
    bounds = _BOUNDS.search(head)
    if bounds is None:
        return _MAX_THREADS, head
    depth, ends = 1, []
    for place in range(bounds.end(), len(head)):
        depth += {"(": 1, ")": -1}.get(head[place], 0)
        if depth == 0 or (depth == 1 and head[place] == ","):
            ends.append(place)
        if depth == 0:
            break
    return head[bounds.end() : ends[0]], head[: bounds.start()] + head[ends[-1] + 1 :]
