"""The supervised network: its gradients, what it learns, what it refuses."""

import numpy as np
import pytest

import minisca
from minisca.baselines import SupervisedConvNet
from minisca.datasets import load_mnist_sample
from tests.support.helpers import derivative_along, unit_directions
from tests.support.layers import Slices, one_thread  # noqa: F401

NAMES = ("filters", "bias", "coef", "intercept")
EPSILON = np.finfo(np.float64).eps


def network(**parameters):
    """A small network; whatever is not given is small, quick and seeded."""
    small = {
        **{"n_maps": 3, "filter_width": 3, "pool_width": 3, "pool_stride": 2, "n_epochs": 3},
        **{"batch_size": 7, "random_state": 0, "backend": "cpu", "verbose": False},
    }
    return SupervisedConvNet(**{**small, **parameters})


def bars(n=30, dtype=np.float32, seed=0):
    """Noise with a bright bar, upright or lying: X (n, 1, 8, 7) and y of two words."""
    rng = np.random.default_rng(seed)
    X = 0.2 * rng.random((n, 1, 8, 7)).astype(dtype)
    X[::2, :, :, 3] += 1
    X[1::2, :, 4] += 1
    return X, np.where(np.arange(n) % 2, "lying", "upright")


def set_parameters(made, values):
    for name, value in zip(NAMES, values, strict=True):
        setattr(made, f"{name}_", value)


@pytest.mark.parametrize(
    ("shape", "pooling"), [((5, 1, 8, 7), (3, 2)), ((4, 3, 6, 6), (5, 3)), ((3, 2, 1, 1), (1, 1))]
)
def test_its_gradients_are_those_of_finite_differences(shape, pooling):
    """Along random directions of all parameters, by a difference whose own error is measured.

    A five-point difference at step h is off by a h^4: half the step leaves a sixteenth of that, so
    the two disagree by 15 times the error of the finer one. Rounding adds r eps S / h: r
    roundings in a row at most, S twice the largest sum of the absolute terms of a logit.
    """
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal(shape), np.arange(shape[0]) % 3
    made = network(pool_width=pooling[0], pool_stride=pooling[1], l2=0.1, dtype="float64")
    made.set_params(n_epochs=0).fit(X, y)
    arguments = [0.5 * rng.standard_normal(getattr(made, f"{name}_").shape) for name in NAMES]

    def loss(*values):
        set_parameters(made, values)
        maps = minisca.backends.get_backend("cpu").conv2d(X, *values[:2])
        argmax = minisca.backends.get_backend("cpu").max_pool(np.maximum(maps, 0), *pooling)[1]
        return made.loss_and_gradients(X, y)[0], np.concatenate([argmax.ravel(), maps.ravel() > 0])

    set_parameters(made, arguments)
    _, gradients = made.loss_and_gradients(X, y)
    filters, bias, coef, intercept = map(np.abs, arguments)
    largest_unit = np.abs(X).sum(axis=(1, 2, 3)).max() * filters.max() + bias.max()
    magnitude = 2 * (largest_unit * coef.sum(axis=1).max() + intercept.max())
    roundings = filters[0].size + 2 + coef.shape[1] + shape[0] + 10
    step = 2.0**-11
    for _ in range(3):
        directions = unit_directions(rng, arguments)
        coarse, fine = (derivative_along(directions, loss, arguments, h) for h in (2 * step, step))
        analytical = sum(
            np.vdot(gradients[name], d) for name, d in zip(NAMES, directions, strict=True)
        )
        tolerance = abs(coarse - fine) + roundings * EPSILON * magnitude / step
        assert tolerance < 1e-6 * np.linalg.norm([np.linalg.norm(g) for g in gradients.values()])
        assert abs(analytical - fine) <= tolerance


def test_a_batch_in_parts_gives_the_whole_batchs_gradients(monkeypatch):
    X, y = bars(dtype=np.float64)
    made = network(dtype="float64").fit(X, y)
    loss, gradients = made.loss_and_gradients(X, y)
    monkeypatch.setattr("minisca.baselines.convnet.DENSE_BYTES", 4 * made._bytes_per_image())
    in_parts, parts = made.loss_and_gradients(X, y)
    assert in_parts == pytest.approx(loss, rel=1e-13)
    for name in NAMES:
        scale = np.abs(gradients[name]).max()
        np.testing.assert_allclose(parts[name], gradients[name], rtol=0, atol=1e-13 * scale)


def test_the_loss_begins_at_the_logarithm_of_the_number_of_classes():
    X, y = bars()
    made = network(n_epochs=0, l2=0.0).fit(X, y)
    assert made.loss_and_gradients(X, y)[0] == pytest.approx(np.log(2), rel=1e-6)


def test_the_features_are_what_the_softmax_sees():
    X, y = bars()
    made = network().fit(X, y)
    features = made.transform(X)
    assert features.shape == (30, 3, 4, 4)
    logits = features.reshape(30, -1) @ made.coef_.T + made.intercept_
    np.testing.assert_allclose(made.decision_function(X), logits[:, 1] - logits[:, 0], rtol=1e-5)
    np.testing.assert_allclose(made.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(made.predict(X), made.classes_[logits.argmax(axis=1)])


def test_it_learns_bars_of_either_direction():
    made = network(n_epochs=20).fit(*bars())
    assert made.score(*bars(seed=1)) == 1.0
    assert made.loss_history_[-1] < made.loss_history_[0] / 2


def test_it_learns_digits_far_beyond_chance():
    data = load_mnist_sample()
    made = network(n_maps=8, filter_width=5, pool_width=5, pool_stride=3, batch_size=50, n_epochs=4)
    made.fit(data.train_images[:1000], data.train_labels[:1000])
    assert made.score(data.test_images[:500], data.test_labels[:500]) > 0.8  # chance: 0.1


def test_two_fits_give_the_same_bits_and_another_seed_others():
    X, y = bars()
    one, two, other = (network(random_state=seed).fit(X, y) for seed in (3, 3, 4))
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, f"{name}_"), getattr(two, f"{name}_"))
    assert not np.array_equal(one.filters_, other.filters_)


def test_a_saved_network_predicts_as_before(tmp_path):
    X, y = bars()
    made = network().fit(X, y)
    made.save(tmp_path / "network.npz")
    loaded = SupervisedConvNet.load(tmp_path / "network.npz")
    assert loaded.get_params() == made.get_params()
    np.testing.assert_array_equal(loaded.predict_proba(X), made.predict_proba(X))
    np.testing.assert_array_equal(loaded.loss_history_, made.loss_history_)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_maps": 0}, ValueError, "n_maps is 0"),
        ({"filter_width": 4}, ValueError, "filter_width is 4; it must be an odd integer"),
        ({"pool_width": 2.5}, TypeError, "pool_width is 2.5"),
        ({"pool_stride": 0}, ValueError, "pool_stride is 0"),
        ({"l2": -1}, ValueError, "l2 is -1"),
        ({"n_epochs": -1}, ValueError, "n_epochs is -1"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"learning_rate": 0}, ValueError, "learning_rate is 0"),
        ({"momentum": 1}, ValueError, "momentum is 1"),
        ({"random_state": -1}, ValueError, "random_state is -1"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16'"),
        ({"backend": "abacus"}, ValueError, "backend is 'abacus'"),
    ],
)
def test_a_bad_parameter_is_named(parameters, error, message):
    with pytest.raises(error, match=message):
        network(**parameters).fit(*bars())


def test_bad_labels_are_refused():
    X, y = bars()
    with pytest.raises(ValueError, match="y has 29 labels; it must have 30"):
        network().fit(X, y[1:])
    with pytest.raises(ValueError, match="y has one class, 'lying'; it must have two"):
        network().fit(X[1::2], y[1::2])
    made = network().fit(X, y)
    with pytest.raises(ValueError, match=r"y has the label .*'tilted'.*lying.*upright"):
        made.loss_and_gradients(X[:1], ["tilted"])


def test_bad_images_are_refused():
    X, y = bars()
    made = network().fit(X, y)
    with pytest.raises(ValueError, match="X has images of 7x7 pixels; they must be 8x7, as in fit"):
        made.predict(X[:, :, 1:])
    X[3, 0, 2, 1] = np.nan
    with pytest.raises(ValueError, match="X has the value nan in image 3"):
        network().fit(X, y)
    with pytest.raises(minisca.NotFittedError, match="this SupervisedConvNet is not fitted yet"):
        network().predict(X)


def test_an_interrupted_epoch_leaves_the_parameters_of_the_one_before():
    X, y = bars()
    # after one read at the start, 5 batches an epoch: that after two epochs and three batches fails
    made = network(n_epochs=3)
    with pytest.raises(KeyboardInterrupt):
        made.fit(Slices(X, fail_at=14), y)
    assert len(made.loss_history_) == 2
    again = network(n_epochs=3)
    with pytest.raises(KeyboardInterrupt):
        again.fit(Slices(X, fail_at=11), y)
    np.testing.assert_array_equal(made.filters_, again.filters_)
    np.testing.assert_array_equal(made.coef_, again.coef_)


def test_a_loss_that_explodes_is_reported_with_the_advice_and_leaves_finite_filters():
    X, y = bars()
    made = network(learning_rate=1e30)
    with pytest.raises(minisca.DivergenceError, match="lower learning_rate, which is 1e\\+30"):
        made.fit(X, y)
    assert np.isfinite(made.filters_).all()
