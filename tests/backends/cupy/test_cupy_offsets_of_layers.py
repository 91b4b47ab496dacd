"""No offset of the CuPy backend overflows where a layer or an image has more than 2^31 numbers.

The kernels run in the emulator, which reports a signed overflow with its line, on arrays that are
zero but for their end (support/far_end.py). Inputs are small whole numbers: all sums are exact,
however they are cut up, so what is found must be what the end alone gives, to the bit.
"""

import numpy as np
import pytest

from minisca.backends import cupy
from minisca.backends.cupy.kernels import survivors
from minisca.backends.cupy.kernels.convolution import transposed
from minisca.backends.cupy.runtime import launching, machine
from minisca.backends.cupy.runtime.arrays import zeros
from tests.support.cuda_emulator import RawKernel, blocks, sparse_zeros
from tests.support.far_end import (
    FAR,
    NEEDS_FAR_ADDRESSES,
    Far,
    FarEnd,
    by_stages,
    correlate,
    draw,
    large_images,
    many_maps,
    on_device,
    on_tiles,
    parametrize,
    positions_below,
)
from tests.support.helpers import as_tuple

pytestmark = NEEDS_FAR_ADDRESSES

WIDE_FILTERS, OWN_BIAS = draw(7, 1, 15, 15), draw(7, seed=1)
ONE = draw(1, 1, 12, 12, seed=2)
CODE_MAPS = np.array([[6, 0, 6]], np.int32)
CODE = draw(1, 3, low=1), positions_below(144, 1, 3)


def maps_at_the_end(filters, maps):
    """The slots' maps, numbered from the end of the filters."""
    return (maps + (len(filters) - len(WIDE_FILTERS))).astype(np.int32)


def decode(filters):
    maps = maps_at_the_end(filters, CODE_MAPS)
    return cupy.decode_winners(*CODE, filters, OWN_BIAS[:1], (12, 12), maps)


def gradients(filters):
    """Slot 1 is map 0's, slots 0 and 2 are map 6's, of 7."""
    entries, offsets = np.array([1, 0, 2]), sparse_zeros((len(filters) + 1,), np.int64)
    offsets[-7:] = [1, 1, 1, 1, 1, 1, 3]
    arrays = ONE, draw(*ONE.shape, seed=4), *CODE, maps_at_the_end(filters, CODE_MAPS)
    return survivors.sum_gradients(*on_device(*arrays, entries, offsets, filters))


def gradients_of_three_images(filters):
    """3 images by 2^30 maps, whose filters have two taps: 32 bits tell no offsets apart."""
    maps = np.full((3, 1), len(filters) - 1, np.int32)
    entries, offsets = np.arange(3), sparse_zeros((3 * len(filters) + 1,), np.int64)
    offsets[-4:] = range(4)
    code = draw(3, 1, low=1), positions_below(16, 3, 1), maps
    images = (draw(3, 2, 4, 4, seed=seed) for seed in (1, 2))
    return survivors.sum_gradients(*on_device(*images, *code, entries, offsets, filters))


def turn(filters):
    return transposed(*on_device(filters))


def update(weights, gradient, velocity):
    arrays = on_device(weights, gradient, velocity)
    biases = on_device(*(np.ones(3, np.float32) for _ in range(3)))
    lists = ([bias, array] for bias, array in zip(biases, arrays, strict=True))
    cupy.sgd_momentum_(*lists, [0.5, 0.25], 0.5)
    return arrays[0], arrays[2]


OF_MANY_MAPS = {
    "the filters' gradient, of two images in one piece": many_maps(
        correlate, (draw(2, 7, 12, 12, seed=3), draw(2, 1, 12, 12, seed=4), 15), (1, None, None)
    ),
    "filters of many taps are turned": many_maps(turn, (WIDE_FILTERS,), (0,), (1,)),
    "more filters than 32 bits count are turned": Far(
        turn, (draw(5, 64, 1, 1),), (0,), FAR // 64 + 32, (1,), numbers=5
    ),
    "the last filter is pasted": many_maps(decode, (WIDE_FILTERS,), (0,), (None,)),
    "the last filters' gradients": many_maps(gradients, (WIDE_FILTERS,), (0,), (0, 0, 0)),
    "the gradients of three images": Far(
        gradients_of_three_images, (draw(5, 2, 1, 1, low=1),), (0,), FAR // 2 + 32, (0, 0, 0)
    ),
    "the last weight is updated": many_maps(
        update, [draw(*WIDE_FILTERS.shape, seed=s) for s in range(3)], (0, 0, 0), (0, 0)
    ),
}

LARGE = 2048
#: One row above the corner.
LAST = np.array([[LARGE**2 - 1 - LARGE]], np.int32)
TWO, MAP_0 = np.full((1, 1), 2, np.float32), np.zeros((1, 1), np.int32)


def planes(n, seed=0):
    """An image of n planes that are zero but for their last rows."""
    found = sparse_zeros((1, n, LARGE, LARGE), np.float32)
    found[..., -3:, :] = draw(1, n, 3, LARGE, seed=seed)
    return found


def paste_one(filters, bias):
    return cupy.decode_winners(TWO, LAST, filters, bias, (LARGE, LARGE), MAP_0)


def gradients_of_one(x, error, filters):
    arrays = x, error, TWO, LAST, MAP_0, np.array([0]), np.array([0, 1]), filters
    return survivors.sum_gradients(*on_device(*arrays))


OF_LARGE_IMAGES = {
    "the last maps": large_images(
        cupy.conv2d, lambda: (planes(1), draw(1, 1, 3, 3), draw(1)), (None, 0, 0), (1,), 2
    ),
    "an image is made of all its maps": large_images(
        cupy.deconv2d, lambda: (planes(2), draw(2, 1, 3, 3), draw(1)), (1, 0, None), (None,), 2
    ),
    "a survivor is pasted into the last channel": large_images(
        paste_one, (draw(1, 2, 3, 3, low=1), draw(2, low=1)), (1, 0), (1,), 1
    ),
    "a gradient comes from the last channel": large_images(
        gradients_of_one,
        lambda: (planes(2, 1), planes(2, 4), draw(1, 2, 3, 3, low=1)),
        *((1, 1, 1), (1, None, 1), 24, 9),
    ),
}


@parametrize(many_maps=OF_MANY_MAPS, large_images=OF_LARGE_IMAGES)
def test_the_last_numbers_are_where_they_should_be(monkeypatch, far):
    far.check(monkeypatch)


@pytest.mark.parametrize("way", [None, on_tiles, by_stages])
@pytest.mark.parametrize(
    ("name", "more", "n_results"),
    [
        ("conv2d", (), 1),
        ("encode_winners", (), 2),
        ("encode_top_n", (1,), 2),  # and the slots' maps, which count from the first
        ("encode_pooled", (2, 1), 1),
    ],
)
def test_the_last_of_many_maps_is_where_it_should_be(monkeypatch, way, name, more, n_results):
    if way:
        way(monkeypatch)

    def operation(*args):
        return as_tuple(getattr(cupy, name)(*args))[:n_results]

    axes = (None, 0, 0) + (None,) * len(more)
    args = ONE, WIDE_FILTERS, OWN_BIAS, *more
    many_maps(operation, args, axes, (1,) * n_results).check(monkeypatch)


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


def kernel(name):
    return launching.kernel(survivors.FILE, name, "float32")


def test_the_survivors_of_many_maps_are_counted_and_listed(monkeypatch):
    """Of 3 images and 2^30 maps; what lies between counting and listing is one block's work."""
    monkeypatch.setattr(machine, "platform", FarEnd(8))
    m = FAR // 2
    values, maps = np.array([[1, 2], [0, 3], [4, 5]], np.float32), np.full((3, 2), m - 1, np.int32)
    values, maps = on_device(values, maps)
    counts, offsets = zeros(3 * m, np.int32), zeros(3 * m + 1, np.int64)
    offsets.memory[-4:] = 0, 2, 3, 5
    entries = zeros(6, np.int64)
    launching.launch_over(kernel("count_entries"), 6, values, maps, 3, 2, counts)
    launching.launch_over(kernel("list_entries"), 6, values, maps, offsets, 3, 2, entries)
    assert counts.memory[-4:].tolist() == [0, 2, 1, 2]
    assert entries.memory[:5].tolist() == [0, 1, 3, 4, 5]


def test_more_survivors_than_32_bits_count_are_summed_up():
    counts, offsets = np.full(5000, 2**30, np.int32), zeros(5001, np.int64)
    launching.launch(kernel("sum_up"), 1, 1024, *on_device(counts), np.int64(counts.size), offsets)
    np.testing.assert_array_equal(offsets.memory, np.arange(5001) * 2**30)
