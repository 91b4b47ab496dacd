"""An interrupted fit resumes to the bits that an uninterrupted one reaches, or says why not."""

import copy

import numpy as np
import pytest

from minisca import CheckpointError, DivergenceError, SparseConvAutoencoder, Stack
from minisca.training import fit
from tests.support.layers import (  # noqa: F401
    RULES,
    Slices,
    assert_same_state,
    images,
    layer,
    one_thread,
    over_rules,
    rewrite,
)

STEPS = 4  # batches an epoch: 20 images, 6 at a time; a fresh fit reads as many before the first


@pytest.fixture
def path(tmp_path):
    return tmp_path / "layer.npz"


def interrupted(made, path, x, read, resume=False):
    """Fit until batch number `read` of all epochs' is asked for; returns the layer."""
    read += 0 if resume and path.exists() else STEPS
    with pytest.raises(KeyboardInterrupt):
        made.fit(Slices(x, fail_at=read), checkpoint=path, resume=resume)
    return made


# Going on -----------------------------------------------------------------------------------


@over_rules
def test_a_fit_interrupted_within_an_epoch_resumes_to_the_same_bits(rule, path):
    x = images(n=20)
    interrupted(layer(**RULES[rule]), path, x, read=STEPS + 2)
    resumed = layer(**RULES[rule]).fit(x, checkpoint=path, resume=True)
    assert_same_state(resumed, layer(**RULES[rule]).fit(x))
    assert_same_state(SparseConvAutoencoder.load(path), resumed)


@pytest.mark.parametrize("read", [0, 1, STEPS, 2 * STEPS, 3 * STEPS - 1])
def test_wherever_it_was_interrupted_only_the_epochs_begun_are_done_again(path, read):
    x = images(n=20)
    interrupted(layer(), path, x, read)
    assert SparseConvAutoencoder.load(path).n_epochs_done_ == read // STEPS
    counted = Slices(x)
    resumed = layer().fit(counted, checkpoint=path, resume=True)
    assert len(counted.reads) == STEPS * (3 - read // STEPS)
    assert_same_state(resumed, layer().fit(x))


def test_a_fit_may_be_interrupted_any_number_of_times(path):
    x = images(n=20)
    interrupted(layer(), path, x, read=1)
    interrupted(layer(), path, x, read=STEPS + 1, resume=True)
    interrupted(layer(), path, x, read=STEPS - 1, resume=True)
    assert_same_state(layer().fit(x, checkpoint=path, resume=True), layer().fit(x))


def test_without_a_seed_a_resumed_fit_goes_on_with_the_filters_and_order_of_the_first(path):
    x = images(n=20)
    interrupted(layer(random_state=None), path, x, read=STEPS + 1)
    copy = path.with_name("copy.npz")
    copy.write_bytes(path.read_bytes())
    one = layer(random_state=None).fit(x, checkpoint=path, resume=True)
    other = layer(random_state=None).fit(x, checkpoint=copy, resume=True)
    assert_same_state(one, other)


def test_what_is_saved_goes_on_as_what_is_in_memory_velocities_and_random_state_included(path):
    x = images(n=20)
    made = layer().fit(x)
    made.save(path)
    loaded = SparseConvAutoencoder.load(path)
    made.partial_fit(x)
    assert_same_state(loaded.partial_fit(x), made)


@pytest.mark.parametrize("forgotten", ["velocities", "random_state"])
def test_without_velocities_or_random_state_in_the_file_the_bits_would_differ(path, forgotten):
    x = images(n=20)
    interrupted(layer(), path, x, read=STEPS + 1)

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


def test_a_file_of_before_a_setting_was_there_goes_on_with_its_default(path):
    x = images(n=20)
    interrupted(layer(), path, x, read=STEPS + 1)

    def forget(arrays, settings):
        for name in ("schedule", "normalise_filters"):
            del settings["parameters"][name]

    rewrite(path, forget)
    loaded = SparseConvAutoencoder.load(path)
    assert (loaded.schedule, loaded.normalise_filters) == ("linear", False)
    assert_same_state(layer().fit(x, checkpoint=path, resume=True), layer().fit(x))


def test_a_resumed_fit_is_where_it_was_in_its_schedule(path):
    x = images(n=20)
    interrupted(layer(schedule="constant"), path, x, read=STEPS + 2)
    resumed = layer(schedule="constant").fit(x, checkpoint=path, resume=True)
    assert_same_state(resumed, layer(schedule="constant").fit(x))


def test_with_no_file_to_resume_from_training_starts_afresh(path):
    x = images(n=20)
    assert_same_state(layer().fit(x, checkpoint=path, resume=True), layer().fit(x))
    assert path.exists()


def test_a_finished_fit_is_taken_over_without_reading_an_image(path):
    x = Slices(images(n=20))
    made = layer().fit(x.array, checkpoint=path)
    assert_same_state(layer().fit(x, checkpoint=path, resume=True), made)
    assert x.reads == []


def test_checkpoints_change_nothing_about_training(path):
    x = images(n=20)
    assert_same_state(layer().fit(x, checkpoint=path), layer().fit(x))


def test_a_fresh_fit_leaves_nothing_of_an_older_run_to_resume_from(path):
    old, new = images(n=20, seed=1), images(n=20)
    layer().fit(old, checkpoint=path)
    interrupted(layer(), path, new, read=1)
    assert_same_state(layer().fit(new, checkpoint=path, resume=True), layer().fit(new))


# In memory ----------------------------------------------------------------------------------------


@over_rules
def test_an_interrupted_epoch_leaves_the_layer_as_it_was_before_it(rule, path):
    x = images(n=20)
    made = interrupted(layer(**RULES[rule]), path, x, read=STEPS + 3)
    before = SparseConvAutoencoder.load(path)
    assert_same_state(made, before)
    assert made.n_epochs_done_ == len(made.loss_history_) == 1
    # velocities and random state too: both go on alike
    assert_same_state(made.partial_fit(x), before.partial_fit(x))


def test_a_bad_pixel_in_a_later_epoch_leaves_the_layer_as_it_was_before_it():
    x = images(n=20)
    made = layer().fit(x)
    before = copy.deepcopy(made)
    x[7, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="in image 7"):
        made.partial_fit(x)
    assert_same_state(made, before)


def test_divergence_leaves_the_state_and_the_file_of_the_last_good_epoch(path):
    x = images(n=20)
    made = layer().fit(x, checkpoint=path)
    before = path.read_bytes()
    made.set_params(learning_rate=1e20)
    with pytest.raises(DivergenceError, match="The filters are those after epoch 3"):
        made.partial_fit(x)
    made.set_params(learning_rate=0.01)
    assert path.read_bytes() == before
    assert_same_state(made, SparseConvAutoencoder.load(path))
    assert_same_state(made.partial_fit(x), SparseConvAutoencoder.load(path).partial_fit(x))


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "saved"),
    [
        ("n_maps", 5, "4"),
        ("filter_width", 5, "3"),
        ("pool_width", 2, "3"),
        ("pool_stride", 3, "2"),
        ("encoding_bias", 0.5, "1"),
        ("sparsity", "none", "'winner-take-all'"),
        ("lifetime", 0.5, "None"),
        ("tied", True, "False"),
        ("normalise_filters", True, "False"),
        ("n_epochs", 4, "3"),
        ("batch_size", 7, "6"),
        ("learning_rate", 0.02, "0.01"),
        ("schedule", "constant", "'linear'"),
        ("warmup_steps", 10, "1000"),
        ("momentum", 0.5, "0.9"),
        ("init_scale", 0.2, "0.1"),
        ("random_state", 1, "0"),
        ("dtype", "float64", "'float32'"),
    ],
)
def test_resuming_with_another_setting_names_it_and_both_values(path, name, value, saved):
    x = images(n=20)
    interrupted(layer(), path, x, read=STEPS + 1)
    before = path.read_bytes()
    made = layer(**{name: value})
    with pytest.raises(CheckpointError) as caught:
        made.fit(x, checkpoint=path, resume=True)
    assert str(caught.value) == (
        f"{path} was trained with {name}={saved}; to resume from it, "
        f"{name} must be that, not {value!r}"
    )
    assert path.read_bytes() == before
    assert not hasattr(made, "encoder_filters_")


def test_resuming_with_another_count_of_survivors_is_refused(path):
    x = images(n=20)
    layer(sparsity="top-n", n_active=2).fit(x, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"with n_active=2; .* must be that, not 3"):
        layer(sparsity="top-n", n_active=3).fit(x, checkpoint=path, resume=True)


def test_verbose_and_backend_may_be_others_when_resuming(path):
    x = images(n=20)
    interrupted(layer(verbose=False, backend="cpu"), path, x, read=STEPS + 1)
    resumed = layer(verbose=True, backend="auto").fit(x, checkpoint=path, resume=True)
    assert (resumed.verbose, resumed.backend) == (True, "auto")
    assert_same_state(resumed, layer().fit(x))


def test_resuming_on_images_of_another_size_is_refused(path):
    layer().fit(images(n=20), checkpoint=path)
    with pytest.raises(ValueError, match="X has images of 7x8 pixels; they must be 8x7"):
        layer().fit(images(n=20, height=7, width=8), checkpoint=path, resume=True)


def test_resuming_needs_a_path():
    with pytest.raises(ValueError, match="checkpoint is None; with resume it must be the path"):
        layer().fit(images(n=20), resume=True)
    with pytest.raises(ValueError, match="checkpoint is None; with resume it must be the path"):
        Stack([layer()]).fit(images(n=20), resume=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: whole[: len(whole) // 2], "is damaged or cut short"),
        (lambda whole: b"", "is empty; it must be a checkpoint saved by minisca"),
    ],
)
def test_resuming_from_a_damaged_file_is_refused_and_the_file_kept(path, damage, message):
    x = images(n=20)
    layer().fit(x, checkpoint=path)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        layer().fit(x, checkpoint=path, resume=True)
    assert path.read_bytes() == before


def test_resuming_a_layer_from_a_stack_is_refused(path):
    x = images(n=20)
    Stack([layer()]).fit(x).save(path)
    with pytest.raises(CheckpointError, match="holds a Stack; it must hold a SparseConvAuto"):
        layer().fit(x, checkpoint=path, resume=True)


@pytest.mark.parametrize(
    ("name", "value"), [("n_maps", 5), ("filter_width", 5), ("tied", True), ("dtype", "float64")]
)
def test_filters_that_the_parameters_no_longer_describe_are_neither_saved_nor_trained(
    path, name, value
):
    x = images(n=20)
    made = layer().fit(x)
    made.set_params(**{name: value})
    message = f"{name} is {value!r}; it must be {getattr(layer(), name)!r}, as the filters were"
    with pytest.raises(ValueError, match=message):
        made.save(path)
    with pytest.raises(ValueError, match=message):
        made.partial_fit(x)
    assert not path.exists()


# Stack --------------------------------------------------------------------------------------------


def two_layers():
    return [layer(n_maps=3), layer(n_maps=5, pool_stride=4, random_state=1, momentum=0.5)]


def wide(seed=0):
    return images(n=20, width=13, seed=seed)


def assert_same_layers(resumed):
    """It learned what an uninterrupted stack learns."""
    for one, other in zip(resumed.layers_, Stack(two_layers()).fit(wide()).layers_, strict=True):
        assert_same_state(one, other)


def interrupt_in_epoch(monkeypatch, n_maps, epoch):
    """Raise KeyboardInterrupt when a layer of so many maps is about to begin this epoch."""
    run_epoch = fit.run_epoch

    def run_or_raise(settings, *arguments):
        if (settings.n_maps, settings.n_epochs_done_) == (n_maps, epoch):
            raise KeyboardInterrupt
        return run_epoch(settings, *arguments)

    monkeypatch.setattr(fit, "run_epoch", run_or_raise)


def interrupt_stack(monkeypatch, tmp_path, x, n_maps, epoch):
    interrupt_in_epoch(monkeypatch, n_maps, epoch)
    made = Stack(two_layers())
    with pytest.raises(KeyboardInterrupt):
        made.fit(x, checkpoint=tmp_path)
    monkeypatch.undo()
    assert not hasattr(made, "layers_")


@pytest.mark.parametrize(
    ("n_maps", "epoch", "files", "epochs_left"),
    [
        (3, 0, ["layer1.npz"], [3, 3]),
        (3, 2, ["layer1.npz"], [1, 3]),
        (5, 0, ["layer1.npz", "layer2.npz"], [0, 3]),
        (5, 1, ["layer1.npz", "layer2.npz"], [0, 2]),
    ],
)
def test_an_interrupted_stack_resumes_to_the_same_bits(
    tmp_path, monkeypatch, n_maps, epoch, files, epochs_left
):
    interrupt_stack(monkeypatch, tmp_path, wide(), n_maps, epoch)
    assert sorted(file.name for file in tmp_path.iterdir()) == files

    begun, run_epoch = [], fit.run_epoch
    monkeypatch.setattr(
        fit, "run_epoch", lambda made, *rest: begun.append(made.n_maps) or run_epoch(made, *rest)
    )
    resumed = Stack(two_layers()).fit(wide(), checkpoint=tmp_path, resume=True)
    assert [begun.count(3), begun.count(5)] == epochs_left
    assert_same_layers(resumed)


def test_a_layer_never_resumes_what_was_trained_on_another_layer_below(tmp_path, monkeypatch):
    Stack(two_layers()).fit(wide(seed=9), checkpoint=tmp_path)  # an older run, finished
    interrupt_stack(monkeypatch, tmp_path, wide(), n_maps=3, epoch=1)
    resumed = Stack(two_layers()).fit(wide(), checkpoint=tmp_path, resume=True)
    assert_same_layers(resumed)


def test_a_layer_above_one_whose_file_is_gone_starts_afresh_too(tmp_path):
    Stack(two_layers()).fit(wide(seed=9), checkpoint=tmp_path)
    (tmp_path / "layer1.npz").unlink()
    resumed = Stack(two_layers()).fit(wide(), checkpoint=tmp_path, resume=True)
    assert_same_layers(resumed)


def test_a_stack_resumed_with_another_setting_names_the_layers_file(tmp_path):
    Stack(two_layers()).fit(wide(), checkpoint=tmp_path)
    changed = Stack(two_layers()).set_params(layers__1__momentum=0.6)
    with pytest.raises(CheckpointError, match=r"layer2\.npz .* with momentum=0\.5; .* not 0\.6"):
        changed.fit(wide(), checkpoint=tmp_path, resume=True)
