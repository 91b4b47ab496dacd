"""What the hints of public functions name."""

import os
from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import ArrayLike, NDArray

#: A NumPy array; docstrings say of what shape and dtype.
Array = NDArray[Any]
PathLike = str | os.PathLike[str]
#: callback(layer, epoch, loss)
Callback = Callable[[Any, int, float], Any]


class Images(Protocol):
    """Images (n, c, h, w): any array that slices along its first axis, such as an HDF5 data set."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


#: Features (n, ...): any array that slices, or what NumPy makes an array of.
Features = ArrayLike | Images
