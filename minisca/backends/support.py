"""The contract's other half: what training needs besides the operations of `interface`.

Words, shapes and what may be given are as there.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

Array = np.ndarray
Arrays = tuple[Array, ...]
Maps = Array | None
Loss = float | Array
Size = tuple[int, int]
Shape = tuple[int, int, int, int]


class Support(Protocol):
    """What training needs besides the operations, so that nothing but the loss leaves a device."""

    # device -----------------------------------------------------------------------------

    def to_device(array: Array) -> Array:
        """`array` where the backend computes, C-contiguous: itself if it is there, or a copy.

        Raises MemoryError where there is no room for it; the message says what would fit.
        """

    def to_host(array: Array) -> Array:
        """`array` as a NumPy array: itself if it is one, or a copy."""

    def holds(array: Array) -> bool:
        """Whether `array` is one of where the backend computes, of its current device."""

    def empty(shape: tuple[int, ...], dtype: str) -> Array:
        """A new array where the backend computes, not initialised. Raises as `to_device` does."""

    def pinned(shape: tuple[int, ...], dtype: str) -> Array:
        """A new array of the host, not initialised, from which copies to a device are fastest.

        Raises MemoryError where the host has no such memory.
        """

    def send(array: Array) -> Callable[[], Array]:
        """Begin to bring an array of the host over; the function returned gives `to_device` of it.

        It waits for the copy alone. Until then kernels run, and an array that is not `pinned` may
        change.
        """

    def fetch(array: Array) -> Callable[[], Array]:
        """Begin to bring `array` to the host; the function returned waits, and gives `to_host`.

        Until then kernels run, and `array` must stay as it is.
        """

    def copy(array: Array) -> Array:
        """A copy of `array`, in the same place."""

    def copy_into_(array: Array, source: Array) -> None:
        """array <- source, of the same shape, dtype and place; float16 as it is."""

    def free_bytes() -> int:
        """Memory of the device that is free; 0 where the backend has none of its own."""

    # elements ---------------------------------------------------------------------------

    def gather(images: Array, rows: Array) -> Array:
        """images[rows]: images (n, c, h, w), rows (b,) int64 -> (b, c, h, w).

        Images of uint8 or float16 are taken, and given, as they are.
        """

    def cast(array: Array, dtype: str, centre: Array | None = None) -> Array:
        """`array` (n, c, ...) as float16, float32 or float64, less its channel's of centre (c,).

        It is of uint8 or one of these, of the host or where the backend computes. The centre is of
        `dtype`, for float16 of float32, in which the difference is then taken. An array that has
        the dtype already, and no centre, may come back itself. What is too large becomes infinite.
        """

    def residual(x_hat: Array, x: Array, divisor: float = 1) -> tuple[Loss, Array]:
        """The loss ||x_hat - x||^2, and the error (x_hat - x) / divisor; any shape.

        The loss is summed in float64: a float, or on a device an array (p,) of parts that stays
        there, whose sum it is. Nothing waits for it until somebody asks for that sum.
        """

    def decoded_residual(
        values: Array,
        positions: Array,
        filters: Array,
        bias: Array,
        x: Array,
        divisor: float = 1,
        maps: Maps = None,
    ) -> tuple[Loss, Array]:
        """`residual(decode_winners(values, positions, filters, bias, size, maps), x, divisor)`.

        In one pass where a backend can.
        """

    def add_up_(total: Array, parts: Array, divisor: float = 1) -> None:
        """total (1,) <- the sum of parts (p,) / divisor, both float64, in place."""

    def scaled(array: Array, factor: float) -> Array:
        """factor * array."""

    def add_(array: Array, other: Array) -> None:
        """array <- array + other, of the same shape and dtype."""

    def all_finite(array: Array) -> bool:
        """Whether no number is NaN or infinite."""

    # steps ------------------------------------------------------------------------------

    def make_steps() -> "Steps | None":
        """What runs steps that the host tells nothing; None where the host tells each of them."""


class Steps(Protocol):
    """Training steps that find all they need where the backend computes, and leave the losses.

    The host only starts them: it waits for none before the last, and what it does to start one does
    not grow with what is in it, since a step is recorded when it is first met, and then replayed.
    """

    def run(
        step: Callable, items: Array, order: list, rates: Array, held: Arrays, done: Callable
    ) -> Array:
        """Do `step(batch, rates)` for every batch; returns the losses (s,), float64, on the host.

        Parameters
        ----------
        step : from the items (b, ...) of a batch and its rates (k,), both where the backend
            computes, to the loss, a pair (parts, divisor) as of `add_up_`. It asks nothing of the
            host.
        items : where the backend computes; of the rates' dtype
        order, rates : the rows of every batch, int64, as many in all but the last; (s, k)
        held : the arrays besides that outlive a step: it reads and writes no other. What was
            recorded is replayed as long as these, `items`, `step` and the shapes are the same.
        done : is called when a step was started
        """


#: As `ROOMS`, of what is in `Support`.
SUPPORT_ROOMS = {
    "device": (
        *("to_device", "to_host", "holds", "empty", "pinned", "send", "fetch"),
        *("copy", "copy_into_", "free_bytes"),
    ),
    "elements": (
        *("gather", "cast", "residual", "decoded_residual", "add_up_", "scaled", "add_"),
        "all_finite",
    ),
    "steps": ("make_steps",),
}

SUPPORT = tuple(name for room in SUPPORT_ROOMS.values() for name in room)
