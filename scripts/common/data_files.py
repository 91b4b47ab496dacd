"""JSON and TOML files that commands read: what is wrong with one names it, and where in it.

A form says what a value must be: a type, or a tuple of them; [form], a list of such; {name: form},
an object in which what stands under a name has that form. A name that is not there is missed by who
asks for it: the objects are `Named`.
"""

import json
import sys
import tomllib
from pathlib import Path

from common.ranks import quiet_others

from minisca import CheckpointError

NUMBER = (int, float)
NUMBER_OR_NONE = (int, float, type(None))

#: What the types are called in JSON.
WORDS = {
    **{dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number"},
    **{bool: "true or false", type(None): "null"},
}


class FileError(ValueError):
    """A file that is not as its reader needs it; the message names it, and what is wrong."""


class Named(dict):
    """An object of a file: asked for what it lacks, it says which file and where in it.

    where: the file's path, and what of it this is.
    """

    def __init__(self, found, where):
        super().__init__(found)
        self.where = where

    def __missing__(self, name):
        raise FileError(f"{self.where} lacks {name!r}")


def run_command(main):
    """End the process with what `main()` returns; a file's fault is one line, not a traceback."""
    quiet_others()
    try:
        sys.exit(main())
    except (FileError, CheckpointError) as error:
        sys.exit(f"error: {error}")


def read_json(path, form=object):
    """What a file of JSON holds, its objects `Named`; FileError if it is not of that form."""
    return checked(parse_json(Path(path).read_bytes(), path), form, str(path))


def parse_json(text, where):
    """What JSON text (bytes) says; FileError if it is none, or cannot be used."""
    try:
        found = json.loads(text.decode(), parse_int=_whole_number)
        json.dumps(found, ensure_ascii=False).encode()  # half of a pair of surrogates fails
        return found
    except (ValueError, RecursionError) as error:
        raise FileError(f"{where} is no JSON: {error}") from error


def _whole_number(digits):
    if len(digits) > 300:  # of which no float could be made
        raise ValueError(f"the number {digits[:20]}... is too large")
    return int(digits)


def read_toml(path):
    """The dict that a file of TOML holds; FileError if it is none."""
    try:
        return tomllib.loads(Path(path).read_bytes().decode())
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is no TOML: {error}") from error


def checked(found, form, where):
    """`found` with all its objects `Named`; FileError, saying where, if it is not of the form."""
    try:
        return _checked(found, form, where)
    except RecursionError as error:
        raise FileError(f"{where} has objects in objects in objects, too many") from error


def _checked(found, form, where):
    types = form if isinstance(form, tuple) else (form if isinstance(form, type) else type(form),)
    if object not in types and type(found) not in types:  # a boolean is no number
        words = [WORDS[wanted] for wanted in types if wanted is not int or float not in types]
        must = " or ".join(words)
        raise FileError(f"{where} is {_short(found)}; it must be {must}")
    if isinstance(found, list):
        each = form[0] if isinstance(form, list) else object
        return [_checked(item, each, f"{where}: item {n}") for n, item in enumerate(found, 1)]
    if isinstance(found, dict):
        forms = form if isinstance(form, dict) else {}
        inner = (
            (name, _checked(value, forms.get(name, object), f"{where}: {name}"))
            for name, value in found.items()
        )
        return Named(inner, where)
    return found


def _short(value):
    text = json.dumps(value)
    return text if len(text) < 80 else f"{text[:80]} ..."
