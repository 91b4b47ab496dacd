"""Layers and stacks inside scikit-learn's own tools, which minisca itself never imports."""

import subprocess
import sys

import numpy as np
import pytest

import minisca
from minisca.estimator import Estimator
from tests.support.baselines import triangle
from tests.support.layers import images, layer
from tests.support.script_runs import ROOT

pytest.importorskip("sklearn")
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted


def corners(n=40, seed=0):
    """A bright blot on the left or on the right of noisy images: X (n, 1, 8, 7), y of two words."""
    rng = np.random.default_rng(seed)
    X = 0.3 * rng.random((n, 1, 8, 7))
    y = np.where(np.arange(n) % 2, "right", "left")
    X[1::2, :, 2:5, 4:7] += 1
    X[::2, :, 2:5, 0:3] += 1
    return X, y


def pipeline(**parameters):
    classifier = minisca.LogisticRegression(max_iter=30, verbose=False)
    return Pipeline([("layer", layer(**parameters)), ("classifier", classifier)])


#: What none of these needs.
HEAVY = {"sklearn", "pandas", "numba", "llvmlite", "scipy", "matplotlib", "cupy", "torch", "xarray"}


def loaded(code):
    """What packages are loaded once a new process has run this code."""
    code += "; import sys; print(*(name.partition('.')[0] for name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    return set(result.stdout.decode().split())


def test_importing_minisca_loads_nothing():
    assert not loaded("import minisca") & (HEAVY | {"numpy", "tqdm"})


def test_what_minisca_shows_loads_numpy_and_nothing_heavy():
    found = loaded("import minisca; [getattr(minisca, name) for name in dir(minisca)]")
    assert "numpy" in found
    assert not found & (HEAVY | {"tqdm"})
    assert set(minisca.__all__) < set(dir(minisca))
    with pytest.raises(AttributeError, match="module 'minisca' has no attribute 'nothing'"):
        _ = minisca.nothing


def test_importing_minisca_takes_less_than_150_milliseconds():
    command = [sys.executable, "-X", "importtime", "-c", "import minisca"]
    took = []
    for _ in range(3):
        last = subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stderr.splitlines()
        took.append(int(last[-1].split("|")[1]))  # microseconds, of all that it imported
    assert min(took) < 150_000


def test_training_and_encoding_do_not_import_scikit_learn():
    code = "from tests.support.layers import images, layer; layer(n_epochs=1).fit_transform"
    assert "sklearn" not in loaded(f"{code}(images(n=6))")


def test_scikit_learn_sees_what_kind_of_estimator_it_is():
    assert is_classifier(minisca.LogisticRegression())
    assert not is_classifier(layer())
    assert is_classifier(pipeline())
    assert not is_classifier(make_pipeline(layer()))
    utils = pytest.importorskip("sklearn.utils")
    if not hasattr(utils, "get_tags"):
        pytest.skip("scikit-learn before 1.6 has no get_tags")
    assert utils.get_tags(minisca.LogisticRegression()).target_tags.required
    assert utils.get_tags(minisca.LogisticRegression()).classifier_tags.multi_class
    assert utils.get_tags(layer()).transformer_tags is not None
    assert utils.get_tags(Estimator()).estimator_type is None


def test_cross_validation_is_stratified_because_it_is_a_classifier():
    X, y = corners(60)
    X, y = X[np.argsort(y)], np.sort(y)  # unstratified folds would score 0
    scores = cross_val_score(minisca.LogisticRegression(verbose=False), X, y, cv=2)
    assert scores.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "made",
    [
        layer(n_epochs=5),
        minisca.Stack([layer(n_maps=3, pool_stride=1), layer(n_maps=5)]),
        triangle(stride=2),
    ],
    ids=lambda made: type(made).__name__,
)
def test_a_clone_has_the_parameters_but_nothing_learned_and_learns_the_same_in_a_pipeline(made):
    X, y = corners()
    copy = clone(made.fit(X))
    assert repr(copy) == repr(made)
    check_is_fitted(made)
    with pytest.raises(NotFittedError):
        check_is_fitted(copy)
    fitted = make_pipeline(copy, minisca.LogisticRegression(verbose=False)).fit(X, y)
    unseen, labels = corners(seed=1)
    assert fitted.score(unseen, labels) == 1.0
    assert set(fitted.predict(unseen)) == {"left", "right"}
    np.testing.assert_array_equal(fitted[0].transform(unseen), made.transform(unseen))


def test_a_clone_of_a_stack_has_copies_of_its_layers():
    stack = minisca.Stack([layer(n_maps=2), layer()])
    copies = zip(clone(stack).layers, stack.layers, strict=True)
    assert all(one is not other for one, other in copies)


def test_fit_options_reach_the_layer_through_a_pipeline(tmp_path):
    X, y = corners()
    pipeline().fit(X, y, layer__checkpoint=tmp_path / "layer.npz")
    assert minisca.SparseConvAutoencoder.load(tmp_path / "layer.npz").n_epochs_done_ == 3


def test_a_grid_search_over_a_layers_parameters_finds_the_ones_that_learn():
    X, y = corners()
    # a filter scale so small and a rate so low that the maps stay empty: chance
    grid = {"layer__n_maps": [1, 4], "layer__learning_rate": [1e-30, 0.01]}
    search = GridSearchCV(pipeline(n_epochs=5, init_scale=1e-30), grid, cv=2)
    search.set_params(estimator__layer__init_scale=0.1).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ == 1.0
    best = search.best_estimator_.named_steps["layer"]
    assert best.encoder_filters_.shape[0] == search.best_params_["layer__n_maps"]
    assert best.learning_rate == search.best_params_["layer__learning_rate"]


def test_a_grid_search_ranks_layers_by_how_well_they_rebuild_the_images():
    grid = {"learning_rate": [1e-6, 0.01], "n_maps": [1, 4]}
    search = GridSearchCV(layer(n_epochs=10), grid, cv=2).fit(images())
    assert search.best_params_ == {"learning_rate": 0.01, "n_maps": 4}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert (search.cv_results_["mean_test_score"] < 0).all()


def test_a_layer_is_shown_in_a_notebook():
    assert "SparseConvAutoencoder" in pipeline()._repr_html_()
    assert "n_maps=17" in repr(pipeline(n_maps=17))
