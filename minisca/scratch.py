"""Features that are larger than memory: each layer's in a file of a folder, which is mapped.

A file that is not to be kept loses its name as soon as it is mapped: its room is free again when
nobody reads it any more, whatever ends the process.
"""

import json
import math
import os
from functools import partial
from pathlib import Path

import numpy as np

from minisca import shared
from minisca.communicators import Solo
from minisca.files.atomic import atomic_write
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

    def filled(self, name, layer, X, ranks=None):
        """A layer's features of images X, as a memory map. ranks: fill it together, or None."""
        ranks = ranks or Solo()
        path = self._folder / f"{name}.npy"
        shape = X.shape[0], *layer._features_shape()
        known = {"images": fingerprint(X), "filters": fingerprint(layer.encoder_filters_, math.inf)}
        known |= {"biases": fingerprint(layer.encoder_bias_, math.inf)}
        known |= {"settings": {k: getattr(layer, k) for k in _SHAPING}, "centre": _listed(layer)}
        made = partial(self._is_made, path, known)
        if not (self._keep and ranks.from_first(made)):
            ranks.from_first(_create, path, shape, np.dtype(layer.dtype))
            try:
                file = np.load(path, mmap_mode="r+")
                ranks.tell(None)  # all ranks have it
            finally:
                if not self._keep and ranks.is_first:
                    path.unlink()
            shared.transform(ranks, layer, [layer], X, out=file)
            if self._keep:
                ranks.from_first(_write_known, path, known)
            return file
        return np.load(path, mmap_mode="r")

    @staticmethod
    def _is_made(path, known):
        """Whether a file that was kept is of the same layer and images."""
        try:
            told = json.loads(path.with_suffix(".json").read_text())
            return told == json.loads(json.dumps(known)) and path.exists()
        except (OSError, ValueError):
            return False


#: What of a layer's settings shapes its features.
_SHAPING = (
    *("filter_width", "pool_width", "pool_stride", "pool_origin", "encoding_bias"),
    *("encoding_contrast", "dtype"),
)


def _listed(layer):
    return None if layer.centre_ is None else layer.centre_.tolist()


def _write_known(path, known):
    with atomic_write(path.with_suffix(".json")) as file:
        file.write(json.dumps(known).encode())


def _create(path, shape, dtype):
    """A file of zeros for an array, all of its room taken; OSError, naming it, where there is none.

    A process that writes into a map beyond a full disk is killed, without a word.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
    n_bytes = math.prod(shape) * dtype.itemsize
    header = {"descr": dtype.str, "fortran_order": False, "shape": tuple(map(int, shape))}
    try:
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, start + n_bytes)
            else:
                file.truncate(start + n_bytes)
    except OSError as error:
        path.unlink(missing_ok=True)
        why = f"{error.strerror}: scratch has no room for features of {n_bytes} bytes"
        raise OSError(error.errno, why, str(path)) from error
