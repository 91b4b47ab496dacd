"""A layer of filters from elsewhere is one that `fit` might have made."""

import numpy as np
import pytest

import minisca
from minisca import SparseConvAutoencoder
from tests.support.layers import PARAMETERS, images, layer

OPTIONS = {"pool_width": 3, "pool_stride": 2, "backend": "cpu", "verbose": False}


def arrays(fitted):
    return [getattr(fitted, name) for name in PARAMETERS]


def made(fitted, **more):
    size = {"image_size": fitted.image_size_, "centre": fitted.centre_}
    return SparseConvAutoencoder.from_filters(*arrays(fitted), **(OPTIONS | size | more))


@pytest.mark.parametrize("settings", [{}, {"centre": True}, {"dtype": "float64"}], ids=str)
def test_it_makes_what_the_layer_makes_that_the_filters_are_of(settings, tmp_path):
    fitted = layer(**settings).fit(x := images())
    again = made(fitted, dtype=fitted.dtype)
    again.save(tmp_path / "layer.npz")
    for each in (again, SparseConvAutoencoder.load(tmp_path / "layer.npz")):
        for ours, theirs in ((each.transform, fitted.transform), (each.winners, fitted.winners)):
            np.testing.assert_array_equal(ours(x), theirs(x))
        np.testing.assert_array_equal(each.reconstruct(x), fitted.reconstruct(x))
    assert (again.n_maps, again.filter_width, again.loss_history_) == (4, 3, [])
    assert again.partial_fit(x).n_epochs_done_ == 1


def test_without_decoder_filters_they_are_the_encoders():
    fitted = layer(tied=True).fit(x := images())
    encoder, bias, _, decoder_bias = arrays(fitted)
    again = SparseConvAutoencoder.from_filters(encoder, bias, None, decoder_bias, (8, 7), **OPTIONS)
    assert again.tied
    np.testing.assert_array_equal(again.reconstruct(x), fitted.reconstruct(x))


def test_the_arrays_are_copied_and_may_be_lists():
    encoder = np.ones((2, 1, 3, 3))
    rest = [[0, 0], encoder.tolist(), [0]]
    taken = SparseConvAutoencoder.from_filters(encoder, *rest, image_size=[8, 7], backend="cpu")
    encoder[:] = 2
    assert taken.encoder_filters_.max() == 1
    assert taken.encoder_filters_.dtype == np.float32


def test_the_contrast_is_divided_by_that_of_the_patch_energy():
    fitted = layer(encoding_contrast=0.1).fit(x := images())
    again = made(fitted, encoding_contrast=0.1, patch_energy=fitted.patch_energy_)
    np.testing.assert_array_equal(again.transform(x), fitted.transform(x))


WRONG = {
    "encoder of rank 3": ((0, np.ones((4, 3, 3))), ValueError, r"encoder_filters has shape \(4, 3"),
    "even": ((0, np.ones((4, 1, 4, 4))), ValueError, r"filters has shape|odd width"),
    "not square": ((0, np.ones((4, 1, 3, 5))), ValueError, "encoder_filters has shape"),
    "bias": ((1, np.ones(5)), ValueError, r"encoder_bias has shape \(5,\); it must be \(4\)"),
    "decoder": ((2, np.ones((3, 1, 3, 3))), ValueError, "decoder_filters has shape"),
    "channels": ((3, np.ones(2)), ValueError, r"decoder_bias has shape \(2,\)"),
    "text": ((0, "filters"), TypeError, "encoder_filters has dtype"),
    "complex": ((1, np.ones(4, complex)), TypeError, "encoder_bias has dtype complex"),
    "infinite": ((1, [0, 0, np.inf, 0]), ValueError, "encoder_bias has values that are not finite"),
    "too large": ((1, [0, 0, 1e300, 0]), ValueError, "encoder_bias has values .* in float32"),
    "ragged": ((1, [[0], [0, 1]]), ValueError, "encoder_bias is a list that is no array"),
}


@pytest.mark.parametrize(("change", "error", "message"), WRONG.values(), ids=WRONG)
def test_arrays_that_do_not_fit_are_named(change, error, message):
    right = [np.ones((4, 1, 3, 3)), np.zeros(4), np.ones((4, 1, 3, 3)), np.zeros(1)]
    place, array = change
    right[place] = array
    with pytest.raises(error, match=message):
        SparseConvAutoencoder.from_filters(*right, image_size=(8, 7), backend="cpu")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"image_size": 8}, TypeError, r"image_size is 8; it must be \(height, width\)"),
        ({"image_size": (8, 0)}, ValueError, "image_size is 0"),
        ({"centre": [1, 2]}, ValueError, r"centre has shape \(2,\)"),
        ({"patch_energy": -1}, ValueError, "patch_energy is -1"),
        ({"n_maps": 4}, TypeError, "n_maps is 4; it follows from the filters"),
        ({"pool_width": 0}, ValueError, "pool_width is 0"),
        ({"nothing": 0}, TypeError, "nothing"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, error, message):
    right = [np.ones((4, 1, 3, 3)), np.zeros(4), np.ones((4, 1, 3, 3)), np.zeros(1)]
    with pytest.raises(error, match=message):
        SparseConvAutoencoder.from_filters(*right, **({"image_size": (8, 7)} | settings))


def test_the_layer_that_comes_with_minisca_is_that_of_its_record():
    trained = minisca.datasets.load_trained("mnist-16").set_params(backend="cpu", verbose=False)
    assert trained.encoder_filters_.shape == (16, 1, 7, 7)
    assert trained.loss_history_[-1] == pytest.approx(16.97, abs=0.01)
    assert trained.state_.images["shape"] == [60000, 1, 28, 28]
    digits = minisca.datasets.load_mnist_sample().test_images
    assert -trained.score(digits) == pytest.approx(17, abs=0.5)
    assert (trained.usage(digits) > 0.5).all()
    with pytest.raises(ValueError, match="name is 'mnist-17'; it must be one of 'mnist-16'"):
        minisca.datasets.load_trained("mnist-17")
