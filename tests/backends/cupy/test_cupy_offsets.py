"""No offset of the CuPy backend overflows where images or codes have more than 2^31 numbers.

The kernels run in the emulator, which reports a signed overflow with its line, on arrays that are
zero but for their end (support/far_end.py). Inputs are small whole numbers: all sums are exact,
however they are cut up, so what is found must be what the end alone gives, to the bit.
"""

import numpy as np

from minisca.backends import cupy
from minisca.backends.cupy.kernels import selection, sums
from minisca.backends.cupy.runtime.arrays import zeros
from tests.support.far_end import (
    FAR,
    NEEDS_FAR_ADDRESSES,
    Far,
    by_stages,
    correlate,
    draw,
    ends_only,
    last_piece,
    many_images,
    on_device,
    on_tiles,
    parametrize,
    positions_below,
)

pytestmark = NEEDS_FAR_ADDRESSES

SIDE, M = 16, 2
IMAGES = draw(3, 1, SIDE, SIDE)
FILTERS, BIAS = draw(M, 1, 3, 3, seed=1), draw(M, seed=2)
MAPS = draw(3, M, SIDE, SIDE, seed=3)
VALUES, POSITIONS = draw(3, M, low=1, seed=4), positions_below(SIDE * SIDE, 3, M)
ERROR = draw(3, 1, SIDE, SIDE, seed=5)
WINDOWS = draw(*MAPS.shape), positions_below(9, *MAPS.shape)
FIRST_SLOTS = VALUES[:, :1].copy(), POSITIONS[:, :1].copy()
LAYER, OF_IMAGES = (IMAGES, FILTERS, BIAS), (0, None, None)


def keep_k_largest(maps):
    found = [zeros((len(maps), 3), kind) for kind in ("float32", "int32", "int32")]
    selection.keep_k_largest(*on_device(maps), *found)
    return tuple(found)


def add(array, other):
    array, other = on_device(array, other)
    cupy.add_(array, other)
    return array


OF_MANY_IMAGES = {
    "conv2d": many_images(cupy.conv2d, LAYER, OF_IMAGES),
    "conv2d by stages": many_images(cupy.conv2d, LAYER, OF_IMAGES, ways=(by_stages,)),
    "encode_winners": many_images(cupy.encode_winners, LAYER, OF_IMAGES, (0, 0)),
    "encode_top_n": many_images(cupy.encode_top_n, (*LAYER, 2), (*OF_IMAGES, None), (0, 0, 0)),
    "encode_k_largest": many_images(
        cupy.encode_k_largest, (*LAYER, 3), (*OF_IMAGES, None), (0, 0, 0)
    ),
    "encode_pooled": many_images(cupy.encode_pooled, (*LAYER, 3, 2), (*OF_IMAGES, None, None)),
    "encode_pooled of scaled units": many_images(
        cupy.encode_pooled,
        (*LAYER, 3, 2, "centred", draw(3, SIDE, SIDE, seed=7)),
        (*OF_IMAGES, None, None, None, 0),
    ),
    "deconv2d": many_images(cupy.deconv2d, (MAPS, FILTERS, BIAS[:1]), OF_IMAGES),
    "relu": many_images(cupy.relu, (MAPS,), (0,)),
    "relu_backward": many_images(cupy.relu_backward, (draw(*MAPS.shape, seed=6), MAPS), (0, 0)),
    "winner_take_all": many_images(cupy.winner_take_all, (MAPS,), (0,), (0, 0)),
    "winner_take_all_backward": many_images(
        cupy.winner_take_all_backward, (VALUES, POSITIONS, MAPS.shape), (0, 0, 0)
    ),
    "max_pool": many_images(cupy.max_pool, (MAPS, 3, 2), OF_IMAGES, (0, 0)),
    "max_pool_backward": many_images(cupy.max_pool_backward, (*WINDOWS, MAPS.shape), (0, 0, 0)),
    "decode_winners": many_images(
        cupy.decode_winners,
        (VALUES, POSITIONS, FILTERS, BIAS[:1], (SIDE, SIDE)),
        (0, 0, None, None, None),
    ),
    "gather": many_images(cupy.gather, (draw(4, 1, SIDE, SIDE), np.array([3, 0, 2])), (None, 0)),
    "scaled": many_images(cupy.scaled, (IMAGES, 3), (0, None)),
    "add_": many_images(add, (IMAGES.copy(), ERROR), (0, 0)),
    "the k largest of stored maps": many_images(keep_k_largest, (MAPS,), (0,), (0, 0, 0)),
    "the gradients": many_images(
        cupy.winners_backward,
        (IMAGES, ERROR, *FIRST_SLOTS, FILTERS[:1], FILTERS[:1]),
        (0, 0, 0, 0, None, None),
        *((None,) * 4, 8),
        ways=(last_piece,),
    ),
    "the filters' gradient": many_images(
        correlate, (MAPS, IMAGES, 3), (0, 0, None), (None,), ways=(last_piece,)
    ),
    "the loss and the error": many_images(
        cupy.residual, (IMAGES[:1], ERROR[:1], 2), (0, 0, None), (0, 0), ways=(last_piece,)
    ),
    "the squared norm": many_images(
        sums.squared_norm, (IMAGES[:1],), (0,), (None,), ways=(last_piece,)
    ),
    # a map has several tiles, each with a candidate
    "the winners by tiles": Far(
        *(cupy.encode_winners, (draw(2, 1, 64, 64), FILTERS, BIAS), OF_IMAGES),
        *(FAR // 64**2 + 3, (0, 0), 70),
        ways=(on_tiles,),
    ),
}

FEATURES, CLASSES = draw(3, 256, seed=8), positions_below(256, 3)

OF_MANY_FEATURES = {
    "linear": many_images(
        cupy.linear, (FEATURES, draw(20, 256), draw(20, seed=9)), OF_IMAGES, last_blocks=48
    ),
    "linear in halves": many_images(
        cupy.linear, (FEATURES.astype(np.float16), draw(2, 256), draw(2)), OF_IMAGES
    ),
    "linear_backward": many_images(
        *(cupy.linear_backward, (FEATURES, draw(3, 1)), (0, 0), (None, None)), ways=(last_piece,)
    ),
    "row_squares": many_images(cupy.row_squares, (FEATURES,), (0,)),
    "contrast_normalised": many_images(cupy.contrast_normalised, (FEATURES, 0.5), (0, None)),
    "nearest": many_images(cupy.nearest, (FEATURES, draw(20, 256)), OF_IMAGES[:2], (0, 0)),
    "cast": many_images(cupy.cast, (FEATURES, "float16"), (0, None)),
    "squared_hinge": many_images(cupy.squared_hinge, (FEATURES, CLASSES), (0, 0), (0, 0)),
    "cross_entropy": many_images(cupy.cross_entropy, (FEATURES, CLASSES), (0, 0), (0, 0)),
}

N_CODES = FAR // 256 + 8
CODES = draw(8, 256, low=1), positions_below(16, 8, 256)
SMALL, SMALL_ERROR = (draw(8, 1, 4, 4, seed=seed) for seed in (1, 2))
FILTERS_256 = draw(256, 1, 3, 3)
IN_IMAGES = (0, 0, 0, 0, None, None)


def few_survivors():
    """In the last of 2048 slots of the last images; all other slots are silent."""
    values, maps = np.zeros((8, 2048), np.float32), np.zeros((8, 2048), np.int32)
    values[-2:, -20::2], maps[-2:, -20::4] = 2, 1
    positions = positions_below(16, 8, 2048)
    return SMALL, SMALL_ERROR, values, positions, FILTERS, FILTERS, maps


def codes_are_found(*ways):
    args = draw(8, 1, 4, 4), FILTERS_256, draw(256)
    return Far(cupy.encode_winners, args, OF_IMAGES, N_CODES, (0, 0), 64, 256, ways)


OF_MANY_CODES = {
    "the last is decoded": Far(
        *(cupy.decode_winners, (*CODES, FILTERS_256, draw(1), (4, 4)), (0, 0, None, None, None)),
        *(N_CODES, (0,)),
    ),
    "the last is found": codes_are_found(),
    "the last is found by tiles": codes_are_found(on_tiles),
    # sums over pieces of 8 images: pieces times filters are too many as well
    "the gradients of the last map": Far(
        *(cupy.winners_backward, (SMALL, SMALL_ERROR, *CODES, FILTERS_256, FILTERS_256)),
        *(IN_IMAGES, N_CODES, (None,) * 4, 24, 1, (ends_only, last_piece)),
    ),
    "the gradients of the last survivors": Far(
        *(cupy.winners_backward, few_survivors, (*IN_IMAGES, 0), FAR // 2048 + 8, (None,) * 4),
        ways=(last_piece,),
    ),
    "the last slot survives over the batch": Far(
        *(cupy.lifetime_sparsity, (draw(3, 50, low=1, high=9), 2), (1, None), FAR // 2, (1,)),
        numbers=50,
    ),
    "the last sum is of all pieces": Far(
        *(lambda parts: sums.sum_pieces(*on_device(parts)), (draw(2, 50),), (1,), FAR + 32, (0,))
    ),
}


@parametrize(many_images=OF_MANY_IMAGES, many_codes=OF_MANY_CODES, many_features=OF_MANY_FEATURES)
def test_the_last_numbers_are_where_they_should_be(monkeypatch, far):
    far.check(monkeypatch)
