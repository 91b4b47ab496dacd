"""Features that are larger than memory: each layer's in a file of a folder, which is mapped.

A file that is not to be kept loses its name as soon as it is mapped: its room is free again when
nobody reads it any more, whatever ends the process. One that is kept has its name once it is whole.
So processes that share a folder do not write into each other's files.
"""

import contextlib
import json
import math
import os
import tempfile
from pathlib import Path

import numpy as np

from minisca.communicators import Solo, on_images
from minisca.files.atomic import atomic_write
from minisca.files.room import take_room
from minisca.training.images import fingerprint
from minisca.validation import check_flag


class Scratch:
    """The folder. With `keep`, files stay, and are read again where they are of the same layer."""

    def __init__(self, folder, keep=False):
        self._folder, self._keep = Path(folder), keep

    @classmethod
    def checked(cls, folder, keep):
        """The Scratch of `fit`'s arguments; None without a folder. Raises for what is none."""
        keep = check_flag("keep_scratch", keep)
        if folder is None:
            if keep:
                raise ValueError("scratch is None; with keep_scratch it must be a folder's path")
            return None
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"scratch is {folder!r}; it must be the path of a folder, or None")
        return cls(folder, keep)

    def make(self):
        """Make the folder, before anything is computed; OSError where that cannot be."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def filled(self, name, layer, X, ranks=None, dtype=None):
        """A layer's features of images X, as a memory map. ranks: fill it together, or None.

        dtype: None for the layer's own.
        """
        ranks, dtype = ranks or Solo(), dtype or layer.dtype
        shape = X.shape[0], *layer._features_shape()
        known = {"images": fingerprint(X), "filters": fingerprint(layer.encoder_filters_, math.inf)}
        known |= {"biases": fingerprint(layer.encoder_bias_, math.inf)}
        settings = {k: getattr(layer, k) for k in _SHAPING} | {"dtype": dtype}
        known |= {"settings": settings, "centre": _listed(layer)}
        path = self._folder / f"{name}.npy"
        if self._keep and ranks.from_first(_is_made, path, known):
            return np.load(path, mmap_mode="r")
        with contextlib.ExitStack() as stack:
            new = self._new_file(path, shape, np.dtype(dtype))
            file = np.load(ranks.from_first(stack.enter_context, new), mmap_mode="r+")
            ranks.tell(None)  # all ranks have it
            if not self._keep:
                stack.close()
            on_images.transform(ranks, layer, [layer], X, out=file)
        if self._keep:
            ranks.from_first(_mark, path, known)
        return file

    @contextlib.contextmanager
    def _new_file(self, path, shape, dtype):
        """Yield where a file for an array is, all of its room taken; in the end it is at `path`.

        Or nowhere, if it is not to be kept.
        """
        if self._keep:
            with atomic_write(path) as file:
                _lay_out(file, shape, dtype, path)
                yield file.raw.temporary
            return
        descriptor, where = tempfile.mkstemp(".npy", f"{path.stem}-", path.parent)
        try:
            with open(descriptor, "wb") as file:
                _lay_out(file, shape, dtype, path)
            yield where
        finally:
            os.unlink(where)


#: What of a layer's settings shapes its features.
_SHAPING = (
    *("filter_width", "pool_width", "pool_stride", "pool_origin", "encoding_bias"),
    "encoding_contrast",
)


def _listed(layer):
    return None if layer.centre_ is None else layer.centre_.tolist()


def _lay_out(file, shape, dtype, path):
    """Make an open file an array of zeros in NumPy's format."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": tuple(map(int, shape))}
    np.lib.format.write_array_header_1_0(file, header)
    file.flush()
    take_room(file, file.tell() + math.prod(shape) * dtype.itemsize, "features", path)


def _mark(path, known):
    """Write down what a file that was kept is of."""
    with atomic_write(path.with_suffix(".json")) as file:
        file.write(json.dumps(known | {"file": _identity(path)}).encode())


def _is_made(path, known):
    """Whether a file that was kept is of the same layer and images."""
    try:
        told = json.loads(path.with_suffix(".json").read_text())
        return told == json.loads(json.dumps(known | {"file": _identity(path)}))
    except (OSError, ValueError):
        return False


def _identity(path):
    """What tells a file from another that came to its place, or from what is left of it."""
    found = path.stat()
    return {"bytes": found.st_size, "written": found.st_mtime_ns}
