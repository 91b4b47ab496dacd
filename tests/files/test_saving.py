"""Whatever estimator is saved comes back bit for bit, with its parameters; others are refused."""

import copy
import pickle

import numpy as np
import pytest

import minisca
from minisca import (
    CheckpointError,
    LinearSVM,
    LogisticRegression,
    SoftmaxSGD,
    SparseConvAutoencoder,
    Stack,
)
from minisca.preprocessing import ZCA
from tests.support.baselines import autoencoder, bars, network, patches, pictures, triangle
from tests.support.layers import RULES, images, layer

X = images(n=12)
ROWS, WORDS = X.reshape(12, -1), np.array(["one", "two", "three"])[np.arange(12) % 3]
QUICK = {"max_iter": 5, "verbose": False}

#: {name: (estimator, what it learns from, its method that uses what it learned)}
ESTIMATORS = {
    **{rule: (layer(**settings), (X,), "transform") for rule, settings in RULES.items()},
    "float64": (layer(dtype="float64"), (X,), "reconstruct"),
    "corner": (layer(pool_origin="corner", encoding_contrast=0.3), (X,), "transform"),
    "flat": (layer(flat=True), (X,), "transform"),
    "flat stack": (Stack([layer(n_maps=3), layer()], flat=True), (X,), "transform"),
    "stack": (Stack([layer(n_maps=3), *[layer(tied=True, pool_stride=1)] * 9]), (X,), "transform"),
    "logistic": (LogisticRegression(l2=0.01, **QUICK), (ROWS, WORDS), "predict_proba"),
    "svm": (LinearSVM(**QUICK), (ROWS.astype(np.float64), np.arange(12)), "decision_function"),
    "sgd": (SoftmaxSGD(n_epochs=3, drop_after=(1,)), (ROWS, WORDS), "predict_proba"),
    "zca": (ZCA(epsilon=0.2), (X[:, :, :4, :4],), "transform"),
    "network": (network(), bars(), "predict_proba"),
    "k-sparse": (autoencoder(), (patches(),), "reconstruct"),
    "triangle": (triangle(standardise=True), (pictures(),), "transform"),
}


def contents(estimator):
    """Everything in a file of the estimator, as something that compares."""
    arrays, settings = estimator.to_file()
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}, settings


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_comes_back_from_a_file_a_pickle_and_a_copy_bit_for_bit(name, tmp_path):
    estimator, data, method = ESTIMATORS[name]
    made = copy.deepcopy(estimator).fit(*data)
    made.save(tmp_path / "file.npz")
    for loaded in (
        type(made).load(tmp_path / "file.npz"),
        pickle.loads(pickle.dumps(made)),
        copy.deepcopy(made),
    ):
        assert contents(loaded) == contents(made)
        assert repr(loaded) == repr(made)
        assert vars(loaded).keys() == vars(made).keys()
        np.testing.assert_array_equal(
            getattr(loaded, method)(data[0]), getattr(made, method)(data[0]), strict=True
        )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_file_of_another_kind_is_refused_and_an_unfitted_estimator_not_saved(name, tmp_path):
    estimator, path = ESTIMATORS[name][0], tmp_path / "file.npz"
    kind = type(estimator).__name__
    with pytest.raises(minisca.NotFittedError, match=f"this {kind} is not fitted yet"):
        estimator.save(path)
    assert not path.exists()
    other = Stack([layer()]) if kind != "Stack" else layer()
    other.fit(X).save(path)
    with pytest.raises(CheckpointError, match=f"holds a {type(other).__name__}; it must hold a"):
        type(estimator).load(path)


def test_tied_filters_are_one_array_before_and_after_training_a_file_and_a_pickle(tmp_path):
    made = layer(tied=True).fit(X)
    made.save(tmp_path / "tied.npz")
    loaded = SparseConvAutoencoder.load(tmp_path / "tied.npz")
    for each in (made, loaded, pickle.loads(pickle.dumps(made))):
        assert each.decoder_filters_ is each.encoder_filters_
        each.partial_fit(X)
        assert each.decoder_filters_ is each.encoder_filters_
        assert contents(each) == contents(made)
    made.decoder_filters_ = 2 * made.encoder_filters_  # whichever is assigned, it is that array
    assert made.encoder_filters_ is made.decoder_filters_


def test_a_subclass_is_saved_and_loaded_under_its_own_name(tmp_path):
    class Sparse(SparseConvAutoencoder):
        """One with other defaults."""

    made = Sparse(**layer().get_params()).fit(X)
    made.save(tmp_path / "file.npz")
    assert type(Sparse.load(tmp_path / "file.npz")) is Sparse
    with pytest.raises(CheckpointError, match="holds a Sparse; it must hold a SparseConvAuto"):
        SparseConvAutoencoder.load(tmp_path / "file.npz")
