"""Layers that several ranks train: the same bits on any number of them, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest

from minisca import LinearSVM, LogisticRegression
from minisca.communicators import Solo, as_communicator
from minisca.preprocessing import ZCA
from tests.campaigns import rank_kills
from tests.support.layers import images, layer
from tests.support.ranks import needs_mpi, run_on_ranks
from tests.support.ranks_worker import (
    CASES,
    SPLITS,
    classifiers,
    digest,
    digests,
    ended,
    fitted,
    made,
    many,
    problem,
    stacks,
)

#: What each number of ranks does: a start takes longer than what is done.
FUNCTIONS = {
    1: ("digests",),
    2: ("digests", "disagreements", "encoding", "classifiers", "stacks", "begins"),
    3: ("digests", "encoding", "classifiers", "stacks", "goes_on"),
}

pytestmark = pytest.mark.filterwarnings("ignore:.* maps are dead")


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory):
    """The folder in which ranks go on with each other's files."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("ranks")
        patch.setenv("RANKS_FILES", str(folder))
        yield folder


@pytest.fixture(scope="module")
def alone():
    """The digests of one process."""
    return digests(Solo())


@needs_mpi
@pytest.mark.parametrize("n", FUNCTIONS)
def test_any_number_of_ranks_learns_the_same_bits(n, alone):
    for each in run_on_ranks(n, *FUNCTIONS[n]):
        assert each["digests"] == alone
    assert [case for case, value in alone.items() if value is None] == ["k-largest, maps"]


@needs_mpi
@pytest.mark.parametrize("n", [2, 3])
def test_what_ranks_make_of_images_is_what_one_process_makes_of_them(n):
    made, x = layer().fit(images()), many()
    features = digest(made.transform(x))
    one = {"score": made.score(x), "usage": digest(made.usage(x)), "transform": features}
    one |= {"few": digest(made.transform(x[:3])), "flat": features, "file": features}
    for each in run_on_ranks(n, *FUNCTIONS[n]):
        assert each["encoding"] == one


@needs_mpi
@pytest.mark.parametrize("n", [2, 3])
def test_any_number_of_ranks_fits_the_same_classifiers(n):
    one = classifiers(Solo())
    for each in run_on_ranks(n, *FUNCTIONS[n]):
        found = each["classifiers"]
        assert "X has the value nan in row 77" in found.pop("not finite")
        assert "X has the value nan in row 77" in found.pop("not finite either")
        assert found == {name: one[name] for name in found}


@needs_mpi
@pytest.mark.parametrize("n", [2, 3])
def test_any_number_of_ranks_trains_the_same_stacks_and_whitens_the_same(n, files):
    one = stacks(Solo())
    assert one["features"]
    assert one["files"] == one["memory"]
    for each in run_on_ranks(n, *FUNCTIONS[n]):
        assert each["stacks"] == one
    assert not list(files.glob("*.npy"))


def test_whitening_by_ranks_is_that_of_one_process():
    plain, shared = ZCA().fit(images()), ZCA().fit(images(), communicator=Solo())
    np.testing.assert_allclose(shared.eigenvalues_, plain.eigenvalues_, rtol=0, atol=1e-12)


def test_classifiers_by_ranks_are_those_of_one_process():
    features, labels = problem()
    for kind, tolerance in ((LogisticRegression, 1e-5), (LinearSVM, 0)):
        plain = kind(max_iter=15, verbose=False).fit(features, labels)
        shared = kind(max_iter=15, verbose=False).fit(features, labels, communicator=Solo())
        np.testing.assert_allclose(shared.coef_, plain.coef_, rtol=0, atol=tolerance)
        np.testing.assert_allclose(shared.loss_, plain.loss_, rtol=tolerance)


@needs_mpi
def test_a_file_goes_on_by_any_number_of_ranks(files):
    for n in (2, 3):
        run_on_ranks(n, *FUNCTIONS[n])
    resumed = ended(Solo(), 4)
    for split in SPLITS:
        (files / f"{split}.npz").unlink()
    assert resumed == ended(Solo(), 4)


@needs_mpi
def test_a_rank_that_is_killed_ends_the_job_and_loses_no_epoch(tmp_path):
    found = rank_kills.killed(0, tmp_path)
    assert found["status"] != 0
    assert "KILLED" in found["said"].upper()
    assert found["seconds"] < rank_kills.SECONDS
    assert rank_kills.goes_on(tmp_path)


def test_splits_are_not_the_same_to_the_bit(alone):
    """So the digests do tell what is learned from what is not."""
    assert len(set(alone.values())) == len(alone)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("rule", ["none", "tied", "lifetime", "centred", "k-largest"])
def test_in_float64_both_splits_agree_with_a_plain_fit(rule, split):
    ranks = Solo()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CASES, rule, CASES[rule] | {"dtype": "float64"})
        plain, shared = made(rule).fit(images()), fitted(ranks, rule, split)
    if shared is None:
        return
    for name, array in plain.state_.parameters.items():
        np.testing.assert_allclose(shared.state_.parameters[name], array, rtol=0, atol=1e-12)
    np.testing.assert_allclose(shared.loss_history_, plain.loss_history_, rtol=1e-12)


@needs_mpi
@pytest.mark.parametrize(
    ("what", "said"),
    {
        "seed": "ValueError: random_state is 0 on rank 0, 1 on rank 1; it must be the same",
        "setting": "ValueError: momentum is 0.9 on rank 0, 0.5 on rank 1",
        "dtype": "ValueError: dtype is 'float32' on rank 0, 'float64' on rank 1",
        "shape": "ValueError: shape of X is [40, 1, 8, 7] on rank 0, [39, 1, 8, 7] on rank 1",
        "pixels": "ValueError: sha256 of X is ",
        "split": "ValueError: split is 'images' on rank 0, 'maps' on rank 1",
        "version": "ValueError: the version of minisca is '0.1' on rank 0, '0.2' on rank 1",
        "error": ": learning_rate is -1; it must be a number in (0, inf)",
        "not finite": "ValueError: X has the value nan in image 0",
    }.items(),
)
def test_what_ranks_do_not_agree_on_is_said_on_every_rank(what, said):
    for each in run_on_ranks(2, *FUNCTIONS[2]):
        assert said in each["disagreements"][what]


def test_what_cannot_be_split_is_refused_by_name():
    with pytest.raises(ValueError, match=r"split is 'maps'; with sparsity='k-largest' the units"):
        layer(sparsity="k-largest", n_active=3).fit(images(), communicator=Solo(split="maps"))
    many = Solo(split="maps")
    many.size = 5
    with pytest.raises(ValueError, match=r"there are 5 ranks; .* at most 4: n_maps is 4"):
        layer().fit(images(), communicator=many)
    many.size, many.split = 7, "images"
    with pytest.raises(ValueError, match=r"there are 7 ranks; .* at most 6: batch_size is 6"):
        layer().fit(images(), communicator=many)


def test_what_is_no_communicator_is_refused():
    for wrong in ("mpi", 2, Solo, object()):
        with pytest.raises(TypeError, match="it must be an mpi4py communicator, or one of"):
            layer().fit(images(), communicator=wrong)
    with pytest.raises(ValueError, match="split is 'rows'; it must be one of 'auto', 'maps'"):
        Solo(split="rows")
    with pytest.raises(ValueError, match="blocks is 0; it must be an integer of at least 1"):
        Solo(blocks=0)
    assert as_communicator(Solo()).size == 1


def test_without_a_communicator_mpi4py_is_not_imported():
    code = "import sys, minisca, minisca.communicators; sys.exit('mpi4py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
