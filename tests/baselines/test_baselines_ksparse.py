"""The k-sparse autoencoder of patches: what survives, its gradients, what it learns and refuses."""

import numpy as np
import pytest

import minisca
from minisca.baselines import KSparseAutoencoder
from tests.support.helpers import check_gradient
from tests.support.layers import one_thread  # noqa: F401

NAMES = ("filters", "encoder_bias", "decoder_bias")


def autoencoder(**parameters):
    """A small autoencoder; whatever is not given is small, quick and seeded."""
    small = {
        **{"n_units": 12, "n_active": 3, "n_active_start": None, "n_epochs": 3, "batch_size": 10},
        **{
            "learning_rate": 0.1,
            "init_scale": 0.1,
            "random_state": 0,
            "backend": "cpu",
            "verbose": False,
        },
    }
    return KSparseAutoencoder(**{**small, **parameters})


def patches(n=60, seed=0, dtype=np.float32):
    """Sums of two of six fixed patterns, in changing strengths: (n, 2, 4, 3)."""
    patterns = np.random.default_rng(9).standard_normal((6, 2, 4, 3))
    rng = np.random.default_rng(seed)
    x = np.zeros((n, 2, 4, 3), dtype)
    for patch in x:
        for pattern in patterns[rng.choice(6, 2, replace=False)]:
            patch += rng.uniform(0.5, 1.5) * pattern
    return x


@pytest.mark.parametrize("n_active", [1, 3, 12])
def test_exactly_the_k_largest_units_survive_with_their_values(n_active):
    x = patches()
    made = autoencoder(n_active=n_active, n_epochs=1, dtype="float64").fit(x)
    made.encoder_bias_ += np.linspace(-1, 1, 12)
    code = made.transform(x)
    hidden = x.reshape(60, -1).astype(float) @ made.filters_.reshape(12, -1).T + made.encoder_bias_
    for row, units in zip(code, hidden, strict=True):
        survivors = np.flatnonzero(row)
        assert len(survivors) == n_active
        assert set(survivors) == set(np.argsort(-units)[:n_active])
        np.testing.assert_allclose(row[survivors], units[survivors], rtol=1e-12)


def test_a_reconstruction_is_the_codes_sum_of_the_same_filters():
    x = patches()
    made = autoencoder().fit(x)
    expected = np.tensordot(made.transform(x), made.filters_, axes=1) + made.decoder_bias_
    np.testing.assert_allclose(made.reconstruct(x), expected, rtol=1e-4, atol=1e-5)
    error = np.square(made.reconstruct(x) - x, dtype=np.float64).sum() / 60
    assert made.score(x) == pytest.approx(-error, rel=1e-6)


def test_its_gradients_are_those_of_finite_differences():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 1, 2, 3))
    made = autoencoder(n_units=5, n_active=2, n_epochs=0, dtype="float64").fit(x)
    arguments = [rng.standard_normal(getattr(made, f"{name}_").shape) for name in NAMES]

    def set_parameters(values):
        for name, value in zip(NAMES, values, strict=True):
            setattr(made, f"{name}_", value)

    def loss(*values):
        set_parameters(values)
        return made.loss_and_gradients(x)[0], made.transform(x) != 0

    def magnitude(filters, encoder_bias, decoder_bias):
        filters = filters.reshape(5, -1)
        hidden = np.abs(x).reshape(4, -1) @ filters.T + encoder_bias
        rebuilt = hidden @ filters + decoder_bias.reshape(-1) + np.abs(x).reshape(4, -1)
        return np.sum(rebuilt**2) / 4

    set_parameters(arguments)
    _, gradients = made.loss_and_gradients(x)
    check_gradient(
        loss,
        magnitude,
        arguments,
        [gradients[name] for name in NAMES],
        # hidden units, reconstruction, difference, twice each for the square; the sum, the mean
        roundings=2 * (6 + 1 + 5 + 1 + 1) + 1 + x.size + 1,
        step=2.0**-12,
        every_coordinate=True,
    )


def test_units_fall_linearly_to_k_over_the_first_fifth_of_the_epochs():
    made = autoencoder(n_active=2, n_active_start=10, n_epochs=20)
    assert [made._units_of_epoch(epoch) for epoch in range(20)] == [10, 8, 6, 4] + [2] * 16
    made = autoencoder(n_active=2, n_epochs=20)
    assert {made._units_of_epoch(epoch) for epoch in range(20)} == {2}


def test_it_rebuilds_unseen_patches_of_the_same_kind():
    made = autoencoder(n_epochs=60, n_active_start=8).fit(patches(300))
    unseen = patches(100, seed=1)
    variance = np.square(unseen - unseen.mean(axis=0)).sum() / 100
    assert -made.score(unseen) < 0.25 * variance
    assert made.loss_history_[-1] < made.loss_history_[0]


def test_two_fits_give_the_same_bits_and_another_seed_others():
    one, two, other = (autoencoder(random_state=seed).fit(patches()) for seed in (3, 3, 4))
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, f"{name}_"), getattr(two, f"{name}_"))
    assert not np.array_equal(one.filters_, other.filters_)


def test_a_saved_autoencoder_encodes_as_before(tmp_path):
    made = autoencoder().fit(patches())
    made.save(tmp_path / "k.npz")
    loaded = KSparseAutoencoder.load(tmp_path / "k.npz")
    assert loaded.get_params() == made.get_params()
    np.testing.assert_array_equal(loaded.transform(patches()), made.transform(patches()))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_units": 0}, ValueError, "n_units is 0"),
        ({"n_active": 13}, ValueError, "n_active is 13; it must be at most n_units, which is 12"),
        ({"n_active": None}, TypeError, "n_active is None"),
        ({"n_active_start": 13}, ValueError, "n_active_start is 13; it must be at most n_units"),
        ({"n_epochs": True}, TypeError, "n_epochs is True"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"learning_rate": np.nan}, ValueError, "learning_rate is nan"),
        ({"momentum": -1}, ValueError, "momentum is -1"),
        ({"init_scale": 0}, ValueError, "init_scale is 0"),
        ({"random_state": 1.5}, TypeError, "random_state is 1.5"),
        ({"dtype": "int8"}, ValueError, "dtype is 'int8'"),
        ({"backend": "abacus"}, ValueError, "backend is 'abacus'"),
    ],
)
def test_a_bad_parameter_is_named(parameters, error, message):
    with pytest.raises(error, match=message):
        autoencoder(**parameters).fit(patches())


def test_bad_patches_are_refused():
    x = patches()
    made = autoencoder().fit(x)
    with pytest.raises(ValueError, match="X has images of 3x3 pixels; they must be 4x3, as in fit"):
        made.transform(x[:, :, 1:])
    with pytest.raises(ValueError, match="X has 1 channels"):
        made.reconstruct(x[:, :1])
    with pytest.raises(minisca.NotFittedError, match="this KSparseAutoencoder is not fitted yet"):
        autoencoder().transform(x)
    x[5, 1, 2, 0] = np.inf
    with pytest.raises(ValueError, match="X has the value inf in image 5"):
        autoencoder().fit(x)


def test_a_loss_that_explodes_is_reported_with_the_advice_and_leaves_finite_filters():
    made = autoencoder(learning_rate=1e30)
    with pytest.raises(minisca.DivergenceError, match="lower learning_rate, which is 1e\\+30"):
        made.fit(patches())
    assert np.isfinite(made.filters_).all()
