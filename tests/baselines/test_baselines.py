"""What every baseline does: the same every time, files, and refusals that say what is wrong."""

import itertools

import numpy as np
import pytest

import minisca
from tests.support.baselines import autoencoder, bars, network, patches, pictures, triangle
from tests.support.layers import Slices, refusal

#: {name: (maker, a function that gives it images (and labels) to learn, what it makes of them)}
BASELINES = {
    "network": (network, bars, "predict_proba"),
    "autoencoder": (autoencoder, lambda: (patches(),), "transform"),
    "triangle": (triangle, lambda: (pictures(),), "transform"),
}
over_baselines = pytest.mark.parametrize("name", BASELINES)


def fit(name, **parameters):
    """A fitted baseline, the images it has learned, and its method that uses what it learned."""
    make, data, method = BASELINES[name]
    made = make(**parameters).fit(*data())
    return made, data()[0], getattr(made, method)


@over_baselines
def test_two_fits_give_the_same_bits_and_another_seed_others(name):
    one, two, other = (fit(name, random_state=seed)[0] for seed in (3, 3, 4))
    main = f"{one._main}_"
    for array in one._learned_shapes():
        np.testing.assert_array_equal(getattr(one, f"{array}_"), getattr(two, f"{array}_"))
    assert not np.array_equal(getattr(one, main), getattr(other, main))


@pytest.mark.parametrize("name", ["network", "autoencoder"])
def test_an_interrupted_epoch_leaves_the_parameters_of_the_one_before(name):
    make, data, _ = BASELINES[name]
    x, *labels = data()
    made, again = make(n_epochs=3), make(n_epochs=3)
    batches = -(-len(x) // made.batch_size)
    # after one read at the start, as many a pass as there are batches
    for one, read in ((made, 1 + 2 * batches + 3), (again, 1 + 2 * batches)):
        with pytest.raises(KeyboardInterrupt):
            one.fit(Slices(x, fail_at=read), *labels)
    assert len(made.loss_history_) == 2
    for array in made._learned_shapes():
        np.testing.assert_array_equal(getattr(made, f"{array}_"), getattr(again, f"{array}_"))


@pytest.mark.parametrize("name", ["network", "autoencoder"])
def test_a_loss_that_explodes_is_reported_with_the_advice_and_leaves_finite_filters(name):
    make, data, _ = BASELINES[name]
    made = make(learning_rate=1e30)
    with pytest.raises(minisca.DivergenceError, match="lower learning_rate, which is 1e\\+30"):
        made.fit(*data())
    assert np.isfinite(made.filters_).all()


TRAINED, TRIANGLE = ["network", "autoencoder"], ["triangle"]
#: (baselines, error, {setting: values that are none})
BAD = [
    (TRAINED, ValueError, {"n_epochs": [-1], "batch_size": [0], "learning_rate": [0, np.nan]}),
    (TRAINED, ValueError, {"momentum": [1, -1], "random_state": [-1], "dtype": ["float16"]}),
    (TRAINED, ValueError, {"backend": ["abacus"]}),
    (TRAINED, TypeError, {"n_epochs": [True], "random_state": [1.5]}),
    (["network"], ValueError, {"n_maps": [0], "filter_width": [4], "pool_stride": [0], "l2": [-1]}),
    (["network"], TypeError, {"pool_width": [2.5]}),
    (["autoencoder"], ValueError, {"n_units": [0], "init_scale": [0]}),
    (["autoencoder"], TypeError, {"n_active": [None]}),
    (TRIANGLE, ValueError, {"n_maps": [0], "stride": [0], "grid": [0], "contrast_epsilon": [0]}),
    (TRIANGLE, ValueError, {"zca_epsilon": [-1], "n_patches": [-5], "n_iterations": [0]}),
    (TRIANGLE, ValueError, {"random_state": [-1]}),
    (TRIANGLE, TypeError, {"normalise": [1], "whiten": [None], "standardise": ["no"]}),
    (TRIANGLE, TypeError, {"patch_width": [2.5]}),
]
#: (baseline, settings that do not fit the others or the images, message)
MISFITS = [
    ("autoencoder", {"n_active": 13}, "n_active is 13; it must be at most n_units, which is 12"),
    ("autoencoder", {"n_active_start": 13}, "n_active_start is 13; it must be at most n_units"),
    ("triangle", {"patch_width": 8}, "is 8; for images of 8x7 pixels it must be at most 7"),
    ("triangle", {"grid": 6}, "grid is 6; for 6x5 places of patches it must be at most 5"),
    ("triangle", {"n_maps": 201}, "n_maps is 201; it must be at most .* 200"),
    ("triangle", {"n_maps": 361, "n_patches": 999}, "n_maps is 361; it must be .* 360 "),
]


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        *(
            (name, {setting: value}, error, f"{setting} is {value!r}; it must be ")
            for names, error, settings in BAD
            for name, (setting, values) in itertools.product(names, settings.items())
            for value in values
        ),
        *((name, settings, ValueError, message) for name, settings, message in MISFITS),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_parameter_is_named(name, parameters, error, message):
    make, data, _ = BASELINES[name]
    with pytest.raises(error, match=message):
        make(**parameters).fit(*data())


@over_baselines
def test_bad_images_are_refused(name):
    made, x, use = fit(name)
    _, c, h, w = x.shape
    make, data, method = BASELINES[name]
    _, *labels = data()
    message = refusal(ValueError, use, x[:, :, 1:])
    assert f"X has images of {h - 1}x{w} pixels; they must be {h}x{w}, as in fit" in message
    doubled = np.concatenate([x, x], axis=1)
    assert f"X has {2 * c} channels" in refusal(ValueError, use, doubled)
    message = refusal(minisca.NotFittedError, getattr(make(), method), x)
    assert f"this {type(made).__name__} is not fitted" in message
    assert "X has shape (" in refusal(ValueError, make().fit, x[:, :, :, 0], *labels)
    x[5, 0, 2, 1] = np.inf
    assert "has the value inf in image 5" in refusal(ValueError, make().fit, x, *labels)


def test_parameters_changed_after_fit_are_refused_where_they_shape_what_was_learned(tmp_path):
    made, x, _ = fit("triangle")
    made.set_params(n_maps=6)
    for use in (lambda: made.transform(x), lambda: made.save(tmp_path / "k.npz")):
        message = refusal(ValueError, use)
        assert message.startswith("centres_ has shape (5, 2, 3, 3); the parameters, changed")
        assert message.endswith("call fit again")
    assert not list(tmp_path.iterdir())
