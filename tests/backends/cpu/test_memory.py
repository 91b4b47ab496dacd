"""Memory is recycled once nobody refers to it, and never before."""

import weakref

import numpy as np
import pytest

from minisca.backends.cpu.runtime.memory import PATIENCE, RECYCLED_BYTES, Recycler

LARGE = (RECYCLED_BYTES // 4,)


def address(array):
    return array.__array_interface__["data"][0]


def test_the_memory_of_an_array_that_is_gone_is_used_again():
    recycler = Recycler()
    first = recycler.empty(LARGE, np.float32)
    place = address(first)
    del first
    assert address(recycler.empty(LARGE, np.float32)) == place


@pytest.mark.parametrize("keep", [lambda a: a, lambda a: a[5:], lambda a: a.reshape(-1, 2).T])
def test_memory_that_an_array_or_any_view_of_it_refers_to_is_left_alone(keep):
    recycler = Recycler()
    kept = keep(recycler.empty(LARGE, np.float32))
    kept[...] = 1
    others = [recycler.empty(LARGE, np.float32) for _ in range(3)]
    for other in others:
        other[...] = 2
    assert (kept == 1).all()


def test_arrays_begin_where_a_line_of_the_cache_begins_and_have_their_shape_and_dtype():
    recycler = Recycler()
    for shape in ((3,), (2, 3, 5), LARGE, (512, 1024)):
        for dtype in (np.float32, np.float64):
            array = recycler.empty(shape, dtype)
            assert (array.shape, array.dtype) == (shape, dtype)
            assert address(array) % 64 == 0
            assert array.flags.c_contiguous
            assert array.flags.writeable


def test_memory_that_nobody_asks_for_is_given_back():
    recycler = Recycler()
    buffer = weakref.ref(recycler.empty((2 * RECYCLED_BYTES,), np.uint8).base)
    assert buffer() is not None
    for _ in range(PATIENCE + 1):
        recycler.empty(LARGE, np.float32)
    assert buffer() is None
