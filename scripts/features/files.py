"""Features of images: float32, and where those were too large float16, in memory or in a file.

50,000 x 65,536 features take 6.6 GB on the disk, read through a memory map; the system keeps in
memory what it can of them.
"""

import errno
import tempfile
from pathlib import Path

import numpy as np
from common.ranks import together

from minisca.baselines import TriangleKMeans
from minisca.chunks import ceil_div
from minisca.files.atomic import naming

#: Features larger than this are kept in float16.
FLOAT32_BYTES = 4 << 30
#: Float16's bits of infinity, without the sign.
INFINITY = 0x7C00


def feature_shape(layer, images):
    """The shape of `layer.transform(images)`."""
    if isinstance(layer, TriangleKMeans):
        return (len(images), layer.n_maps, layer.grid, layer.grid)
    sides = [ceil_div(side, layer.pool_stride) for side in images.shape[2:]]
    return (len(images), layer.n_maps, *sides)


def encode_layer(layer, images, files=None, stay=False):
    """The features; those too large for float32 in float16, in a file if there are `files`.

    stay: leave them on the layer's device, or where that has no room, which is then said.
    """
    shape, k_means = feature_shape(layer, images), isinstance(layer, TriangleKMeans)
    fits = 4 * np.prod(shape, dtype=np.int64) <= FLOAT32_BYTES
    if stay:
        return layer.transform(images, to="device", dtype=None if fits else "float16")
    if fits:
        return layer.transform(images, **({} if k_means else together()))
    if files is None:
        return layer.transform(images, out=np.empty(shape, np.float16))
    return files.encode(layer, images)


class FeatureFiles:
    """Files of features on the disk of a directory, without names there.

    The system frees their room when nobody reads them any more, however the process ends; no two
    processes have the same one.
    """

    def __init__(self, directory):
        self.directory = Path(directory)

    def encode(self, layer, images):
        """`layer.transform(images)` as a read-only float16 memory map.

        Raises OSError that says how much room it takes where the disk is full, and ValueError for
        features beyond float16's largest number; the unfinished file is then gone.
        """
        shape = feature_shape(layer, images)
        self.directory.mkdir(parents=True, exist_ok=True)
        with naming(self.directory), tempfile.TemporaryFile(dir=self.directory) as file:
            try:
                layer.transform(images, out=Rows(file, shape))
                file.flush()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size = 2 * np.prod(shape, dtype=np.int64) / 2**30
                raise OSError(
                    errno.ENOSPC,
                    f"the disk is full: features of shape {shape} take {size:.3g} GiB in float16; "
                    "free as much, or give an --output on another disk",
                ) from error
            return np.memmap(file, np.float16, "r", shape=shape)


class Rows:
    """What looks like a float16 array to who fills it from the top, and is a file.

    Not a memory map: a process that writes into one whose disk is full is killed, without a word.
    """

    dtype = np.dtype(np.float16)

    def __init__(self, file, shape):
        self.file = file
        self.shape = shape
        self.n_written = 0

    def __setitem__(self, rows, values):
        if rows.start != self.n_written:
            raise IndexError(f"rows from {rows.start} were given; row {self.n_written} is next")
        with np.errstate(over="ignore"):
            halves = np.ascontiguousarray(values, self.dtype)
        if (halves.view(np.uint16) & 0x7FFF).max() >= INFINITY:
            largest = np.abs(values).max()
            raise ValueError(f"a feature is {largest:g}; float16 has numbers up to 65504")
        self.file.write(halves)
        self.n_written = rows.stop
