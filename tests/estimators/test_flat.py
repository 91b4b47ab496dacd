"""With `flat` an image's features are one row, under names that say map, row and column."""

import numpy as np
import pytest

from minisca import CheckpointError, NotFittedError, Stack, encoding
from tests.support.layers import assert_same_state, images, layer, refusal, rewrite

X = images(n=9)


def stack(**options):
    return Stack([layer(n_maps=3, pool_stride=1), layer()], **options)


MADE = pytest.mark.parametrize("make", [layer, stack])


@MADE
def test_the_features_are_the_same_with_all_of_an_image_in_one_row(make):
    flat, maps = make(flat=True).fit(X), make().fit(X)
    expected = maps.transform(X)
    assert expected.shape == (9, 4, 4, 4)
    for found in (flat.transform(X), flat.fit_transform(X)):
        np.testing.assert_array_equal(found, expected.reshape(9, -1), strict=True)
    if make is layer:
        assert_same_state(flat, maps)
    np.testing.assert_array_equal(flat.set_params(flat=False).transform(X), expected, strict=True)


@MADE
def test_a_column_is_the_place_that_its_name_says(make):
    made = make(flat=True).fit(X)
    names, rows = made.get_feature_names_out(), made.transform(X)
    assert names.dtype == object
    assert names[[0, 1, 4, 16, -1]].tolist() == [
        *("map0_row0_column0", "map0_row0_column1", "map0_row1_column0", "map1_row0_column0"),
        "map3_row3_column3",
    ]
    maps = made.set_params(flat=False).transform(X)
    assert list(made.get_feature_names_out()) == list(names)
    column = names.tolist().index("map2_row3_column1")
    np.testing.assert_array_equal(rows[:, column], maps[:, 2, 3, 1])


def test_some_layers_of_a_stack_give_rows_of_their_own():
    made = stack(flat=True).fit(X)
    below = made.layers_[0].transform(X)
    np.testing.assert_array_equal(made.transform(X, depth=1), below.reshape(9, -1))


@MADE
def test_rows_are_written_where_they_are_wanted(make, monkeypatch):
    made = make(flat=True).fit(X)
    expected, wide = made.transform(X), np.full((9, 130), 5.0)
    monkeypatch.setattr(encoding, "IMAGES_BYTES", 1)
    monkeypatch.setattr(encoding, "RESULTS_BYTES", 1)  # a map of an image at a time
    out = wide[:, 1:129:2]
    assert made.transform(X, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert (wide[:, ::2] == 5).all()
    must = f"out has shape (9, 4, 4, 4); it must be {expected.shape}"
    assert must in refusal(ValueError, made.transform, X, out=np.empty((9, 4, 4, 4)))


@pytest.mark.parametrize("place", [0, 1])
def test_a_layer_of_a_stack_must_not_be_flat(place):
    layers = [layer(), layer()]
    layers[place].set_params(flat=True)
    message = refusal(ValueError, Stack(layers).fit, X)
    assert message.startswith(f"layers[{place}]: flat is True; it must be False in a layer of a")


def test_neither_must_a_layer_in_the_file_of_a_stack(tmp_path):
    path = tmp_path / "stack.npz"
    stack().fit(X).save(path)
    rewrite(path, lambda _, settings: settings["layers"][1]["parameters"].update(flat=True))
    assert "layer 2 of" in refusal(CheckpointError, Stack.load, path)


@MADE
def test_a_flat_that_is_no_flag_is_refused(make):
    message = refusal(TypeError, make(flat="yes").fit, X)
    assert message == "flat is 'yes'; it must be True or False"
    assert "flat is 1;" in refusal(TypeError, make().fit(X).set_params(flat=1).transform, X)


@MADE
def test_names_are_there_once_it_is_fitted(make):
    with pytest.raises(NotFittedError):
        make().get_feature_names_out()


@MADE
def test_scikit_learns_classifiers_take_the_rows(make):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    x, y = images(n=40), np.arange(40) % 2
    x[y == 1, :, :3] += 3
    pipeline = make_pipeline(make(flat=True), LogisticRegression()).fit(x, y)
    assert pipeline.score(x, y) == 1
    assert pipeline[-1].n_features_in_ == len(pipeline[:-1].get_feature_names_out()) == 64
