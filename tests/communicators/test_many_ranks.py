"""Up to eight ranks, in threads: the bits of one process, and what ranks do not agree on."""

import re

import numpy as np
import pytest

from minisca import EarlyStopping, Stack
from minisca.communicators import Solo, agreement
from tests.support.layers import images, layer
from tests.support.ranks_in_threads import in_threads
from tests.support.ranks_worker import CASES, SPLITS, fitted, learned, many

pytestmark = pytest.mark.filterwarnings("ignore:.* maps are dead", "ignore:.* threads, for")

#: One rule of each kind of code.
RULES = ("winner-take-all", "lifetime", "none", "tied", "k-largest")


@pytest.mark.parametrize("n", [5, 8])
@pytest.mark.parametrize("split", SPLITS)
def test_many_ranks_learn_the_bits_of_one(split, n):
    def digests(communicator):
        made = (fitted(communicator, rule, split) for rule in RULES)
        return [each and learned(each) for each in made]

    assert set(RULES) <= set(CASES)
    alone = digests(Solo())
    assert in_threads(n, digests) == [alone] * n


def test_many_ranks_encode_as_one_does_though_some_have_no_images():
    made, x = layer().fit(images()), many()
    expected = made.transform(x), made.usage(x), made.score(x)
    for found in in_threads(
        8,
        lambda ranks: [f(x, communicator=ranks) for f in (made.transform, made.usage, made.score)],
    ):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def last(communicator):
    return communicator.rank == communicator.size - 1


def early(communicator):
    stopping = [EarlyStopping(3 + last(communicator))]
    layer().fit(
        images(), callbacks=stopping, validation_images=images(9), communicator=communicator
    )


def of_scratch(communicator):
    Stack([layer()]).fit(images(), scratch=f"{last(communicator)}", communicator=communicator)


def of_dtype(communicator):
    made = layer(n_epochs=0).fit(images())
    made.transform(images(), dtype=f"float{32 >> last(communicator)}", communicator=communicator)


def of_pixels(communicator):
    """The last rank alone reads what is not finite."""
    made, x = layer(n_epochs=0).fit(images()), many()
    x[-1] = np.nan
    made.transform(x, communicator=communicator)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (early, r"EarlyStopping in callbacks is \[{'patience': 3.* on rank 0, \[{'patience': 4"),
        (of_scratch, "scratch is 'False' on rank 0, 'True' on rank 2"),
        (of_dtype, "dtype is 'float32' on rank 0, 'float16' on rank 2"),
        (of_pixels, "X has the value nan in image"),
    ],
)
def test_every_rank_says_what_they_do_not_agree_on(function, said):
    def refused(communicator):
        with pytest.raises((ValueError, RuntimeError), match=said):
            function(communicator)
        return True

    assert in_threads(3, refused) == [True] * 3


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([("a", (0, 1), 2)] * 2, "2 ranks on a have 4 threads, for 2 cores.* OMP_NUM_THREADS=1"),
        ([("a", (0, 1), 2), ("a", (2, 3), 2)], None),  # each is bound to cores of its own
        ([("a", (0, 1), 2), ("b", (0, 1), 2)], None),
        ([("a", (0, 1), 1)] * 3, "3 ranks on a have 3 threads, for 2 cores.* at most 2 ranks"),
        ([("a", (), 0)] * 2, None),  # they compute on devices
    ],
)
def test_more_threads_than_cores_are_warned_of(places, said, recwarn):
    agreement._warn_once.cache_clear()
    for _ in range(2):
        agreement._warn_of_threads(places)
    messages = [str(each.message) for each in recwarn]
    assert len(messages) == (said is not None)
    assert all(re.search(said, message) for message in messages)


def test_ranks_tell_their_threads_where_they_compute(monkeypatch):
    told = []
    monkeypatch.setattr(agreement, "_warn_of_threads", told.append)
    in_threads(2, lambda ranks: layer(n_epochs=0).fit(images(), communicator=ranks))
    ((one, other),) = told  # of the first rank alone
    assert one == other
    assert one[1]
    assert one[2] >= 1
