"""The k-sparse autoencoder of patches: what survives, its gradients, what it learns and refuses."""

import numpy as np
import pytest

from tests.support.baselines import autoencoder, patches, set_learned
from tests.support.helpers import check_gradient

NAMES = ("filters", "encoder_bias", "decoder_bias")


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

    def loss(*values):
        set_learned(made, NAMES, values)
        return made.loss_and_gradients(x)[0], made.transform(x) != 0

    def magnitude(filters, encoder_bias, decoder_bias):
        filters = filters.reshape(5, -1)
        hidden = np.abs(x).reshape(4, -1) @ filters.T + encoder_bias
        rebuilt = hidden @ filters + decoder_bias.reshape(-1) + np.abs(x).reshape(4, -1)
        return np.sum(rebuilt**2) / 4

    set_learned(made, NAMES, arguments)
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


def test_patches_of_other_channels_are_not_rebuilt():
    x = patches()
    made = autoencoder().fit(x)
    with pytest.raises(ValueError, match="X has 1 channels"):
        made.reconstruct(x[:, :1])
