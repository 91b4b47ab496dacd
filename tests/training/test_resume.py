"""An interrupted fit resumes to the bits that an uninterrupted one reaches, or says why not."""

import numpy as np
import pytest

from minisca import CheckpointError, DivergenceError, SparseConvAutoencoder, Stack
from minisca.training import objective
from tests.support.layers import (
    RULES,
    Slices,
    assert_same_state,
    images,
    layer,
    over_rules,
    refusal,
    rewrite,
)

STEPS = 4  # batches an epoch: 20 images, 6 at a time; a fresh fit reads as many before the first
KNOWING = 1  # reads before all: which images they are


@pytest.fixture
def path(tmp_path):
    return tmp_path / "layer.npz"


@pytest.fixture
def x():
    return images(n=20)


def interrupted(path, x, read, resume=False, **settings):
    """A layer that was fitted until batch number `read` of all epochs' was asked for."""
    made = layer(**settings)
    read += KNOWING + (0 if resume and path.exists() else STEPS)
    with pytest.raises(KeyboardInterrupt):
        made.fit(Slices(x, fail_at=read), checkpoint=path, resume=resume)
    return made


def assert_resumes(path, x, **settings):
    """A layer resumes from the file to what an uninterrupted fit learns; it is returned."""
    resumed = layer(**settings).fit(x, checkpoint=path, resume=True)
    assert_same_state(resumed, layer(**settings).fit(x))
    assert_same_state(SparseConvAutoencoder.load(path), resumed)
    return resumed


# Going on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [*RULES.values(), {"schedule": "constant"}], ids=str)
def test_a_fit_interrupted_within_an_epoch_resumes_to_the_same_bits(settings, path, x):
    interrupted(path, x, read=STEPS + 2, **settings)
    assert_resumes(path, x, **settings)


@pytest.mark.parametrize("read", [0, 1, STEPS, 2 * STEPS, 3 * STEPS - 1])
def test_wherever_it_was_interrupted_only_the_epochs_begun_are_done_again(path, x, read):
    interrupted(path, x, read)
    assert SparseConvAutoencoder.load(path).n_epochs_done_ == read // STEPS
    counted = Slices(x)
    resumed = layer().fit(counted, checkpoint=path, resume=True)
    assert len(counted.reads) == KNOWING + STEPS * (3 - read // STEPS) + 1  # and for dead maps
    assert_same_state(resumed, layer().fit(x))


def test_a_fit_may_be_interrupted_any_number_of_times(path, x):
    interrupted(path, x, read=1)
    interrupted(path, x, read=STEPS + 1, resume=True)
    interrupted(path, x, read=STEPS - 1, resume=True)
    assert_resumes(path, x)


def test_without_a_seed_a_resumed_fit_goes_on_with_the_filters_and_order_of_the_first(path, x):
    interrupted(path, x, read=STEPS + 1, random_state=None)
    copied = path.with_name("copy.npz")
    copied.write_bytes(path.read_bytes())
    one, other = (
        layer(random_state=None).fit(x, checkpoint=each, resume=True) for each in (path, copied)
    )
    assert_same_state(one, other)


def test_what_is_saved_goes_on_as_what_is_in_memory_velocities_and_random_state_included(path, x):
    made = layer().fit(x)
    made.save(path)
    loaded = SparseConvAutoencoder.load(path)
    assert_same_state(loaded.partial_fit(x), made.partial_fit(x))


@pytest.mark.parametrize("forgotten", ["velocities", "random_state"])
def test_without_velocities_or_random_state_in_the_file_the_bits_would_differ(path, x, forgotten):
    interrupted(path, x, read=STEPS + 1)

    def forget(arrays, settings):
        if forgotten == "random_state":
            settings["random_state"]["state"]["state"] += 1
        for name in [name for name in arrays if name.startswith("velocity/")]:
            assert arrays[name].any()
            if forgotten == "velocities":
                del arrays[name]

    rewrite(path, forget)
    resumed = layer().fit(x, checkpoint=path, resume=True)
    assert not np.array_equal(resumed.encoder_filters_, layer().fit(x).encoder_filters_)


def test_a_file_of_before_a_setting_was_there_goes_on_with_its_default(path, x):
    interrupted(path, x, read=STEPS + 1)

    def forget(arrays, settings):
        for name in ("schedule", "pool_origin"):
            del settings["parameters"][name]

    rewrite(path, forget)
    loaded = SparseConvAutoencoder.load(path)
    assert loaded.schedule == "linear"
    assert loaded.pool_origin == "centred"
    assert_resumes(path, x)


def test_with_no_file_to_resume_from_training_starts_afresh(path, x):
    assert_resumes(path, x)


def test_a_finished_fit_is_taken_over_once_its_images_are_known(path, x):
    made, counted = layer().fit(x, checkpoint=path), Slices(x)
    assert_same_state(layer().fit(counted, checkpoint=path, resume=True), made)
    assert len(counted.reads) == KNOWING


def test_checkpoints_change_nothing_about_training(path, x):
    assert_same_state(layer().fit(x, checkpoint=path), layer().fit(x))


def test_a_fresh_fit_leaves_nothing_of_an_older_run_to_resume_from(path, x):
    layer().fit(images(n=20, seed=1), checkpoint=path)
    interrupted(path, x, read=1)
    assert_resumes(path, x)


# In memory ----------------------------------------------------------------------------------------


@over_rules
def test_an_interrupted_epoch_leaves_the_layer_as_it_was_before_it(rule, path, x):
    made = interrupted(path, x, read=STEPS + 3, **RULES[rule])
    before = SparseConvAutoencoder.load(path)
    assert_same_state(made, before)
    assert made.n_epochs_done_ == len(made.loss_history_) == 1
    # velocities and random state too: both go on alike
    assert_same_state(made.partial_fit(x), before.partial_fit(x))


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n_maps", 5), ("filter_width", 5), ("pool_width", 2), ("pool_stride", 3)),
        *(("encoding_bias", 0.5), ("sparsity", "none"), ("lifetime", 0.5), ("n_active", 3)),
        *(("tied", True), ("centre", True), ("n_epochs", 4)),
        *(("batch_size", 7), ("pool_origin", "corner"), ("encoding_contrast", 0.3)),
        *(("learning_rate", 0.02), ("schedule", "constant"), ("warmup_steps", 10)),
        *(("momentum", 0.5), ("init_scale", 0.2), ("random_state", 1), ("dtype", "float64")),
    ],
)
def test_resuming_with_another_setting_names_it_and_both_values(path, x, name, value):
    settings = RULES["top-n"] if name == "n_active" else {}
    interrupted(path, x, read=STEPS + 1, **settings)
    before = path.read_bytes()
    made = layer(**settings | {name: value})
    saved = getattr(layer(**settings), name)
    assert refusal(CheckpointError, made.fit, x, checkpoint=path, resume=True) == (
        f"{path} was trained with {name}={saved!r}; to resume from it, "
        f"{name} must be that, not {value!r}"
    )
    assert path.read_bytes() == before
    assert not hasattr(made, "encoder_filters_")


def test_verbose_backend_and_flat_may_be_others_when_resuming(path, x):
    interrupted(path, x, read=STEPS + 1, verbose=False, backend="cpu")
    resumed = assert_resumes(path, x, verbose=True, backend="auto", flat=True)
    assert (resumed.verbose, resumed.backend, resumed.flat) == (True, "auto", True)


def test_resuming_on_images_of_another_size_is_refused(path, x):
    layer().fit(x, checkpoint=path)
    other = images(n=20, height=7, width=8)
    message = refusal(ValueError, layer().fit, other, checkpoint=path, resume=True)
    assert "X has images of 7x8 pixels; they must be 8x7" in message


@pytest.mark.parametrize("made", [layer(), Stack([layer()])], ids=["layer", "stack"])
def test_resuming_needs_a_path(x, made):
    message = refusal(ValueError, made.fit, x, resume=True)
    assert "checkpoint is None; with resume it must be the path" in message


@pytest.mark.parametrize(
    ("made", "part", "message"),
    [
        (layer(), slice(1000), "is damaged or cut short"),
        (layer(), slice(0), "is empty; it must be a checkpoint saved by minisca"),
        (Stack([layer()]), slice(None), "holds a Stack; it must hold a SparseConvAutoencoder"),
    ],
)
def test_resuming_from_another_or_a_damaged_file_is_refused_and_it_is_kept(
    path, x, made, part, message
):
    made.fit(x).save(path)
    path.write_bytes(path.read_bytes()[part])
    before = path.read_bytes()
    assert message in refusal(CheckpointError, layer().fit, x, checkpoint=path, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value"), [("n_maps", 5), ("filter_width", 5), ("tied", True), ("dtype", "float64")]
)
def test_filters_that_the_settings_no_longer_describe_are_neither_saved_nor_trained(
    path, x, name, value
):
    made = layer().fit(x).set_params(**{name: value})
    message = f"{name} is {value!r}; it must be {getattr(layer(), name)!r}, as the filters were"
    assert message in refusal(ValueError, made.save, path)
    assert message in refusal(ValueError, made.partial_fit, x)
    assert not path.exists()


def test_a_bad_pixel_in_any_batch_leaves_the_layer_as_it_was_before_its_epoch(x):
    made, other = layer().fit(x), layer().fit(x)
    for bad in range(len(x)):  # in a later batch than the first, for most
        spoilt = x.copy()
        spoilt[bad, 0, 0, 0] = np.inf
        assert f"in image {bad};" in refusal(ValueError, made.partial_fit, spoilt)
        assert_same_state(made, other)
    assert_same_state(made.partial_fit(x), other.partial_fit(x))


def test_divergence_leaves_the_file_of_the_last_good_epoch(path, x, monkeypatch):
    interrupted(path, x, read=STEPS + 1)
    before, made = path.read_bytes(), layer()
    monkeypatch.setattr(
        objective, "loss_and_gradients", lambda *_: (np.nan, {"encoder_bias": np.zeros(4)})
    )
    message = refusal(DivergenceError, made.fit, x, checkpoint=path, resume=True)
    assert "The filters are those after epoch 1" in message
    assert path.read_bytes() == before
    assert_same_state(made, SparseConvAutoencoder.load(path))
