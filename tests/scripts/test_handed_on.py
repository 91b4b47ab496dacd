"""A first layer's features are made once for two rows in a row that begin with it."""

from dataclasses import replace

import pytest
from tables.encoded import HandedOn
from tables.rows import Row

from minisca import LinearSVM

FIRST, SECOND = {"n_maps": 16, "random_state": 0}, {"n_maps": 32}
ROW = Row(layers=(FIRST,), classifier=LinearSVM())
DEEP = replace(ROW, layers=(FIRST, SECOND))


def made(*rows):
    """For which of the rows the features were made."""
    handed_on, calls = HandedOn(), []
    for index, (row, following) in enumerate(zip(rows, [*rows[1:], None], strict=True)):

        def encode(index=index):
            calls.append(index)
            return object()

        found = handed_on.features(row, following, encode)
        assert found is not None
    return calls


def test_a_row_that_begins_alike_takes_them():
    assert made(ROW, DEEP) == [0]
    assert made(ROW, DEEP, replace(DEEP, layers=(FIRST, {"n_maps": 64}))) == [0]


@pytest.mark.parametrize(
    "other",
    [
        replace(DEEP, layers=({**FIRST, "random_state": 1}, SECOND)),
        replace(DEEP, layers=({**FIRST, "pool_origin": "corner"}, SECOND)),
        replace(DEEP, preparation="raw"),
    ],
)
def test_a_row_that_begins_otherwise_has_its_own(other):
    assert made(ROW, other) == [0, 1]


def test_what_is_scaled_in_place_is_not_handed_on():
    assert made(replace(ROW, scaling="per-image"), DEEP) == [0, 1]
    assert made(ROW, replace(DEEP, scaling="per-image")) == [0]


def test_nothing_is_kept_for_a_row_without_a_classifier():
    handed_on = HandedOn()
    handed_on.features(ROW, replace(ROW, classifier=None), object)
    assert handed_on._kept == (None, None)
