"""An interrupted stack resumes to the bits that an uninterrupted one reaches."""

import pytest

from minisca import CheckpointError, Stack
from minisca.training import fit
from tests.support.layers import assert_same_state, images, layer


def two_layers():
    return [layer(n_maps=3), layer(n_maps=5, pool_stride=4, random_state=1, momentum=0.5)]


def wide(seed=0):
    return images(n=20, width=13, seed=seed)


def assert_stack_resumes(tmp_path):
    """It learns what an uninterrupted stack learns."""
    resumed = Stack(two_layers()).fit(wide(), checkpoint=tmp_path, resume=True)
    for one, other in zip(resumed.layers_, Stack(two_layers()).fit(wide()).layers_, strict=True):
        assert_same_state(one, other)


def interrupt_stack(monkeypatch, tmp_path, n_maps, epoch):
    """Fit a stack until a layer of so many maps is about to begin this epoch."""
    run_epoch = fit.run_epoch

    def run_or_raise(settings, *arguments):
        if (settings.n_maps, settings.n_epochs_done_) == (n_maps, epoch):
            raise KeyboardInterrupt
        return run_epoch(settings, *arguments)

    made = Stack(two_layers())
    with monkeypatch.context() as patched:
        patched.setattr(fit, "run_epoch", run_or_raise)
        with pytest.raises(KeyboardInterrupt):
            made.fit(wide(), checkpoint=tmp_path)
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
    interrupt_stack(monkeypatch, tmp_path, n_maps, epoch)
    assert sorted(file.name for file in tmp_path.iterdir()) == files
    begun, run_epoch = [], fit.run_epoch
    with monkeypatch.context() as patched:
        patched.setattr(
            fit,
            "run_epoch",
            lambda made, *rest: begun.append(made.n_maps) or run_epoch(made, *rest),
        )
        Stack(two_layers()).fit(wide(), checkpoint=tmp_path, resume=True)
    assert [begun.count(3), begun.count(5)] == epochs_left
    assert_stack_resumes(tmp_path)


def test_a_layer_never_resumes_what_was_trained_on_another_layer_below(tmp_path, monkeypatch):
    Stack(two_layers()).fit(wide(seed=9), checkpoint=tmp_path)  # an older run, finished
    interrupt_stack(monkeypatch, tmp_path, n_maps=3, epoch=1)
    assert_stack_resumes(tmp_path)


def test_a_layer_above_one_whose_file_is_gone_starts_afresh_too(tmp_path):
    Stack(two_layers()).fit(wide(seed=9), checkpoint=tmp_path)
    (tmp_path / "layer1.npz").unlink()
    assert_stack_resumes(tmp_path)


def test_a_stack_resumed_with_another_setting_names_the_layers_file(tmp_path):
    Stack(two_layers()).fit(wide(), checkpoint=tmp_path)
    changed = Stack(two_layers()).set_params(layers__1__momentum=0.6)
    with pytest.raises(CheckpointError, match=r"layer2\.npz .* with momentum=0\.5; .* not 0\.6"):
        changed.fit(wide(), checkpoint=tmp_path, resume=True)
