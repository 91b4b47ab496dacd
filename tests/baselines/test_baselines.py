"""What every baseline does: the same every time, files, and refusals that say what is wrong."""

import numpy as np
import pytest

import minisca
from tests.support.baselines import autoencoder, bars, network, patches, pictures, triangle
from tests.support.layers import Slices

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


SHARED = [
    ({"n_epochs": -1}, ValueError, "n_epochs is -1"),
    ({"n_epochs": True}, TypeError, "n_epochs is True"),
    ({"batch_size": 0}, ValueError, "batch_size is 0"),
    ({"learning_rate": 0}, ValueError, "learning_rate is 0"),
    ({"learning_rate": np.nan}, ValueError, "learning_rate is nan"),
    ({"momentum": 1}, ValueError, "momentum is 1"),
    ({"momentum": -1}, ValueError, "momentum is -1"),
    ({"random_state": 1.5}, TypeError, "random_state is 1.5"),
    ({"random_state": -1}, ValueError, "random_state is -1"),
    ({"dtype": "float16"}, ValueError, "dtype is 'float16'"),
    ({"backend": "abacus"}, ValueError, "backend is 'abacus'"),
]
BAD = {
    "network": [
        *SHARED,
        ({"n_maps": 0}, ValueError, "n_maps is 0"),
        ({"filter_width": 4}, ValueError, "filter_width is 4; it must be an odd integer"),
        ({"pool_width": 2.5}, TypeError, "pool_width is 2.5"),
        ({"pool_stride": 0}, ValueError, "pool_stride is 0"),
        ({"l2": -1}, ValueError, "l2 is -1"),
    ],
    "autoencoder": [
        *SHARED,
        ({"n_units": 0}, ValueError, "n_units is 0"),
        ({"n_active": 13}, ValueError, "n_active is 13; it must be at most n_units, which is 12"),
        ({"n_active": None}, TypeError, "n_active is None"),
        ({"n_active_start": 13}, ValueError, "n_active_start is 13; it must be at most n_units"),
        ({"init_scale": 0}, ValueError, "init_scale is 0"),
    ],
    "triangle": [
        ({"n_maps": 0}, ValueError, "n_maps is 0"),
        ({"patch_width": 2.5}, TypeError, "patch_width is 2.5"),
        ({"stride": 0}, ValueError, "stride is 0"),
        ({"grid": 0}, ValueError, "grid is 0"),
        ({"normalise": 1}, TypeError, "normalise is 1; it must be True or False"),
        ({"whiten": None}, TypeError, "whiten is None; it must be True or False"),
        ({"standardise": "no"}, TypeError, "standardise is 'no'; it must be True or False"),
        ({"contrast_epsilon": 0}, ValueError, "contrast_epsilon is 0"),
        ({"zca_epsilon": -1}, ValueError, "zca_epsilon is -1"),
        ({"n_patches": -5}, ValueError, "n_patches is -5"),
        ({"n_iterations": 0}, ValueError, "n_iterations is 0"),
        ({"random_state": -1}, ValueError, "random_state is -1"),
        ({"patch_width": 8}, ValueError, "is 8; for images of 8x7 pixels it must be at most 7"),
        ({"grid": 6}, ValueError, "grid is 6; for 6x5 places of patches it must be at most 5"),
        ({"n_maps": 201}, ValueError, "n_maps is 201; it must be at most .* 200"),
        ({"n_maps": 361, "n_patches": 999}, ValueError, "n_maps is 361; it must be .* 360 "),
    ],
}


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [(name, *bad) for name, table in BAD.items() for bad in table],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_parameter_is_named(name, parameters, error, message):
    make, data, _ = BASELINES[name]
    with pytest.raises(error, match=message):
        make(**parameters).fit(*data())


@over_baselines
def test_bad_images_are_refused(name):
    made, x, use = fit(name)
    make, data, _ = BASELINES[name]
    cut = x[:, :, 1:]
    size, c = f"{cut.shape[2]}x{cut.shape[3]}", x.shape[1]
    with pytest.raises(ValueError, match=f"X has images of {size} pixels; they must be .*in fit"):
        use(cut)
    with pytest.raises(ValueError, match=f"X has {c + 1} channels"):
        use(np.concatenate([x, x[:, :1]], axis=1))
    with pytest.raises(minisca.NotFittedError, match=f"this {type(made).__name__} is not fitted"):
        getattr(make(), use.__name__)(x)
    x, *labels = data()
    with pytest.raises(ValueError, match=r"X has shape \("):
        make().fit(x[:, :, :, 0], *labels)
    x[5, 0, 2, 1] = np.inf
    with pytest.raises(ValueError, match="has the value inf in image 5"):
        make().fit(x, *labels)


def test_parameters_changed_after_fit_are_refused_where_they_shape_what_was_learned(tmp_path):
    made, x, _ = fit("triangle")
    made.set_params(n_maps=6)
    for use in (lambda: made.transform(x), lambda: made.save(tmp_path / "k.npz")):
        with pytest.raises(
            ValueError, match=r"centres_ has shape \(5, 2, 3, 3\); .* call fit again"
        ):
            use()
    assert not list(tmp_path.iterdir())
