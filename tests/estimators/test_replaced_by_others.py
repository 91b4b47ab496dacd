"""Arrays of a fitted classifier, whitener or baseline are replaced: used as they are, or not."""

import numpy as np
import pytest

from minisca import LinearSVM
from minisca.baselines import KSparseAutoencoder
from minisca.preprocessing import ZCA, contrast_normalise
from minisca.validation import check_number
from tests.support.layers import few, layer, refusal

FITTED = {
    "coef": lambda x: LinearSVM(max_iter=2).fit(x, np.arange(len(x)) % 3),
    "whitening": ZCA().fit,
    "filters": KSparseAutoencoder(4, 2, n_active_start=None, n_epochs=1, verbose=False).fit,
}
USE = {"coef": "predict", "whitening": "transform", "filters": "transform"}


@pytest.mark.parametrize("name", FITTED)
def test_what_cannot_be_a_learned_array_is_refused_by_name(name, tmp_path):
    x = few()
    made = FITTED[name](x)
    use, right = getattr(made, USE[name]), getattr(made, f"{name}_")
    expected = use(x)
    for bad, error in (
        (right.tolist(), TypeError),
        (np.ma.MaskedArray(right, right > 0), TypeError),
        (right.astype(complex), TypeError),
        (right.astype(str), TypeError),
        (right[:-1], ValueError),
        (right[0], ValueError),
    ):
        setattr(made, f"{name}_", bad)
        assert refusal(error, use, x).startswith(f"{name}_ ")
        assert refusal(error, made.save, tmp_path / "made.npz").startswith(f"{name}_ ")
    for same in (np.asfortranarray(right), right.astype(right.dtype.newbyteorder())):
        setattr(made, f"{name}_", same)
        np.testing.assert_allclose(use(x), expected, atol=1e-5)


def test_masked_images_features_and_labels_are_refused_unless_nothing_is_masked():
    x, labels = few(), np.arange(len(few())) % 3
    hidden, whole = np.ma.masked_less(x, 0.1), np.ma.MaskedArray(x, False)
    for use in (layer().fit, contrast_normalise, lambda x: LinearSVM().fit(x, labels)):
        assert refusal(ValueError, use, hidden).startswith("X has masked values")
    np.testing.assert_array_equal(contrast_normalise(whole), contrast_normalise(x))
    message = refusal(ValueError, LinearSVM().fit, x, np.ma.masked_equal(labels, 1))
    assert message.startswith("y has masked values")


@pytest.mark.parametrize("huge", [2**64, 10**400, -(10**400), np.longdouble("1e4000")])
def test_numbers_beyond_all_floats_are_refused_or_compared_like_others(huge):
    if abs(huge) < 2**100:
        assert check_number("l2", huge) == 2.0**64
    else:
        assert "l2 is " in refusal(ValueError, check_number, "l2", huge, -np.inf)


def test_an_out_that_is_read_only_is_refused():
    made = layer(n_epochs=0).fit(few())
    out = made.transform(few())
    out.flags.writeable = False
    assert refusal(ValueError, made.transform, few(), out).startswith("out is read-only")
