"""A file has everything that its estimator needs, or loading it says what is wrong."""

import numpy as np
import pytest

from minisca import CheckpointError, SparseConvAutoencoder
from minisca.files import checkpoint
from tests.support.layers import assert_same_state, images, layer, rewrite
from tests.support.saved_files import FITTED

X = images(n=20)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.npz"


def drop(name):
    return lambda arrays, settings: arrays.pop(name)


def put(**changed):
    return lambda arrays, settings: arrays.update(changed)


def to(name, change):
    return lambda arrays, settings: arrays.update({name: change(arrays[name])})


def cast(name, dtype):
    return to(name, lambda array: array.astype(dtype))


def drop_setting(name):
    return lambda arrays, settings: settings.pop(name)


def put_setting(**changed):
    return lambda arrays, settings: settings.update(changed)


def put_parameter(**changed):
    return lambda arrays, settings: settings["parameters"].update(changed)


FILTERS = np.zeros((4, 1, 3, 3), np.float32)
DAMAGES = {
    "layer": [
        (drop("encoder_filters"), "lacks the array 'encoder_filters'"),
        (drop("decoder_bias"), "lacks the array 'decoder_bias'"),
        (drop("loss_history"), "lacks the array 'loss_history'"),
        (drop("velocity/encoder_bias"), "lacks the array 'velocity/encoder_bias'"),
        (to("encoder_bias", lambda a: a[1:]), r"'encoder_bias' has shape \(3,\); it must be \(4\)"),
        (put(decoder_filters=FILTERS[:, :, :2]), r"\(4, 1, 2, 3\); it must be \(4, 1, 3, 3\)"),
        (
            to("velocity/encoder_filters", lambda filters: filters[1:]),
            r"array 'velocity/encoder_filters' has shape \(3, 1, 3, 3\); it must be \(4, 1, 3, 3\)",
        ),
        (put(loss_history=np.zeros(2)), r"'loss_history' has shape \(2,\); it must be \(3\)"),
        (cast("encoder_filters", float), "'encoder_filters' has dtype float64; it must be float32"),
        (cast("velocity/encoder_bias", str), "'velocity/encoder_bias' has dtype <U.*be float32"),
        (put(encoder_filters=FILTERS * np.float32(np.nan)), "has NaN or infinite values"),
        (put_parameter(n_maps=5), r"has shape \(4, 1, 3, 3\); it must be \(5, 1, 3, 3\)"),
        (put_parameter(filter_width=5), r"\(4, 1, 3, 3\); it must be \(4, 1, 5, 5\)"),
        (put_parameter(dtype="float64"), "'encoder_filters' has dtype float32; it must be fl"),
        (cast("loss_history", str), "'loss_history' has dtype <U.*; it must be float64"),
        (put_parameter(filter_width=4), "filter_width is 4; it must be an odd integer"),
        (put_parameter(colour="red"), "settings that do not fit: .*'colour'"),
        (put_setting(parameters=3), "settings that do not fit"),
        (put_setting(image_size=[8]), r"image_size is \(8,\); it must be \(height, width\)"),
        (put_setting(image_size=[8, 0]), "image_size is 0; it must be an integer of at least 1"),
        (put_setting(image_size=None), "settings that do not fit"),
        (put_setting(n_epochs_done=-1), "n_epochs_done is -1; it must be an integer"),
        (put_setting(patch_energy=-1), r"patch_energy is -1; it must be a number in \[0, inf\)"),
        (put_setting(images={"shape": [1]}), "images is .*; it must be None, or have shape"),
        (put_setting(random_state={}), "random state has the generator None"),
        (drop_setting("image_size"), "lacks the setting 'image_size'"),
        (put_setting(parameters=[["n_maps", 4]]), "parameters is .*; it must be by name"),
        (put_parameter(verbose="yes"), "verbose is 'yes'; it must be True or False"),
        (put_parameter(momentum=10**400), "momentum is 1000.*; it must be a number in"),
        (lambda _, settings: settings["random_state"]["state"].update(inc=2), "no generator can"),
        (lambda _, settings: settings["random_state"].update(more=1), "no generator can"),
        (
            lambda arrays, _: arrays.update({n: a[:, :0] for n, a in arrays.items() if a.ndim > 1}),
            r"shape \(4, 0, 3, 3\); it must be \(4, channels, 3, 3\)",
        ),
    ],
    "tied": [
        (put(decoder_filters=np.ones((4, 1, 3, 3))), "has other decoder_filters than encoder_fil"),
        (put_parameter(tied=False), "lacks the array 'velocity/decoder_filters'"),
    ],
    "logistic": [
        *(
            (cast("coef", dtype), f"'coef' has dtype {dtype}; it must be float32 or float64")
            for dtype in ("complex64", "<U32", "float16", ">f4", "int64")
        ),
        (cast("intercept", "float64"), "'intercept' has dtype float64; it must be float32"),
        (cast("intercept", "<U32"), "'intercept' has dtype <U32; it must be float32"),
        (put(classes=np.array(["a", "b", "b"])), "labels in 'classes' are wrong; they must be two"),
        (put(classes=np.array(["a", "b", "b\0"])), "labels in 'classes' are wrong"),
        (to("classes", lambda classes: classes[::-1]), "labels in 'classes' are wrong; .* sorted"),
        (put(classes=np.arange(3.0)), "'classes' has dtype float64; it must be whole numbers, boo"),
        (put(classes=np.array([b"a", b"b", b"c"])), r"'classes' has dtype |S1; it must be whole"),
        (put(classes=np.zeros((3, 1), int)), r"'classes' has shape \(3, 1\)"),
        (to("coef", lambda coef: coef[:, :0]), r"\(3, 0\); it must be \(3, features\)"),
        (lambda arrays, _: arrays.update({n: a[:1] for n, a in arrays.items()}), "must be two or"),
        (put_parameter(l2="1"), "l2 is '1'; it must be a number"),
        (put_parameter(max_iter=0), "max_iter is 0; it must be an integer of at least 1"),
        (put_parameter(tol=None), "tol is None; it must be a number"),
        (put_setting(n_iter=-1), "n_iter is -1; it must be an integer of at least 0"),
        (put_setting(converged=1), "converged is 1; it must be True or False"),
        (put_setting(loss=float("nan")), "loss is nan; it must be a number"),
        (drop_setting("loss"), "lacks the setting 'loss'"),
    ],
    "svm": [(put_parameter(l2=0), r"l2 is 0; it must be a number in \(0, inf\)")],
    "convnet": [
        (cast("coef", "float64"), "'coef' has dtype float64; it must be float32"),
        (put(classes=np.array([1, 1])), "labels in 'classes' are wrong"),
        (cast("loss_history", "<f4"), "'loss_history' has dtype float32; it must be float64"),
        (put_setting(image_size="87"), r"image_size is '87'; it must be \(height, width\)"),
    ],
    "k-sparse": [
        (cast("filters", "complex64"), "'filters' has dtype complex64; it must be float32"),
        (put_parameter(n_active=13), "n_active is 13; it must be at most n_units"),
        (put_setting(n_channels=True), "n_channels is True; it must be an integer"),
    ],
    "stack": [
        (drop("layer2/encoder_bias"), "layer 2 of .* lacks the array 'encoder_bias'"),
        (
            lambda arrays, settings: settings["layers"][1].pop("random_state"),
            "layer 2 of .* lacks the setting 'random_state'",
        ),
        (put_setting(layers=[3]), "layer 1 of .* is 3; it must be a saved layer"),
        (put_setting(layers=[]), "lists no layers; it must be a saved Stack"),
        (drop_setting("layers"), "lists no layers; it must be a saved Stack"),
        (
            lambda _, settings: settings["layers"].pop(),
            "has arrays layer2/... of a layer that it d",
        ),
        (
            lambda _, settings: settings["layers"][0]["parameters"].update(pool_stride=1),
            r"layer 1 of .* makes features \(3, 8, 7\); layer 2 must be for those, not .*4, 4\)",
        ),
    ],
    "zca": [
        (to("mean", lambda mean: mean[:1]), "'mean' of 20 values; the array 'eigenvalues' has 40"),
        (to("whitening", lambda matrix: matrix[:, :-1]), r"'whitening' has shape \(40, 39\)"),
        (cast("dewhitening", float), "'dewhitening' has dtype float64; it must be float32"),
        (drop("dewhitening"), "lacks the array 'dewhitening'"),
        (to("eigenvalues", np.negative), "'eigenvalues' has -.*; it must be at least 0"),
        (put_parameter(epsilon=-1), "epsilon is -1"),
        (put_parameter(gamma=1), "gamma"),
    ],
    "triangle": [
        (drop("centres"), "lacks the array 'centres'"),
        (to("centres", lambda a: a[1:]), r"shape \(4, 2, 3, 3\); it must be \(5, 2, 3, 3\)"),
        (drop_setting("image_size"), "lacks the setting 'image_size'"),
        (put_parameter(n_maps=0), "settings that do not fit: n_maps is 0"),
        (to("feature_scale", np.zeros_like), "'feature_scale' has 0; it must be at least 1.17"),
        (cast("objective_history", "<U9"), "'objective_history' has dtype <U9; it must be float64"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [(kind, *damage) for kind, damages in DAMAGES.items() for damage in damages],
)
def test_a_file_with_something_missing_or_misshapen_says_what(path, kind, change, message):
    made = FITTED[kind]()
    made.save(path)
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        type(made).load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", FITTED)
def test_the_files_that_this_test_damages_load_when_they_are_not_damaged(path, kind):
    made = FITTED[kind]()
    made.save(path)
    rewrite(path, lambda arrays, settings: None)
    type(made).load(path)


def test_an_interrupted_save_leaves_the_file_of_the_epoch_before(path, monkeypatch):
    write_array = np.lib.format.write_array
    written = []

    def fail_in_the_third_file(stream, array, **options):
        written.append(array)
        if len(written) > 2 * 10:  # a file: the header, four parameters and velocities, the losses
            raise KeyboardInterrupt
        write_array(stream, array, **options)

    monkeypatch.setattr(checkpoint.np.lib.format, "write_array", fail_in_the_third_file)
    with pytest.raises(KeyboardInterrupt):
        layer().fit(X, checkpoint=path)
    monkeypatch.undo()
    assert SparseConvAutoencoder.load(path).n_epochs_done_ == 1
    assert list(path.parent.iterdir()) == [path]
    assert_same_state(layer().fit(X, checkpoint=path, resume=True), layer().fit(X))
