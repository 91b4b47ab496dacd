"""Arguments for every operation, over the shapes and images that implementations stumble on."""

import functools
import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

import reference


@dataclass(frozen=True)
class Case:
    """Sizes n, c, h, w of the images, m maps, filter width k, pooling, and what the images hold."""

    n: int
    c: int
    h: int
    w: int
    m: int
    k: int
    pool_width: int = 3
    pool_stride: int = 2
    images: str = "normal"
    origin: str = "centred"

    @property
    def pooling(self):
        """The last arguments of an operation that pools."""
        return self.pool_width, self.pool_stride, self.origin

    def __str__(self):
        sizes = f"{self.n}x{self.c}x{self.h}x{self.w}-{self.m}x{self.k}"
        pooling = f"{self.pool_width}/{self.pool_stride}-{self.images}"
        return f"{sizes}-pool{pooling}" + "-corner" * (self.origin == "corner")


# Few widths: a backend may compile anew for every combination of width and number of maps.
CASES = [
    Case(1, 1, 1, 1, 1, 1, 1, 1),  # one of everything
    Case(2, 3, 1, 1, 5, 3),  # one pixel, in a filter wider than it
    Case(1, 1, 7, 7, 33, 7, 5, 3),
    Case(2, 1, 28, 28, 5, 7, 5, 3),  # the paper's MNIST
    Case(1, 3, 32, 28, 2, 9, 5, 4),  # nearly its CIFAR-10
    Case(1, 2, 32, 28, 2, 5, 6, 4),  # nearly its NORB
    Case(2, 4, 10, 10, 16, 5),  # a second layer
    Case(3, 2, 8, 7, 70, 3),
    Case(2, 3, 7, 10, 5, 13, 3, 1),  # a filter wider than the image
    Case(1, 2, 3, 33, 17, 5, 4, 3),  # rectangles
    Case(1, 5, 33, 7, 9, 3, 2, 2),
    Case(2, 3, 13, 28, 5, 1, 5, 3),  # one tap; more places than a block has threads
    Case(1, 1, 10, 13, 1, 5),
    Case(2, 1, 1, 28, 16, 3, 5, 3),
    Case(5, 1, 13, 1, 8, 5, 1, 2),  # a pooling that leaves places out
    Case(37, 2, 4, 7, 3, 3, 9, 2),  # many images; a window wider than the map
    Case(2, 17, 4, 7, 70, 5),  # many channels, and not a multiple of a vector
    Case(2, 35, 3, 7, 5, 7),
    Case(2, 16, 3, 7, 33, 13),  # filters of 10 kB each in float32
    Case(3, 1, 28, 28, 3, 7, 5, 3, "mostly zero"),
    Case(2, 3, 13, 7, 33, 5, 3, 2, "mostly zero"),
    Case(2, 2, 13, 10, 16, 5, 3, 2, "zero"),
    Case(2, 1, 10, 10, 7, 3, 3, 2, "far outside [0, 1]"),
    Case(2, 1, 7, 10, 5, 3, 5, 3, origin="corner"),
    Case(2, 1, 28, 28, 5, 7, 11, 6, origin="corner"),  # the paper's code, for few labels
]


def draw_images(rng, case):
    x = rng.standard_normal((case.n, case.c, case.h, case.w))
    if case.images == "far outside [0, 1]":
        x *= 1000
    elif case.images == "zero":
        x[:] = 0
    elif case.images == "mostly zero":  # a blot of ink, apart from the first image, which is empty
        x[0] = 0
        x[:, :, :, case.w // 2 :] = 0
        x[:, :, : case.h // 2] = 0
    return x


def draw_code(rng, case, n_slots):
    """Values, positions, maps: some slots silent, some with a value that lifetime sparsity took."""
    shape = case.n, n_slots
    values = np.abs(rng.standard_normal(shape)) + 0.1
    positions = rng.integers(0, case.h * case.w, shape)
    maps = rng.integers(0, case.m, shape)
    silent, taken = rng.random((2, *shape)) < 0.2
    values[silent | taken], positions[silent] = 0, 0
    return values, positions.astype(np.int32), maps.astype(np.int32)


@functools.cache
def draw(case):
    """One of each array, by name, floats in float64 but exact in float32."""
    rng = np.random.default_rng(7)
    n, c, h, w, m, k = case.n, case.c, case.h, case.w, case.m, case.k
    arrays = SimpleNamespace(
        x=draw_images(rng, case),
        error=rng.standard_normal((n, c, h, w)),
        filters=rng.standard_normal((m, c, k, k)),
        decoder_filters=rng.standard_normal((m, c, k, k)),
        bias=rng.standard_normal(m),
        decoder_bias=rng.standard_normal(c),
        maps=rng.standard_normal((n, m, h, w)),
        d_maps=rng.standard_normal((n, m, h, w)),
    )
    arrays.values, arrays.positions, _ = draw_code(rng, case, m)
    arrays.general_code = draw_code(rng, case, 2 * m + 1)
    _, arrays.argmax = reference.max_pool(arrays.maps, *case.pooling)
    arrays.d_pooled = rng.standard_normal(arrays.argmax.shape)
    arrays.velocity = rng.standard_normal((m, c, k, k))
    arrays.bias_velocity = arrays.bias[::-1]
    arrays.rates = np.array([0.125, 0.25, 0.5, 1])
    arrays.factors = rng.random((n, h, w)) * 2
    # a linear classifier of as many classes as there are maps
    arrays.features = arrays.x.reshape(n, -1)
    arrays.weights = rng.standard_normal((m, c * h * w))
    arrays.scores = 3 * rng.standard_normal((n, m))
    arrays.classes = rng.integers(0, m, n).astype(np.int32)
    for name, array in vars(arrays).items():
        if name != "general_code" and array.dtype.kind == "f":
            setattr(arrays, name, rounded_to_float32(array))
    values, *places = arrays.general_code
    arrays.general_code = rounded_to_float32(values), *places
    return arrays


def rounded_to_float32(array):
    return array.astype(np.float32).astype(np.float64)


def all_arguments(case):
    """Arguments of every operation, by position, floats in float64.

    "name, more": the same with an argument more, the maps of a general code, or factors.
    """
    a = draw(case)
    values, positions, maps = a.general_code

    def update(*code):
        parameters = a.filters, a.bias, a.decoder_filters, a.decoder_bias
        velocities = a.velocity, a.bias_velocity, a.decoder_filters[::-1], a.decoder_bias[::-1]
        return a.x, a.error, *code, *parameters, *velocities, a.rates, 0.9

    return {
        "conv2d": (a.x, a.filters, a.bias),
        "conv2d_backward": (a.x, a.filters, a.d_maps),
        "deconv2d": (a.maps, a.filters, a.decoder_bias),
        "deconv2d_backward": (a.maps, a.filters, a.error),
        "relu": (a.maps,),
        "relu_backward": (a.d_maps, a.maps),
        "winner_take_all": (a.maps,),
        "winner_take_all_backward": (a.values, a.positions, a.maps.shape),
        "encode_winners": (a.x, a.filters, a.bias),
        "encode_top_n": (a.x, a.filters, a.bias, 3),
        "encode_k_largest": (a.x, a.filters, a.bias, 7),
        "lifetime_sparsity": (a.values, math.ceil(0.3 * case.n)),
        "decode_winners": (a.values, a.positions, a.filters, a.decoder_bias, (case.h, case.w)),
        "decode_winners, maps": (
            *(values, positions, a.filters, a.decoder_bias, (case.h, case.w)),
            maps,
        ),
        "winners_backward": (
            *(a.x, a.error, a.values, a.positions),
            *(a.filters, a.decoder_filters),
        ),
        "winners_backward, maps": (
            *(a.x, a.error, values, positions),
            *(a.filters, a.decoder_filters, maps),
        ),
        "max_pool": (a.maps, *case.pooling),
        "max_pool_backward": (a.d_pooled, a.argmax, a.maps.shape),
        "encode_pooled": (a.x, a.filters, a.bias, *case.pooling),
        "encode_pooled, factors": (a.x, a.filters, a.bias, *case.pooling, a.factors),
        "sgd_momentum_": (a.filters, a.decoder_filters, a.velocity, 0.1, 0.9),
        "winners_update_": (*update(a.values, a.positions),),
        "winners_update_, maps": (*update(values, positions), maps),
        "linear": (a.features, a.weights, a.bias),
        "linear_backward": (a.features, a.scores),
        "squared_hinge": (a.scores, a.classes),
        "cross_entropy": (a.scores, a.classes),
        "row_squares": (a.features,),
        "contrast_normalised": (a.features, 0.25),
        "nearest": (a.features, a.weights),
    }


CALLS = tuple(all_arguments(CASES[0]))


def arguments(name, case):
    """The arguments of the call of that name, one of `CALLS`."""
    return all_arguments(case)[name]


#: Which arguments are changed by what returns nothing.
CHANGED = {"sgd_momentum_": (0, 2)}
CHANGED |= dict.fromkeys(("winners_update_", "winners_update_, maps"), tuple(range(4, 12)))


def as_dtype(args, dtype):
    """Fresh copies of the arrays among `args`, floats in `dtype`, places still int32."""
    return tuple(
        (a.astype(dtype) if a.dtype.kind == "f" else a.copy()) if isinstance(a, np.ndarray) else a
        for a in args
    )


def call(operations, name, args):
    """Call the operation of that name ("name, more" is the same operation)."""
    return getattr(operations, name.split(",")[0])(*args)


def results_of(operations, name, args):
    """What the operation returned, or the arguments that it changed, as a tuple."""
    results = call(operations, name, args)
    if name in CHANGED:
        assert results is None
        return tuple(args[index] for index in CHANGED[name])
    return results if isinstance(results, tuple) else (results,)
