"""Data frames where they are asked for as scikit-learn has it, by the names of the features."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from minisca import NotFittedError, Stack
from tests.support.layers import images, layer, refusal

pandas = pytest.importorskip("pandas")

X = images(n=9)


def stack(**options):
    return Stack([layer(n_maps=3, pool_stride=1), layer()], **options)


MADE = pytest.mark.parametrize("make", [layer, stack])


@MADE
def test_features_are_a_frame_with_their_names_as_columns(make):
    made = make(flat=True)
    assert made.set_output(transform="pandas") is made
    first = made.fit_transform(X)
    expected = make(flat=True).fit(X).transform(X)
    for frame in (first, made.transform(X)):
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame.columns) == list(made.get_feature_names_out())
        np.testing.assert_array_equal(frame.to_numpy(), expected, strict=True)
    out = np.empty_like(expected)
    assert made.transform(X, out=out) is out
    assert isinstance(made.set_output().transform(X), pandas.DataFrame)  # no change
    assert isinstance(made.set_output(transform="default").transform(X), np.ndarray)


def test_some_layers_of_a_stack_have_columns_of_their_own():
    made = stack(flat=True).set_output(transform="pandas").fit(X)
    assert list(made.transform(X, depth=1)) == list(made.layers_[0].get_feature_names_out())


@MADE
def test_copies_keep_it_and_files_do_not(make, tmp_path):
    made = make(flat=True).set_output(transform="pandas").fit(X)
    for kept in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert isinstance(kept.transform(X), pandas.DataFrame)
    made.save(tmp_path / "made.npz")
    assert isinstance(type(made).load(tmp_path / "made.npz").transform(X), np.ndarray)


@MADE
@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_maps_are_no_frame_which_is_said_before_anything_is_trained(make, method):
    made = make().set_output(transform="pandas")
    message = refusal(ValueError, getattr(made, method), X)
    assert message == "flat is False; with set_output(transform='pandas') it must be True"
    with pytest.raises(NotFittedError):
        made.transform(X)


@MADE
def test_another_container_is_refused_by_name(make):
    message = refusal(ValueError, make().set_output, transform="polars")
    assert message == "transform is 'polars'; it must be one of 'default', 'pandas'"


def test_without_pandas_an_import_error_says_so_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    made = layer(flat=True)
    with pytest.raises(ImportError, match="pandas"):
        made.set_output(transform="pandas")
    assert isinstance(made.fit(X).transform(X), np.ndarray)


def test_frames_need_no_scikit_learn():
    code = "from tests.support.layers import images, layer; import sys; "
    code += "made = layer(flat=True).set_output(transform='pandas').fit_transform(images(n=6)); "
    code += "print(type(made).__name__, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["DataFrame", "False"]


def test_scikit_learns_own_tools_agree():
    sklearn = pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    made = layer(flat=True)
    pipeline = make_pipeline(made, LogisticRegression()).set_output(transform="pandas")
    pipeline.fit(X, np.arange(9) % 2)
    assert list(pipeline[-1].feature_names_in_) == list(made.get_feature_names_out())
    assert isinstance(clone(made).fit_transform(X), pandas.DataFrame)
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(layer(flat=True).fit_transform(X), pandas.DataFrame)
        assert isinstance(layer().fit_transform(X), np.ndarray)  # maps stay maps
        assert isinstance(stack(flat=True).fit_transform(X), pandas.DataFrame)
        explicit = layer(flat=True).set_output(transform="default")
        assert isinstance(explicit.fit_transform(X), np.ndarray)
    with sklearn.config_context(transform_output="polars"):
        assert "transform_output is 'polars'" in refusal(ValueError, layer(flat=True).fit, X)


def test_who_is_not_fitted_is_so_for_scikit_learn_too():
    exceptions = pytest.importorskip("sklearn.exceptions")
    with pytest.raises(exceptions.NotFittedError) as caught:
        layer().transform(X)
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, NotFittedError)
    assert isinstance(again, exceptions.NotFittedError)
    assert str(again) == str(caught.value)
