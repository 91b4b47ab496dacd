"""The contract: every operation of minisca, once, with its shapes, dtypes and tie rules.

A backend is a module that has each function below under the same name and with the same
parameters. `reference/` holds the same operations as plain loops: it is what they mean.

Shapes: images `x (n, c, h, w)`, `m` feature maps, odd filter width `k`, filters `(m, c, k, k)`.
Arrays are C-contiguous float32 or float64, all of one dtype within a call; places and indices
are int32, so a map has fewer than 2^31 of them; an array may have more numbers. Functions are pure:
they return new arrays and leave their arguments alone, except where a trailing underscore says
otherwise. The callers (the estimators) have checked shapes, dtypes and finiteness; an operation
reached directly trusts its arguments.

A *code* is which units survive and with what value. One winner a map: `values (n, m)` and
`positions (n, m)`, slot j belonging to map j. In general: `values`, `positions` and `maps`, all
`(n, s)`, slot j of image i being the unit `positions[i, j]` (row-major place `row * w + column`) of
map `maps[i, j]`. A slot with value 0 is silent: it has position 0, contributes nothing to a
reconstruction and receives no gradient.

A backend of a device takes arrays of the device or of the host, and leaves its results on the
device; `Support` is how arrays get there and back, and the little arithmetic between operations.
On the CPU nothing moves: an array of the device is a NumPy array.

Ties are exact where a backend computes the tied units alike. The convolution of an operation that
selects may be carried out in the transform domain, where equal patches of an image need not give
equal units to the last bit; an image without any pixel other than 0 still does.
"""

from typing import Protocol

import numpy as np

Array = np.ndarray


class Backend(Protocol):
    """Every operation that a backend provides (paper section 2)."""

    # conv -------------------------------------------------------------------------------

    def conv2d(x: Array, filters: Array, bias: Array) -> Array:
        """Pre-activations `a_i = P_i * x + b_i`, cross-correlation, zero padding k // 2.

        x (n, c, h, w), filters (m, c, k, k), bias (m,) -> maps (n, m, h, w).
        """

    def conv2d_backward(
        x: Array, filters: Array, d_maps: Array, needs_x: bool = True
    ) -> tuple[Array | None, Array, Array]:
        """Gradients of `conv2d` given d_maps (n, m, h, w): d_x, d_filters, d_bias.

        Where nothing lies below that would want d_x, `needs_x=False` gives None in its place: it
        costs more than the other two.
        """

    # deconv -----------------------------------------------------------------------------

    def deconv2d(maps: Array, filters: Array, bias: Array) -> Array:
        """Linear decoder: the exact transpose of a same-padded `conv2d`, plus a bias a channel.

        Every unit pastes its filter, times its value, centred on its place; what falls outside
        the image is cut. maps (n, m, h, w), filters (m, c, k, k), bias (c,) -> (n, c, h, w).
        """

    def deconv2d_backward(
        maps: Array, filters: Array, d_images: Array
    ) -> tuple[Array, Array, Array]:
        """Gradients of `deconv2d` given d_images (n, c, h, w): d_maps, d_filters, d_bias."""

    # winners ----------------------------------------------------------------------------

    def relu(maps: Array) -> Array:
        """max(0, maps), elementwise."""

    def relu_backward(d_activations: Array, maps: Array) -> Array:
        """d_activations where maps > 0, and 0 elsewhere (at exactly 0 too)."""

    def winner_take_all(maps: Array) -> tuple[Array, Array]:
        """The largest unit of every map of every image, after ReLU.

        maps (n, m, h, w), before or after ReLU -> values (n, m) >= 0, positions (n, m) int32. Ties
        go to the lowest row-major position; a map without a positive unit is silent (value 0,
        position 0).
        """

    def winner_take_all_backward(
        d_values: Array, positions: Array, shape: tuple[int, int, int, int]
    ) -> Array:
        """d_values (n, m) put back at their places, 0 elsewhere: d_maps of the given shape."""

    def encode_winners(x: Array, filters: Array, bias: Array) -> tuple[Array, Array]:
        """`winner_take_all(conv2d(x, filters, bias))`, storing no map beyond a block."""

    def encode_top_n(
        x: Array, filters: Array, bias: Array, n_active: int
    ) -> tuple[Array, Array, Array]:
        """The n_active largest positive units of every map.

        Returns values, positions, maps, each (n, m * n_active). Slots run map by map, within a map
        by falling value; equal values by rising position. Where a map has fewer positive units
        than n_active, its last slots are silent; they name their map all the same.
        """

    def encode_k_largest(
        x: Array, filters: Array, bias: Array, n_active: int
    ) -> tuple[Array, Array, Array]:
        """The n_active largest positive units of every image, whatever their map.

        Returns values, positions, maps, each (n, n_active), by falling value; equal values by
        rising map, then position. Silent slots come last, with map 0.
        """

    def lifetime_sparsity(values: Array, fraction: float) -> Array:
        """Of every slot's values over the batch keep the ceil(fraction * n) largest, 0 the rest.

        values (n, s) -> (n, s). The rounding of the product aside: 0.07 of 100 images is 7, not 8.
        Equal values go to the lowest image index. (Lifetime sparsity of
        Makhzani and Frey, "Winner-Take-All Autoencoders", NIPS 2015, applied to spatial winners.)
        """

    def decode_winners(
        values: Array,
        positions: Array,
        filters: Array,
        bias: Array,
        size: tuple[int, int],
        maps: Array | None = None,
    ) -> Array:
        """`deconv2d` of a code: filters (m, c, k, k), bias (c,) -> images (n, c, h, w).

        `size` is (h, w). Without `maps`, the code has one slot a map.
        """

    def winners_backward(
        x: Array,
        error: Array,
        values: Array,
        positions: Array,
        encoder_filters: Array,
        decoder_filters: Array,
        maps: Array | None = None,
    ) -> tuple[Array, Array, Array, Array]:
        """Gradients of sum ||x_hat - x||^2 over the batch, through the survivors alone.

        x and error = x_hat - x are (n, c, h, w). With e_p and x_p the k x k patches around a
        survivor's place: d_decoder_filters += 2 z e_p, delta = 2 <W, e_p>,
        d_encoder_filters += delta x_p, d_encoder_bias += delta; d_decoder_bias = 2 sum e.

        Returns d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias.
        """

    # pooling ----------------------------------------------------------------------------

    def max_pool(maps: Array, width: int, stride: int) -> tuple[Array, Array]:
        """Overlapping max-pooling, output side ceil(size / stride), windows clipped to the map.

        The first window starts at -floor(((out - 1) * stride + width - size) / 2).
        maps (n, m, h, w) -> pooled (n, m, oh, ow), argmax (n, m, oh, ow) int32, the row-major place
        in the map; ties go to the lowest.
        """

    def max_pool_backward(
        d_pooled: Array, argmax: Array, shape: tuple[int, int, int, int]
    ) -> Array:
        """Every map place receives the sum of d_pooled over the windows it won."""

    def encode_pooled(x: Array, filters: Array, bias: Array, width: int, stride: int) -> Array:
        """`max_pool(relu(conv2d(x, filters, bias)), width, stride)[0]`, in one pass."""

    # sgd --------------------------------------------------------------------------------

    def sgd_momentum_(
        parameter: Array, gradient: Array, velocity: Array, learning_rate: float, momentum: float
    ) -> None:
        """v <- momentum * v - learning_rate * gradient; parameter <- parameter + v, in place.

        All but the momentum may be lists instead, of as many arrays and rates as there are
        parameters: a device updates them all in one launch.
        """

    def normalise_filters_(filters: Array) -> None:
        """Divide every filter by its Euclidean norm, in place: filters (m, c, k, k), float.

        A projection that may follow a step: it keeps filters from growing while the code shrinks
        (as K-SVD keeps its atoms: Aharon, Elad and Bruckstein, 2006). A filter of zeros stays one.
        The largest weight is taken out first, so that no square over- or underflows; weights below
        the smallest normal number may count as 0. Raises TypeError for other numbers than float32
        and float64, which could not hold the quotients.
        """


#: The room (module of a backend) that holds each operation, in reading order.
ROOMS = {
    "conv": ("conv2d", "conv2d_backward"),
    "deconv": ("deconv2d", "deconv2d_backward"),
    "winners": (
        "relu",
        "relu_backward",
        "winner_take_all",
        "winner_take_all_backward",
        "encode_winners",
        "encode_top_n",
        "encode_k_largest",
        "lifetime_sparsity",
        "decode_winners",
        "winners_backward",
    ),
    "pooling": ("max_pool", "max_pool_backward", "encode_pooled"),
    "sgd": ("sgd_momentum_", "normalise_filters_"),
}

OPERATIONS = tuple(name for room in ROOMS.values() for name in room)


class Support(Protocol):
    """What training needs besides the operations, so that nothing but the loss leaves a device."""

    # device -----------------------------------------------------------------------------

    def to_device(array: Array) -> Array:
        """`array` where the backend computes, C-contiguous: itself if it is there, or a copy.

        Raises MemoryError, saying what would fit, where there is no room for it.
        """

    def to_host(array: Array) -> Array:
        """`array` as a NumPy array: itself if it is one, or a copy."""

    def empty(shape: tuple[int, ...], dtype: str) -> Array:
        """A new array where the backend computes, not initialised. Raises as `to_device` does."""

    def copy(array: Array) -> Array:
        """A copy of `array`, in the same place."""

    def copy_into_(array: Array, source: Array) -> None:
        """array <- source, of the same shape, dtype and place."""

    def free_bytes() -> int:
        """Memory of the device that is free; 0 where the backend has none of its own."""

    # elements ---------------------------------------------------------------------------

    def gather(images: Array, rows: Array) -> Array:
        """images[rows]: images (n, c, h, w), rows (b,) int64 -> (b, c, h, w)."""

    def residual(x_hat: Array, x: Array, divisor: float = 1) -> tuple[float, Array]:
        """||x_hat - x||^2, summed in float64, and the error (x_hat - x) / divisor."""

    def scaled(array: Array, factor: float) -> Array:
        """factor * array."""

    def add_(array: Array, other: Array) -> None:
        """array <- array + other."""

    def all_finite(array: Array) -> bool:
        """Whether no number is NaN or infinite."""


#: As `ROOMS`, of what is in `Support`.
SUPPORT_ROOMS = {
    "device": ("to_device", "to_host", "empty", "copy", "copy_into_", "free_bytes"),
    "elements": ("gather", "residual", "scaled", "add_", "all_finite"),
}

SUPPORT = tuple(name for room in SUPPORT_ROOMS.values() for name in room)
