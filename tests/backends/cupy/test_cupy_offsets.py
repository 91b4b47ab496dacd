"""No offset of the CuPy backend overflows where an array has more than 2^31 elements.

The kernels run in the emulator, which reports a signed overflow with its line, on arrays that are
zero but for their end (far_end.py). Inputs are small whole numbers: all sums are exact, however
they are cut up, so what is found must be what the end alone gives, to the bit.
"""

import numpy as np
import pytest

from minisca.backends import cupy
from minisca.backends.cupy.kernels import direct, selection, sums, survivors, tiles
from minisca.backends.cupy.kernels.convolution import transposed
from minisca.backends.cupy.runtime import launching, machine
from minisca.backends.cupy.runtime.arrays import on_device, zeros
from tests.support.backends import EMULATED
from tests.support.cuda_emulator import RawKernel, blocks, can_be_sparse, sparse_zeros
from tests.support.emulated_device import DeviceArray, Emulator
from tests.support.far_end import FarEnd, end_of, lengthen, most_numbers
from tests.support.helpers import as_tuple, whole_numbers

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(not EMULATED, reason="needs the emulator: no device, and g++ on Linux"),
    pytest.mark.skipif(
        not (EMULATED and can_be_sparse()), reason="the system lends no addresses without memory"
    ),
]
FAR = 2**31


@pytest.fixture(autouse=True)
def emulator(monkeypatch):
    monkeypatch.setattr(machine, "platform", Emulator())
    yield
    survivors._one_slot_a_map.cache_clear()


@pytest.fixture
def last_piece(monkeypatch):
    """Sums are cut into as many pieces as can be, and the last stands for all: others are 0."""
    whole = sums.sum_pieces
    monkeypatch.setattr(sums, "ENOUGH_BLOCKS", FAR)
    monkeypatch.setattr(sums, "sum_pieces", lambda parts, factor=1: whole(parts[-1:], factor))


@pytest.fixture
def ends_only(monkeypatch):
    """What is near is computed at the end of a grid only, too: the whole would take long."""
    monkeypatch.setattr(machine, "platform", FarEnd(24))


@pytest.fixture
def compare(monkeypatch):
    """compare(function, args, axes, length, result_axes): on the arguments, and on long ones.

    axes: along which each argument is lengthened, and each result. `last_blocks` of every grid run;
    where they do not reach all that the near arguments give, the last `numbers` are compared.
    """

    def compare(function, args, axes, length, result_axes, last_blocks=24, numbers=0):
        near = [host(result) for result in as_tuple(function(*args))]
        far_args = [lengthen(*each, length) for each in zip(args, axes, strict=True)]
        with monkeypatch.context() as patch:
            patch.setattr(machine, "platform", FarEnd(last_blocks))
            far = [host(result) for result in as_tuple(function(*far_args))]
        arrays = [a for a in (*far_args, *far) if isinstance(a, np.ndarray)]
        assert most_numbers(arrays) > FAR, "nothing is far away"
        for found, right, axis in zip(far, near, result_axes, strict=True):
            assert np.any(right) or right.dtype.kind == "i", "zeros show nothing"
            end = end_of(found, axis, None if axis is None else right.shape[axis])
            np.testing.assert_array_equal(end.reshape(-1)[-numbers:], right.reshape(-1)[-numbers:])

    return compare


def host(result):
    return result.memory if isinstance(result, DeviceArray) else np.asarray(result)


def draw(*shape, low=-2, high=2, seed=0):
    rng = np.random.default_rng(seed)
    return whole_numbers(rng, *shape, low=low, high=high).astype(np.float32)


def positions_below(n_places, *shape):
    return np.random.default_rng(1).integers(0, n_places, shape).astype(np.int32)


def on_tiles(monkeypatch):
    """Convolutions go by tiles of a product (tiles.cu), not the fused way (direct.cu)."""
    monkeypatch.setattr(direct, "make_layout", lambda *_, **__: None)


def test_threads_of_a_grid_are_numbered_beyond_32_bits():
    text = (
        launching.source("common.cuh")
        + """
        extern "C" __global__ void number(Index* numbers) {
            if (threadIdx.x + 1 < blockDim.x) return;
            numbers[0] = first_element();
            numbers[1] = n_threads_of_grid();
        }"""
    )
    numbers, n_blocks = np.zeros(2, np.int64), 2**25
    with blocks(first=0, last=1):
        RawKernel(text, "number", launching.options("float32"))((n_blocks,), (256,), (numbers,))
    assert numbers.tolist() == [n_blocks * 256 - 1, n_blocks * 256]


# Many images: x (n, 1, 16, 16) ----------------------------------------------------------

#: Images of 256 pixels; a multiple of 1024, so that the last block of `residual` has the last.
N = FAR // 256 + 1024
SIDE, M = 16, 2
IMAGES = draw(3, 1, SIDE, SIDE)
FILTERS, BIAS = draw(M, 1, 3, 3, seed=1), draw(M, seed=2)
MAPS = draw(3, M, SIDE, SIDE, seed=3)
VALUES, POSITIONS = draw(3, M, low=1, seed=4), positions_below(SIDE * SIDE, 3, M)
ERROR = draw(3, 1, SIDE, SIDE, seed=5)

OF_MANY_IMAGES = {
    "conv2d": ((IMAGES, FILTERS, BIAS), (0, None, None), (0,)),
    "encode_winners": ((IMAGES, FILTERS, BIAS), (0, None, None), (0, 0)),
    "encode_top_n": ((IMAGES, FILTERS, BIAS, 2), (0, None, None, None), (0, 0, 0)),
    "encode_k_largest": ((IMAGES, FILTERS, BIAS, 3), (0, None, None, None), (0, 0, 0)),
    "encode_pooled": ((IMAGES, FILTERS, BIAS, 3, 2), (0, *[None] * 4), (0,)),
    "deconv2d": ((MAPS, FILTERS, BIAS[:1]), (0, None, None), (0,)),
    "relu": ((MAPS,), (0,), (0,)),
    "relu_backward": ((draw(*MAPS.shape, seed=6), MAPS), (0, 0), (0,)),
    "winner_take_all": ((MAPS,), (0,), (0, 0)),
    "winner_take_all_backward": ((VALUES, POSITIONS, MAPS.shape), (0, 0, 0), (0,)),
    "max_pool": ((MAPS, 3, 2), (0, None, None), (0, 0)),
    "max_pool_backward": (
        (draw(*MAPS.shape), positions_below(9, *MAPS.shape), MAPS.shape), (0, 0, 0), (0,)
    ),
    "decode_winners": (
        (VALUES, POSITIONS, FILTERS, BIAS[:1], (SIDE, SIDE)), (0, 0, None, None, None), (0,)
    ),
    "gather": ((draw(4, 1, SIDE, SIDE), np.array([3, 0, 2])), (None, 0), (0,)),
    "scaled": ((IMAGES, 3), (0, None), (0,)),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_MANY_IMAGES)
def test_the_last_of_many_images_is_where_it_should_be(compare, name):
    args, axes, result_axes = OF_MANY_IMAGES[name]
    compare(getattr(cupy, name), args, axes, N, result_axes)


def test_the_gradients_of_the_last_of_many_images(compare, last_piece):
    code = VALUES[:, :1].copy(), POSITIONS[:, :1].copy()
    args = IMAGES, ERROR, *code, FILTERS[:1], FILTERS[:1]
    compare(cupy.winners_backward, args, (0, 0, 0, 0, None, None), N, (None,) * 4, last_blocks=8)


def test_the_filters_gradient_of_the_last_of_many_images(compare, last_piece):
    compare(correlate, (MAPS, IMAGES, 3), (0, 0, None), N, (None,))


def correlate(maps, images, k):
    return tiles.correlate(*on_device(maps, images), k)


def test_the_loss_of_many_images_has_the_last_and_so_has_the_error(compare, last_piece):
    compare(cupy.residual, (IMAGES[:1], ERROR[:1], 2), (0, 0, None), N, (None, 0))
    compare(sums.squared_norm, (IMAGES[:1],), (0,), N, (None,))


def test_the_winners_of_the_last_of_many_images_by_tiles(monkeypatch, compare):
    """A map has several tiles, each with a candidate."""
    on_tiles(monkeypatch)
    images = draw(2, 1, 64, 64)
    args, n = (images, FILTERS, BIAS), FAR // 64**2 + 3
    compare(cupy.encode_winners, args, (0, None, None), n, (0, 0), last_blocks=70)


# Many maps: one image (1, 1, 12, 12), whose maps and filters are too many ----------------

#: Maps of 144 places, and filters of 225 weights.
MANY = 2**24 + 32
WIDE_FILTERS, OWN_BIAS = draw(7, 1, 15, 15), draw(7, seed=1)
ONE = draw(1, 1, 12, 12, seed=2)


@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize(
    ("name", "more", "result_axes"),
    [
        ("conv2d", (), (1,)),
        ("encode_winners", (), (1, 1)),
        ("encode_top_n", (1,), (1, 1)),  # and the slots' maps, which count from the first
        ("encode_pooled", (2, 1), (1,)),
    ],
)
def test_the_last_of_many_maps_is_where_it_should_be(
    monkeypatch, compare, tiles, name, more, result_axes
):
    if tiles:
        on_tiles(monkeypatch)

    def operation(*args):
        return as_tuple(getattr(cupy, name)(*args))[: len(result_axes)]

    args = ONE, WIDE_FILTERS, OWN_BIAS, *more
    compare(operation, args, (None, 0, 0, *map(lambda _: None, more)), MANY, result_axes)


def test_the_filters_gradient_of_the_last_of_many_maps(compare):
    """Of two images, in one piece."""
    maps, images = draw(2, 7, 12, 12, seed=3), draw(2, 1, 12, 12, seed=4)
    compare(correlate, (maps, images, 15), (1, None, None), MANY, (0,))


def test_filters_are_turned_wherever_they_lie(compare):
    """Many weights; then more filters, of one channel each, than 32 bits count."""

    def turn(filters):
        return transposed(*on_device(filters))

    compare(turn, (WIDE_FILTERS,), (0,), MANY, (1,))
    compare(turn, (draw(5, 64, 1, 1),), (0,), FAR // 64 + 32, (1,), numbers=5)


def maps_at_the_end(filters, maps):
    """The slots' maps, numbered from the end of the filters."""
    return (maps + (len(filters) - len(WIDE_FILTERS))).astype(np.int32)


CODE_MAPS = np.array([[6, 0, 6]], np.int32)
CODE = draw(1, 3, low=1), positions_below(144, 1, 3)


def test_the_last_of_many_filters_is_pasted(compare):
    def decode(filters):
        maps = maps_at_the_end(filters, CODE_MAPS)
        return cupy.decode_winners(*CODE, filters, OWN_BIAS[:1], (12, 12), maps)

    compare(decode, (WIDE_FILTERS,), (0,), MANY, (None,))


def test_the_gradients_of_the_last_of_many_filters(compare):
    """Slot 1 is map 0's, slots 0 and 2 are map 6's, of 7."""

    def gradients(filters):
        entries, offsets = np.array([1, 0, 2]), sparse_zeros((len(filters) + 1,), np.int64)
        offsets[-7:] = [1, 1, 1, 1, 1, 1, 3]
        arrays = ONE, draw(*ONE.shape, seed=4), *CODE, maps_at_the_end(filters, CODE_MAPS)
        return survivors.sum_gradients(*on_device(*arrays, entries, offsets, filters))

    compare(gradients, (WIDE_FILTERS,), (0,), MANY, (0, 0, 0))


def test_the_last_of_many_weights_is_updated(compare):
    def update(weights, gradient, velocity):
        arrays = on_device(weights, gradient, velocity)
        biases = on_device(*(np.ones(3, np.float32) for _ in range(3)))
        lists = ([bias, array] for bias, array in zip(biases, arrays, strict=True))
        cupy.sgd_momentum_(*lists, [0.5, 0.25], 0.5)
        return arrays[0], arrays[2]

    arrays = tuple(draw(*WIDE_FILTERS.shape, seed=seed) for seed in range(3))
    compare(update, arrays, (0, 0, 0), MANY, (0, 0))


def test_the_last_of_many_filters_is_normalised(compare):
    def normalise(filters):
        (filters,) = on_device(filters)
        cupy.normalise_filters_(filters)
        return filters

    compare(normalise, (WIDE_FILTERS.copy(),), (0,), MANY, (0,))


# Large images: 513 planes of 2048 x 2048 --------------------------------------------------

LARGE, PLANES = 2048, 513


def planes(n, seed=0):
    """An image of n planes that are zero but for their last lines."""
    found = sparse_zeros((1, n, LARGE, LARGE), np.float32)
    found[..., -3:, :] = draw(1, n, 3, LARGE, seed=seed)
    return found


def test_the_last_maps_of_a_large_image(ends_only, compare):
    args = planes(1), draw(1, 1, 3, 3), draw(1)
    compare(cupy.conv2d, args, (None, 0, 0), PLANES, (1,), last_blocks=2, numbers=32)


def test_a_large_image_is_made_of_all_its_maps(ends_only, compare):
    args = planes(2), draw(2, 1, 3, 3), draw(1)
    compare(cupy.deconv2d, args, (1, 0, None), PLANES, (None,), last_blocks=2, numbers=32)


LAST_PLACE = np.array([[LARGE**2 - 1 - LARGE]], np.int32)  # one line above the corner


def test_a_survivor_is_pasted_into_the_last_channel_of_a_large_image(ends_only, compare):
    def decode(filters, bias):
        values, maps = np.full((1, 1), 2, np.float32), np.zeros((1, 1), np.int32)
        return cupy.decode_winners(values, LAST_PLACE, filters, bias, (LARGE, LARGE), maps)

    args = draw(1, 2, 3, 3, low=1), draw(2, low=1)
    compare(decode, args, (1, 0), PLANES, (1,), last_blocks=1, numbers=32)


def test_a_gradient_comes_from_the_last_channel_of_a_large_image(ends_only, compare):
    def gradients(x, error, filters):
        arrays = x, error, np.full((1, 1), 2, np.float32), LAST_PLACE, np.zeros((1, 1), np.int32)
        entries, offsets = np.array([0]), np.array([0, 1])
        return survivors.sum_gradients(*on_device(*arrays, entries, offsets, filters))

    args = planes(2, seed=1), planes(2, seed=4), draw(1, 2, 3, 3, low=1)
    compare(gradients, args, (1, 1, 1), PLANES, (1, None, 1), numbers=9)


def test_the_gradients_of_the_last_of_more_maps_than_offsets_of_32_bits_tell_apart(compare):
    """3 images by 2^30 maps, whose filters have two weights."""

    def gradients(filters):
        maps = np.full((3, 1), len(filters) - 1, np.int32)
        entries, offsets = np.arange(3), sparse_zeros((3 * len(filters) + 1,), np.int64)
        offsets[-4:] = range(4)
        code = draw(3, 1, low=1), positions_below(16, 3, 1), maps
        images = (draw(3, 2, 4, 4, seed=seed) for seed in (1, 2))
        return survivors.sum_gradients(*on_device(*images, *code, entries, offsets, filters))

    compare(gradients, (draw(5, 2, 1, 1, low=1),), (0,), FAR // 2 + 32, (0, 0, 0))


# Codes ----------------------------------------------------------------------------------


def test_the_last_of_many_codes_is_decoded(compare):
    m, n = 256, FAR // 256 + 8
    code = draw(8, m, low=1), positions_below(16, 8, m)
    args = *code, draw(m, 1, 3, 3), draw(1), (4, 4)
    compare(cupy.decode_winners, args, (0, 0, None, None, None), n, (0,))


@pytest.mark.parametrize("tiles", [False, True])
def test_the_last_of_many_codes_is_found(monkeypatch, compare, tiles):
    if tiles:
        on_tiles(monkeypatch)
    args = draw(8, 1, 4, 4), draw(256, 1, 3, 3), draw(256)
    n = FAR // 256 + 8
    compare(cupy.encode_winners, args, (0, None, None), n, (0, 0), last_blocks=64, numbers=256)


def test_the_gradients_of_the_last_map_of_many_codes(ends_only, compare, last_piece):
    """Sums over pieces of 8 images: pieces times filters are too many as well."""
    m, n = 256, FAR // 256 + 8

    code = draw(8, m, low=1), positions_below(16, 8, m)
    images, filters = (draw(8, 1, 4, 4, seed=seed) for seed in (1, 2)), draw(m, 1, 3, 3)
    args = *images, *code, filters, filters
    compare(cupy.winners_backward, args, (0,) * 4 + (None,) * 2, n, (None,) * 4, numbers=1)


def test_the_gradients_of_the_last_survivors_of_many_slots(compare, last_piece):
    """Few survivors, in the last images; all other slots are silent."""
    n, n_slots = FAR // 2048 + 8, 2048
    values, maps = np.zeros((8, n_slots), np.float32), np.zeros((8, n_slots), np.int32)
    values[-2:, -20::2], maps[-2:, -20::4] = 2, 1
    positions = positions_below(16, 8, n_slots)
    x, error = (draw(8, 1, 4, 4, seed=seed) for seed in (1, 2))
    args = x, error, values, positions, FILTERS, FILTERS, maps
    compare(cupy.winners_backward, args, (0,) * 4 + (None, None, 0), n, (None,) * 4)


def test_the_survivors_of_many_maps_are_counted_and_listed(monkeypatch):
    """Of 3 images and 2^30 maps; what lies between counting and listing is one block's work."""
    monkeypatch.setattr(machine, "platform", FarEnd(8))
    m = FAR // 2
    values, maps = np.array([[1, 2], [0, 3], [4, 5]], np.float32), np.full((3, 2), m - 1, np.int32)
    counts, offsets = zeros(3 * m, np.int32), zeros(3 * m + 1, np.int64)
    offsets.memory[-4:] = 0, 2, 3, 5
    entries = zeros(6, np.int64)
    sizes = np.int32(3), np.int32(2)
    values, maps = on_device(values, maps)
    for name, args in (
        ("count_entries", (values, maps, *sizes, counts)),
        ("list_entries", (values, maps, offsets, *sizes, entries)),
    ):
        launching.launch_over(launching.kernel("survivors.cu", name, "float32"), 6, *args)
    assert counts.memory[-4:].tolist() == [0, 2, 1, 2]
    assert entries.memory[:5].tolist() == [0, 1, 3, 4, 5]


def test_more_survivors_than_32_bits_count_are_summed_up():
    counts, offsets = np.full(5000, 2**30, np.int32), zeros(5001, np.int64)
    args = *on_device(counts), np.int64(counts.size), offsets
    sum_up = launching.kernel("survivors.cu", "sum_up", "float32")
    launching.launch(sum_up, 1, 1024, *args)
    np.testing.assert_array_equal(offsets.memory, np.arange(5001) * 2**30)


def test_the_largest_units_of_the_last_image_among_stored_maps(compare):
    def keep(maps):
        maps = cupy.to_device(maps)
        found = [zeros((len(maps), 3), kind) for kind in ("float32", "int32", "int32")]
        selection.keep_k_largest(maps, *found)
        return tuple(found)

    compare(keep, (MAPS,), (0,), N, (0, 0, 0))


def test_the_last_of_many_slots_survives_over_the_batch(compare):
    args = draw(3, 50, low=1, high=9), 2
    compare(cupy.lifetime_sparsity, args, (1, None), FAR // 2, (1,), numbers=50)


def test_the_last_of_many_sums_is_of_all_pieces(compare):
    parts = draw(2, 50)
    compare(lambda parts: sums.sum_pieces(cupy.to_device(parts)), (parts,), (1,), FAR + 32, (0,))


def test_the_last_number_is_added_to(compare):
    def add(array, other):
        array, other = on_device(array, other)
        cupy.add_(array, other)
        return array

    compare(add, (IMAGES.copy(), ERROR), (0, 0), N, (0,))
