"""A layer's file has everything that it needs, or loading it says what is wrong."""

import numpy as np
import pytest

from minisca import CheckpointError, SparseConvAutoencoder
from minisca.files import checkpoint
from tests.support.layers import assert_same_state, images, layer, one_thread, rewrite  # noqa: F401


@pytest.fixture
def path(tmp_path):
    return tmp_path / "layer.npz"


def drop(name):
    return lambda arrays, settings: arrays.pop(name)


def put(name, array):
    return lambda arrays, settings: arrays.update({name: array})


def put_setting(name, value):
    return lambda arrays, settings: settings.update({name: value})


def put_parameter(name, value):
    return lambda arrays, settings: settings["parameters"].update({name: value})


FILTERS = np.zeros((4, 1, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("encoder_filters"), "lacks the array 'encoder_filters'"),
        (drop("decoder_bias"), "lacks the array 'decoder_bias'"),
        (drop("loss_history"), "lacks the array 'loss_history'"),
        (drop("velocity/encoder_bias"), "lacks the array 'velocity/encoder_bias'"),
        (
            put("encoder_bias", np.zeros(5, np.float32)),
            r"array 'encoder_bias' has shape \(5,\); it must be \(4\)",
        ),
        (
            put("decoder_filters", FILTERS[:, :, :2]),
            r"array 'decoder_filters' has shape \(4, 1, 2, 3\); it must be \(4, 1, 3, 3\)",
        ),
        (
            put("velocity/encoder_filters", FILTERS[1:]),
            r"array 'velocity/encoder_filters' has shape \(3, 1, 3, 3\); it must be \(4, 1, 3, 3\)",
        ),
        (put("loss_history", np.zeros(2)), r"'loss_history' has shape \(2,\); it must be \(3\)"),
        (
            put("encoder_filters", FILTERS.astype(np.float64)),
            "array 'encoder_filters' has dtype float64; it must be float32",
        ),
        (
            put("velocity/encoder_bias", np.array(list("abcd"))),
            "array 'velocity/encoder_bias' has dtype <U1; it must be float32",
        ),
        (put("encoder_filters", FILTERS * np.float32(np.nan)), "has NaN or infinite values"),
        (put_parameter("n_maps", 5), r"has shape \(4, 1, 3, 3\); it must be \(5, 1, 3, 3\)"),
        (put_parameter("filter_width", 5), r"\(4, 1, 3, 3\); it must be \(4, 1, 5, 5\)"),
        (put_parameter("dtype", "float64"), "'encoder_filters' has dtype float32; it must be fl"),
        (
            put("loss_history", np.array(list("abc"))),
            "array 'loss_history' has dtype <U1; it must be float64",
        ),
        (put_parameter("filter_width", 4), "filter_width is 4; it must be an odd integer"),
        (put_parameter("colour", "red"), "settings that do not fit: .*'colour'"),
        (put_setting("parameters", 3), "settings that do not fit"),
        (put_setting("image_size", [8]), r"image_size is \(8,\); it must be \(height, width\)"),
        (put_setting("image_size", [8, 0]), "image_size is 0; it must be an integer of at least 1"),
        (put_setting("image_size", None), "settings that do not fit"),
        (put_setting("n_epochs_done", -1), "n_epochs_done is -1; it must be an integer"),
        (put_setting("patch_energy", 0), r"patch_energy is 0; it must be a number in \(0, inf\)"),
        (put_setting("random_state", {}), "random state has the generator None"),
        (lambda arrays, settings: settings.pop("image_size"), "lacks the setting 'image_size'"),
    ],
)
def test_a_file_with_something_missing_or_misshapen_says_what(path, change, message):
    layer().fit(images(n=20)).save(path)
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        SparseConvAutoencoder.load(path)
    assert str(path) in str(caught.value)


def test_the_file_that_those_tests_damage_loads_when_it_is_not_damaged(path):
    made = layer().fit(images(n=20))
    made.save(path)
    rewrite(path, lambda arrays, settings: None)
    assert_same_state(SparseConvAutoencoder.load(path), made)


def test_an_interrupted_save_leaves_the_file_of_the_epoch_before(path, monkeypatch):
    x = images(n=20)
    write_array = np.lib.format.write_array
    written = []

    def fail_in_the_third_file(stream, array, **options):
        written.append(array)
        if len(written) > 2 * 10:  # a file: the header, four parameters and velocities, the losses
            raise KeyboardInterrupt
        write_array(stream, array, **options)

    monkeypatch.setattr(checkpoint.np.lib.format, "write_array", fail_in_the_third_file)
    with pytest.raises(KeyboardInterrupt):
        layer().fit(x, checkpoint=path)
    monkeypatch.undo()
    assert SparseConvAutoencoder.load(path).n_epochs_done_ == 1
    assert list(path.parent.iterdir()) == [path]
    assert_same_state(layer().fit(x, checkpoint=path, resume=True), layer().fit(x))
