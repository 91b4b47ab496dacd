"""The slots of a code: in any order in any image, and any number of them for one map.

Everything is in small whole numbers: sums are exact, in float32 too, and equal means equal.
"""

import numpy as np
import pytest

from tests.support.helpers import whole_numbers
from tests.test_identities import assert_equal, check_sparse_equals_dense


def draw_layer(dtype, shape):
    """Whole-numbered images x, error, and filters of the encoder and the decoder."""
    n, c, h, w, m, k = shape
    rng = np.random.default_rng(4)
    sides = (n, c, h, w), (n, c, h, w), (m, c, k, k), (m, c, k, k)
    return [whole_numbers(rng, *each).astype(dtype) for each in sides]


@pytest.mark.parametrize("image", [0, 1, 2])
def test_slots_out_of_order_in_one_image_are_the_same_code(operations, dtype, image, monkeypatch):
    # the CPU takes some maps' slots at a time: here one map's
    monkeypatch.setattr("minisca.backends.cpu.kernels.survivors.MAPS_BYTES", 1)
    n, m, n_slots = 3, 4, 7
    x, error, *filters = draw_layer(dtype, (n, 2, 6, 5, m, 3))
    rng = np.random.default_rng(image)
    maps = np.sort(rng.integers(0, m, (n, n_slots)), axis=1).astype(np.int32)
    values = rng.integers(1, 4, maps.shape).astype(dtype)
    positions = rng.integers(0, 30, maps.shape).astype(np.int32)
    in_order = values, positions, maps
    mixed = [array.copy() for array in in_order]
    for array in mixed:
        array[image] = array[image, ::-1]
    assert (np.diff(mixed[2][image]) < 0).any()
    bias = np.array([1, -1], dtype)
    images, others = (
        operations.decode_winners(values, positions, filters[1], bias, (6, 5), maps)
        for values, positions, maps in (in_order, mixed)
    )
    np.testing.assert_array_equal(images, others)
    assert_equal(
        *(
            operations.winners_backward(x, error, values, positions, *filters, maps)
            for values, positions, maps in (in_order, mixed)
        )
    )


@pytest.mark.parametrize("rule", ["encode_top_n", "encode_k_largest"])
def test_a_map_with_more_survivors_than_are_held_at_a_time_is_the_dense_path(
    operations, dtype, rule
):
    rng = np.random.default_rng(0)
    x = whole_numbers(rng, 2, 1, 10, 10, low=0, high=1).astype(dtype)
    filters = [whole_numbers(rng, 1, 1, 3, 3, low=-1, high=1).astype(dtype) for _ in range(2)]
    encoder, decoder = zip(filters, [np.array([20], dtype), np.array([1], dtype)], strict=True)
    code = getattr(operations, rule)(x, *encoder, 90)
    assert (code[0] > 0).all()
    check_sparse_equals_dense(operations, code, x, encoder, decoder)
