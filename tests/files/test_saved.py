"""Files that minisca wrote before it lost some settings still load, and what they hold goes on.

`saved/` has one of each kind, of images of 6 x 6 pixels, and in `expected.npz` what the estimators
made of `X` (and `y`) when they were saved: {"file|method": result}, and what a layer had learned
after it was trained on.
"""

from functools import partial
from pathlib import Path

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest

import minisca
from minisca import CheckpointError, LinearSVM, LogisticRegression, SparseConvAutoencoder, Stack
from minisca.baselines import KSparseAutoencoder, SupervisedConvNet, TriangleKMeans
from minisca.preprocessing import ZCA
from tests.support.layers import PARAMETERS, layer

SAVED = Path(__file__).parent / "saved"
with np.load(SAVED / "expected.npz") as entries:
    EXPECTED = dict(entries)
X, Y = EXPECTED["X"], EXPECTED["y"]
LAYERS = sorted(path.stem for path in SAVED.glob("layer-*.npz"))
DELETED = {
    "layer-init-bias": "init_bias=0.3",
    "layer-cosine": "schedule='cosine'",
    "layer-normalised": "normalise_filters=True",
}
CLASSES = {
    "stack": Stack,
    "logistic-regression": LogisticRegression,
    "linear-svm": LinearSVM,
    "zca": ZCA,
    "k-sparse": KSparseAutoencoder,
    "triangle": TriangleKMeans,
    "triangle-spherical": TriangleKMeans,
    "triangle-mean": TriangleKMeans,
    "triangle-mean-plain": TriangleKMeans,
    "convnet": SupervisedConvNet,
} | dict.fromkeys(LAYERS, SparseConvAutoencoder)

#: On the kind of machine that wrote them, the same bits; elsewhere up to the order of sums.
if EXPECTED["machine"] == f"{llvm.get_host_cpu_name()}, Numba {numba.__version__}":
    assert_same = np.testing.assert_array_equal
else:
    assert_same = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)


def load(name):
    return CLASSES[name].load(SAVED / f"{name}.npz")


def inputs(name):
    """What the estimator was saved with: images of 4 x 4 pixels, rows of features or images."""
    if name in ("zca", "k-sparse"):
        return X[:, :, :4, :4]
    return X.reshape(12, -1) if name in ("logistic-regression", "linear-svm") else X


@pytest.mark.parametrize("name", CLASSES)
def test_an_estimator_of_an_old_file_gives_what_it_gave(name):
    loaded = load(name)
    methods = [key.partition("|")[2] for key in EXPECTED if key.startswith(f"{name}|")]
    methods = [method for method in methods if not method.endswith("_")]
    assert methods
    for method in methods:
        found, right = getattr(loaded, method)(inputs(name)), EXPECTED[f"{name}|{method}"]
        assert found.dtype == right.dtype
        if "mean" in name:  # sums are divided later than means were
            np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-5)
        elif right.dtype.kind == "U":
            np.testing.assert_array_equal(found, right)
        else:
            assert_same(found, right)


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in DELETED])
def test_a_layer_of_an_old_file_trains_on_as_it_would_have(name, tmp_path):
    if name == "layer-interrupted":
        path = tmp_path / "layer.npz"
        path.write_bytes((SAVED / f"{name}.npz").read_bytes())
        made = layer(batch_size=5).fit(X, checkpoint=path, resume=True)
    else:
        made = load(name).partial_fit(X)
    for attribute in (*PARAMETERS, "loss_history_"):
        assert_same(np.array(getattr(made, attribute)), EXPECTED[f"{name}|{attribute}"])


@pytest.mark.parametrize("name", DELETED)
def test_a_layer_trained_with_a_deleted_setting_is_not_trained_on(name, tmp_path):
    loaded, path = load(name), tmp_path / "again.npz"
    message = f"was trained with {DELETED[name]}, which minisca no longer has"
    before = loaded.encoder_filters_.copy()
    with pytest.raises(ValueError, match=f"this layer {message}"):
        loaded.partial_fit(X)
    np.testing.assert_array_equal(loaded.encoder_filters_, before)
    loaded.save(path)  # nor is what is saved again
    with pytest.raises(CheckpointError, match=f"again.npz {message}"):
        layer(batch_size=5, n_epochs=2).fit(X, checkpoint=path, resume=True)
    assert loaded.fit(X).partial_fit(X).n_epochs_done_ == 3


def test_a_setting_that_stood_at_its_default_is_forgotten():
    loaded = load("layer-winner-take-all")
    assert not loaded.state_.deleted_settings
    assert "init_bias" not in loaded.get_params()
    assert (loaded.pool_origin, loaded.encoding_contrast) == ("centred", None)  # came later
    assert (loaded.flat, load("stack").flat) == (False, False)
    assert loaded.validation_loss_history_ == []
    assert {"pooling", "algorithm"}.isdisjoint(load("triangle").get_params())
    assert minisca.SparseConvAutoencoder.load(SAVED / "layer-normalised.npz").schedule == "constant"
