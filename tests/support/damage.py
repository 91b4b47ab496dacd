"""Damages of files: of any bytes, of .npz archives as they are built, of what JSON says.

Each takes what is whole and a `random.Random`; the same seed gives the same damage.
"""

import copy
import io
import json
import struct
import zipfile

import numpy as np

ODD_VALUES = (None, True, 3, 0, -1.5, 2**70, 1e308, float("nan"), float("inf"), "text", "", "4")
ODD_VALUES += ([], [1, "a"], [[]], {}, {"total": "x"}, "\ud800", "a" * 2000, 10**400)

#: Texts that a .npy header may have and none has: Python's parser breaks on some of them.
ODD_HEADERS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4, }",
    "{'descr': '(,', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': ('<f4',), 'fortran_order': False, 'shape': (4,), }",
    "{b'descr': '<f4', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (True,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9999999999999999999, 9), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 100 + "), }",
    "{'descr': '<f4', 'fortran_order': 0, 'shape': (4,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'more': 1, }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<U999999999', 'fortran_order': False, 'shape': (), }",
    "{'descr': '<U0', 'fortran_order': False, 'shape': (99999999,), }",
    "{'descr': '<f3', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (4,), }",
    "(" * 3000 + ")" * 3000,
    "[" * 900,
    "-" * 2000 + "1",
    "9" * 3000,
    "__import__('os').getcwd()",
    "'''",
    "\\",
    "{'descr'",
    "",
)


def any_bytes(whole, random):
    """Bits flipped, or a part cut off, removed, repeated, overwritten or put in."""
    made, n = bytearray(whole), len(whole)
    first = random.randrange(n)
    last = min(n, first + random.choice((1, 2, 8, 100, n)))
    what = random.randrange(6)
    if what == 0:
        for _ in range(random.choice((1, 1, 1, 2, 8))):
            made[random.randrange(n)] ^= 1 << random.randrange(8)
    elif what == 1:
        del made[first:]
    elif what == 2:
        del made[first:last]
    elif what == 3:
        made[first:first] = made[first:last]
    elif what == 4:
        made[first:last] = random.randbytes(last - first)
    else:
        made[first:first] = random.choice((random.randbytes(20), bytes(20), b"PK\5\6" + bytes(18)))
    return bytes(made)


def odd(document, random):
    """A JSON document with one value somewhere in it replaced, removed or put twice."""
    place = made = copy.deepcopy(document)
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        if not keys:
            return made
        key = random.choice(keys)
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner) or random.random() < 0.2:
            break
        place = inner
    what = random.randrange(4)
    if what == 0:
        del place[key]
    elif what == 1 and isinstance(place, list):
        place.append(inner)
    elif what == 2 and isinstance(place, dict):
        place[f"{key}s"] = place.pop(key)
    else:
        place[key] = random.choice(ODD_VALUES)
    return made


# Archives ---------------------------------------------------------------------------------------


def entries(whole):
    """[(name, bytes)] of an archive."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def archive(found, method=zipfile.ZIP_STORED):
    """The archive of these entries, names twice where they are given twice, checksums right."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, data in found:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            # `writestr` would warn of names that are there already
            made.NameToInfo.pop(name, None)
            made.writestr(info, data)
    return file.getvalue()


def npy(array):
    """The bytes of an array's entry, objects and all."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def with_header(data, text, version=1):
    """An array's entry with another header."""
    (length,) = struct.unpack("<H", data[8:10])
    text = text.encode("latin-1") + b"\n"
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H", len(text))
        + text
        + data[10 + length :]
    )


def zip_fields(whole, random):
    """A number of the archive's own records changed, or entries listed again and again."""
    what = random.randrange(5)
    found = entries(whole)
    if what == 0:
        return archive(found, zipfile.ZIP_DEFLATED)
    if what == 1:
        return archive(found + random.choices(found, k=random.choice((1, 5, 2000))))
    if what == 2:
        return archive([*found, ("a" * random.choice((1, 300, 60_000)) + ".npy", npy(np.ones(2)))])
    made = bytearray(whole)
    places = [n for n in range(len(made)) if made.startswith((b"PK\1\2", b"PK\3\4", b"PK\5\6"), n)]
    place = random.choice(places) + random.randrange(4, 46)
    size = random.choice((1, 2, 4))
    made[place : place + size] = random.choice(
        (bytes(size), b"\xff" * size, random.randbytes(size))
    )
    return bytes(made)


def npy_header(whole, random):
    """One array's header replaced, or changed in a few characters; the checksum is right."""
    found = entries(whole)
    place = random.randrange(len(found))
    name, data = found[place]
    text = random.choice(ODD_HEADERS)
    if random.random() < 0.5:
        (length,) = struct.unpack("<H", data[8:10])
        letters = list(data[10 : 10 + length].decode("latin-1"))
        for _ in range(random.choice((1, 1, 2, 5))):
            letters[random.randrange(len(letters))] = random.choice(
                "0123456789'(){}[],:<>|fUOTFL \0"
            )
        text = "".join(letters)
    found[place] = name, with_header(data, text, random.choice((1, 1, 1, 2, 3, 9)))
    return archive(found)


def settings(whole, random):
    """The JSON entry with something odd in it."""
    found = dict(entries(whole))
    text = bytes(np.load(io.BytesIO(found["minisca.npy"])))
    if random.random() < 0.15:
        text = random.choice((b"", b"[" * 10**5, b"{}", b"3", b"\xff", any_bytes(text, random)))
    else:
        text = json.dumps(odd(json.loads(text), random)).encode()
    found["minisca.npy"] = npy(np.frombuffer(text, np.uint8))
    return archive(found.items())


def arrays(whole, random):
    """One array of another dtype, shape, order or name, with other values, gone, or one more."""
    found = dict(entries(whole))
    name = random.choice(list(found))
    array = np.load(io.BytesIO(found[name]), allow_pickle=False)
    if array.dtype.kind == "U":
        others = ("U", "S9", object)
    else:
        others = ("<f2", "<f4", "<f8", ">f4", ">f8", "<c8", "<U9", "|S9", bool, "i1", "u8", object)
    changes = [
        lambda: array.astype(random.choice(others)),
        lambda: array[:-1] if array.ndim else array[None],
        lambda: array.T,
        lambda: np.asfortranarray(array),
        lambda: array[None],
        lambda: array.ravel(),
        lambda: np.zeros_like(array),
        lambda: np.repeat(array, 2, axis=0) if array.ndim else array,
        lambda: array[::-1] if array.ndim else array,
        lambda: array[:0] if array.ndim else array,
    ]
    if array.dtype.kind == "f" and array.size:
        bad = random.choice((np.nan, np.inf, -1.0, 3e38))
        changes += 3 * [
            lambda: np.where(np.arange(array.size).reshape(array.shape) == 0, bad, array)
        ]
    what = random.random()
    if what < 0.1:
        del found[name]
    elif what < 0.2:
        found[random.choice(("more.npy", "layer9/more.npy", f"{name[:-4]}s.npy"))] = found.pop(name)
    else:
        found[name] = npy(random.choice(changes)())
    return archive(found.items())


#: Damages that a checksum or a size must show: what loads after them is what was saved.
BLIND = {"bytes": any_bytes, "zip": zip_fields}
#: Those with right checksums: what loads after them need only be an estimator.
SEEING = {"npy header": npy_header, "settings": settings, "arrays": arrays}
