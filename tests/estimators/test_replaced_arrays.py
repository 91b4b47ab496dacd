"""A fitted layer whose arrays were replaced is used and trained as it should be, or refused."""

import copy
import pickle

import joblib
import numpy as np
import pytest

from tests.support.layers import PARAMETERS, assert_same_state, images, layer

over_parameters = pytest.mark.parametrize("name", PARAMETERS)


@pytest.fixture(scope="module")
def fitted():
    return layer(n_maps=5).fit(images(12))


def results(made):
    """What a layer makes of images, and what an epoch more makes of it."""
    x = images(12)
    encoded = made.transform(x), made.reconstruct(x), made.usage(x), *made.winners(x)
    return [*encoded, *copy.deepcopy(made).partial_fit(x).state_.parameters.values()]


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


#: The same numbers in other arrays.
FORMS = {
    "float64": lambda a: a.astype(np.float64),
    "Fortran": np.asfortranarray,
    "a transposed view": lambda a: np.ascontiguousarray(a.T).T,
    "read-only": frozen,
    "big-endian": lambda a: a.astype(">f4"),
    "unpickled": lambda a: pickle.loads(pickle.dumps(a)),
    "list": np.ndarray.tolist,
}


@over_parameters
@pytest.mark.parametrize("form", FORMS)
def test_an_array_that_was_replaced_by_the_same_numbers_changes_nothing(fitted, name, form):
    made = copy.deepcopy(fitted)
    setattr(made, name, FORMS[form](getattr(made, name)))
    for found, right in zip(results(made), results(fitted), strict=True):
        np.testing.assert_array_equal(found, right, strict=True)


@over_parameters
@pytest.mark.parametrize("form", ["Fortran", "a transposed view", "read-only", "unpickled"])
def test_nor_does_it_within_the_state(fitted, name, form):
    for where in (lambda state: state.parameters, lambda state: state.velocities):
        made = copy.deepcopy(fitted)
        arrays, key = where(made.state_), name.removesuffix("_")
        arrays[key] = FORMS[form](arrays[key])
        before = arrays[key].copy()
        for found, right in zip(results(made), results(fitted), strict=True):
            np.testing.assert_array_equal(found, right, strict=True)
        np.testing.assert_array_equal(arrays[key], before)


@over_parameters
@pytest.mark.parametrize("form", ["float64", "float16", "list"])
def test_within_the_state_other_numbers_are_refused(fitted, name, form):
    made = copy.deepcopy(fitted)
    array = made.state_.parameters[name.removesuffix("_")]
    made.state_.parameters[name.removesuffix("_")] = (
        array.tolist() if form == "list" else array.astype(form)
    )
    for use in (made.transform, made.reconstruct, made.winners, made.partial_fit):
        with pytest.raises((TypeError, ValueError), match=r"filters_|bias_|dtype"):
            use(images(12))


@over_parameters
@pytest.mark.parametrize("change", [lambda a: a[..., :-1], lambda a: a[None], lambda a: a.sum()])
def test_an_array_of_another_shape_is_refused_by_name(fitted, name, change, tmp_path):
    made = copy.deepcopy(fitted)
    setattr(made, name, change(getattr(made, name)))
    for use in (made.transform, made.reconstruct, made.winners, made.partial_fit, made.score):
        with pytest.raises(ValueError, match=r"\w+_ has shape .*; it must be"):
            use(images(12))
    with pytest.raises(ValueError, match=r"\w+_ has shape"):
        made.save(tmp_path / "layer.npz")


@over_parameters
@pytest.mark.parametrize("bad", [None, "text", 1j])
def test_what_is_no_real_numbers_is_refused_when_it_is_set(fitted, name, bad):
    with pytest.raises(TypeError, match=f"{name} has dtype"):
        setattr(copy.deepcopy(fitted), name, bad)


def test_fewer_maps_may_be_kept_than_were_learned(fitted):
    made = copy.deepcopy(fitted).set_params(n_maps=2)
    for name in PARAMETERS[:3]:
        setattr(made, name, getattr(made, name)[:2])
    np.testing.assert_array_equal(made.transform(images(12)), fitted.transform(images(12))[:, :2])


@pytest.mark.parametrize("tied", [False, True])
def test_a_layer_in_read_only_memory_trains_as_its_original(tied, tmp_path):
    x = images(8, channels=8)
    made = layer(n_maps=256, filter_width=7, n_epochs=1, tied=tied, init_scale=0.01).fit(x)
    joblib.dump(made, tmp_path / "layer")
    mapped = joblib.load(tmp_path / "layer", mmap_mode="r")
    assert not mapped.encoder_filters_.flags.writeable
    before = (tmp_path / "layer").read_bytes()
    assert_same_state(mapped.partial_fit(x), made.partial_fit(x))
    assert (tmp_path / "layer").read_bytes() == before
