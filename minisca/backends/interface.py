"""The contract: every operation of minisca, once, with its shapes, dtypes and tie rules.

A backend is a module that has each function below under the same name and with the same
parameters. `reference/` holds the same operations as plain loops: it is what they mean.

Words
-----
- map: what one filter makes of one image, (h, w); a layer has m maps of every image.
- unit: one number of a map.
- position: a unit's place in its map, counted row by row: `row * w + column`.
- tap: one number of a filter.
- survivor: a unit that the sparsity rule lets live; all others count as 0.
- code: which units survive, and with what value; it has one *slot* for every survivor.
- block: maps that the CPU computes together; threads of a GPU that share fast memory.
- piece: the part of the work that one thread, or one block of a GPU, does by itself.
- lane: the place of a number in a vector of the CPU, or of a thread in a warp of the GPU.
- tile: the part of a result that one block of a GPU computes at once.

Shapes and dtypes
-----------------
n images `x (n, c, h, w)`, m maps, odd filter width k: filters `(m, c, k, k)`. `size`, `height` and
`width` alone are those of images and their maps; a filter's and a pool's are called so. Results
are C-contiguous, of the call's dtype, float32 or float64; positions and other indices are int32, so
a map has fewer than 2^31 units. An array may have more numbers.

A code with one survivor a map is `values (n, m)` and `positions (n, m)`: slot j is map j's. In
general a code is `values`, `positions` and `maps`, each `(n, s)`: slot j of image i is the unit at
`positions[i, j]` of map `maps[i, j]`. A slot of value 0 is silent: it has position 0, contributes
nothing to a reconstruction and receives no gradient.

What an operation may be given
------------------------------
The filters' dtype, float32 or float64, is the call's (without filters: the first array's; that of
features in float16 is float32, in which they are read as they are). Other
real numbers are converted to it, other memory orders to C, indices from any integer type. All else
raises TypeError or ValueError naming the argument: images of whole numbers (of what range?), shapes
that do not fit, a side of 0, an even filter width, an index or a count out of range, what cannot be
changed in place. What lies on a device must have the dtype; its indices are trusted.

Operations are pure: they return new arrays and leave their arguments alone, except where a trailing
underscore says otherwise. A backend of a device takes arrays of the device or of the host and
leaves its results on the device; it raises MemoryError where there is no room and RuntimeError
where the device refuses. On the CPU an array of the device is a NumPy array.
Ties are exact where a backend computes the tied units alike. In the transform domain, equal patches
of an image need not give equal units to the last bit; an image of zeros still does.

Sections are those of Makhzani and Frey, "A Winner-Take-All Method for Training Sparse Convolutional
Autoencoders", arXiv 1409.2752v1, unless another source is named.
"""

from typing import Protocol

from minisca.backends.support import SUPPORT as SUPPORT
from minisca.backends.support import SUPPORT_ROOMS as SUPPORT_ROOMS
from minisca.backends.support import Array, Arrays, Maps, Shape, Size
from minisca.backends.support import Support as Support


class Backend(Protocol):
    """Every operation that a backend provides."""

    # conv -------------------------------------------------------------------------------

    def conv2d(x: Array, filters: Array, bias: Array) -> Array:
        """Same-padded cross-correlation: `a_i = P_i * x + b_i`, with k // 2 zeros on every side.

        From x (n, c, h, w), filters (m, c, k, k) and bias (m,) come the maps (n, m, h, w), before
        any ReLU. Section 2.
        """

    def conv2d_backward(x: Array, filters: Array, d_maps: Array, needs_x: bool = True) -> Arrays:
        """Gradients of `conv2d`: d_x, d_filters, d_bias, of d_maps (n, m, h, w).

        Without `needs_x`, d_x is None: it costs more than the other two.
        """

    # deconv -----------------------------------------------------------------------------

    def deconv2d(maps: Array, filters: Array, bias: Array) -> Array:
        """Linear decoder: the exact transpose of `conv2d`, plus one bias for every channel.

        Every unit pastes its filter, times its value, centred on its position; what falls outside
        the image is cut off. From maps (n, m, h, w), filters (m, c, k, k) and bias (c,) come the
        images (n, c, h, w). Section 2.
        """

    def deconv2d_backward(maps: Array, filters: Array, d_images: Array) -> Arrays:
        """Gradients of `deconv2d`: d_maps, d_filters, d_bias, of d_images (n, c, h, w)."""

    # winners ----------------------------------------------------------------------------

    def relu(maps: Array) -> Array:
        """max(0, maps), number by number, of maps of any shape."""

    def relu_backward(d_activations: Array, maps: Array) -> Array:
        """d_activations where maps > 0, and 0 elsewhere (at exactly 0 too); any shape, the same."""

    def winner_take_all(maps: Array) -> Arrays:
        """The largest unit of every map (n, m, h, w), after ReLU (section 2.1, step 2).

        Ties go to the lowest position. A map without a positive unit is silent.

        Returns
        -------
        values, positions : (n, m), at least 0; (n, m) int32
        """

    def winner_take_all_backward(d_values: Array, positions: Array, shape: Shape) -> Array:
        """d_values (n, m) put back at their positions in maps of that shape, 0 elsewhere."""

    def encode_winners(x: Array, filters: Array, bias: Array) -> Arrays:
        """`winner_take_all(conv2d(x, filters, bias))`; no map is stored for longer than needed."""

    def encode_top_n(x: Array, filters: Array, bias: Array, n_active: int) -> Arrays:
        """The n_active largest positive units of every map of `conv2d` (section 2.1, step 2).

        Returns
        -------
        values, positions, maps : each (n, m * n_active)
            Slots run map by map, within a map by falling value; equal values by rising position.
            Where a map has fewer positive units, its last slots are silent; they name their map.
        """

    def encode_k_largest(x: Array, filters: Array, bias: Array, n_active: int) -> Arrays:
        """The n_active largest positive units of every image, whatever their map (section 2.1).

        Returns
        -------
        values, positions, maps : each (n, n_active)
            By falling value; equal values by rising map, then position. Silent slots come last,
            with map 0.
        """

    def lifetime_sparsity(values: Array, n_survivors: int) -> Array:
        """Of every slot's values (n, s) keep the n_survivors largest, of 1 to n; 0 for the rest.

        Equal values go to the lowest image. Source: section 2 of Makhzani and Frey,
        "Winner-Take-All Autoencoders", NIPS 2015, arXiv 1409.2752v2.
        """

    def decode_winners(
        values: Array, positions: Array, filters: Array, bias: Array, size: Size, maps: Maps = None
    ) -> Array:
        """`deconv2d` of a code, images (n, c, h, w); it touches the survivors alone.

        Parameters
        ----------
        values, positions, maps : a code; without maps, one slot a map
        filters, bias, size : (m, c, k, k), (c,), (h, w) of the images
        """

    def winners_backward(
        x: Array,
        error: Array,
        values: Array,
        positions: Array,
        encoder_filters: Array,
        decoder_filters: Array,
        maps: Maps = None,
    ) -> Arrays:
        """Gradients of sum ||x_hat - x||^2 over the batch, through the survivors alone.

        With the k x k patches e_p of the error and x_p of the image around a survivor of value z:
        d_decoder_filters += 2 z e_p, delta = 2 <W, e_p>, d_encoder_filters += delta x_p,
        d_encoder_bias += delta; d_decoder_bias = 2 sum e. Section 2.1, step 3.

        Parameters
        ----------
        x, error : (n, c, h, w); error = x_hat - x
        values, positions, maps : a code; without maps, one slot a map
        encoder_filters, decoder_filters : (m, c, k, k)

        Returns
        -------
        d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias
        """

    # pooling ----------------------------------------------------------------------------

    def max_pool(maps: Array, pool_width: int, pool_stride: int, origin: str = "centred") -> Arrays:
        """Overlapping max-pooling of maps (n, m, h, w), windows clipped (sections 2.1 and 3.1).

        A side of `size` has ceil(size / pool_stride) windows. With the origin "centred" the first
        starts at -floor(((windows - 1) * pool_stride + pool_width - size) / 2), with "corner" at 0.

        Returns
        -------
        pooled, argmax : (n, m, oh, ow); the same, int32: positions, of equal units the lowest
        """

    def max_pool_backward(d_pooled: Array, argmax: Array, shape: Shape) -> Array:
        """Every unit of maps of that shape receives the sum of d_pooled over windows it won."""

    def encode_pooled(
        x: Array,
        filters: Array,
        bias: Array,
        pool_width: int,
        pool_stride: int,
        origin: str = "centred",
        factors: Array | None = None,
    ) -> Array:
        """`max_pool(relu(conv2d(x, filters, bias)), ...)[0]`, in one pass.

        With factors (n, h, w), a position's own, units are `factors * (P_i * x) + b_i`.
        """

    # sgd --------------------------------------------------------------------------------

    def sgd_momentum_(
        parameter: Array, gradient: Array, velocity: Array, learning_rate: float, momentum: float
    ) -> None:
        """v <- momentum * v - learning_rate * gradient; parameter <- parameter + v, in place.

        All but the momentum may be lists instead, of as many arrays and rates as there are
        parameters: a device updates them all in one launch. Their rates may also be one array (k,),
        where the backend computes. Section 3.
        """

    def winners_update_(
        x: Array,
        error: Array,
        values: Array,
        positions: Array,
        encoder_filters: Array,
        encoder_bias: Array,
        decoder_filters: Array,
        decoder_bias: Array,
        encoder_filters_velocity: Array,
        encoder_bias_velocity: Array,
        decoder_filters_velocity: Array,
        decoder_bias_velocity: Array,
        learning_rates: Array,
        momentum: float,
        maps: Maps = None,
    ) -> None:
        """`sgd_momentum_` of a layer's four parameters by the gradients of `winners_backward`.

        In place, to the same bits as the two, one after the other. x, error and the code are as
        there; parameters, velocities and learning_rates (4,) are in the order of its results.
        """

    # elements: linear classifiers of l classes ------------------------------------------

    def linear(features: Array, weights: Array, intercept: Array) -> Array:
        """Scores (n, l) of features (n, f): one product with every row of weights (l, f).

        To each the class's intercept (l,) is added. Features may be float16.
        """

    def linear_backward(features: Array, d_scores: Array) -> Arrays:
        """Gradients of `linear`: d_weights (l, f), d_intercept (l,), of d_scores (n, l)."""

    def squared_hinge(scores: Array, classes: Array) -> Arrays:
        """Of scores s (n, l), a row's sum over classes of max(0, 1 - t s)^2.

        t is 1 for the row's own class, of classes (n,), from 0, and -1 for the others. Section 3.

        Returns
        -------
        losses, d_scores : (n,) float64; (n, l), the gradient of their sum
        """

    def cross_entropy(scores: Array, classes: Array) -> Arrays:
        """Of scores (n, l), minus the logarithm of the softmax at the row's own class.

        Classes and results are as those of `squared_hinge`. Section 3.
        """

    def row_squares(features: Array) -> Array:
        """The sum of every row's squares, (n,) float64, of features (n, f), maybe float16.

        It is finite if the features are, unless their squares leave float64.
        """

    # elements: preprocessing and clustering ---------------------------------------------

    def contrast_normalised(features: Array, epsilon: float) -> Array:
        """Every row of features (n, f) less its mean, over its standard deviation plus epsilon.

        Computed in float64; epsilon > 0. Section 3.2.
        """

    def nearest(points: Array, centres: Array) -> Arrays:
        """Of every point (n, f) the nearest centre (l, f): of equally near ones the first.

        By ||c||^2 / 2 - <x, c>; the distances given are of the differences x - c.

        Returns
        -------
        labels, distances : (n,) int32, from 0; (n,), the squared distances
        """


#: The room (module of a backend) that holds each operation, in reading order.
ROOMS = {
    "conv": ("conv2d", "conv2d_backward"),
    "deconv": ("deconv2d", "deconv2d_backward"),
    "winners": (
        *("relu", "relu_backward", "winner_take_all", "winner_take_all_backward"),
        *("encode_winners", "encode_top_n", "encode_k_largest", "lifetime_sparsity"),
        *("decode_winners", "winners_backward"),
    ),
    "pooling": ("max_pool", "max_pool_backward", "encode_pooled"),
    "sgd": ("sgd_momentum_", "winners_update_"),
    "elements": (
        *("linear", "linear_backward", "squared_hinge", "cross_entropy", "row_squares"),
        *("contrast_normalised", "nearest"),
    ),
}

OPERATIONS = tuple(name for room in ROOMS.values() for name in room)
