"""The supervised network: its gradients, what it learns, what it refuses."""

import numpy as np
import pytest

import minisca
from minisca.datasets import load_mnist_sample
from tests.support.baselines import bars, network, set_learned
from tests.support.helpers import EPSILON, derivative_along, unit_directions

NAMES = ("filters", "bias", "coef", "intercept")


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
        set_learned(made, NAMES, values)
        maps = minisca.backends.get_backend("cpu").conv2d(X, *values[:2])
        argmax = minisca.backends.get_backend("cpu").max_pool(np.maximum(maps, 0), *pooling)[1]
        return made.loss_and_gradients(X, y)[0], np.concatenate([argmax.ravel(), maps.ravel() > 0])

    set_learned(made, NAMES, arguments)
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


def test_bad_labels_are_refused():
    X, y = bars()
    with pytest.raises(ValueError, match="y has 29 labels; it must have 30"):
        network().fit(X, y[1:])
    with pytest.raises(ValueError, match="y has one class, 'lying'; it must have two"):
        network().fit(X[1::2], y[1::2])
    made = network().fit(X, y)
    with pytest.raises(ValueError, match=r"y has the label .*'tilted'.*lying.*upright"):
        made.loss_and_gradients(X[:1], ["tilted"])
