"""Features and images in files: a stack's scratch folder, and `out` of what prepares images."""

import errno
import json
import os
import subprocess
import sys
from tempfile import gettempdir

import numpy as np
import pytest

from minisca import CheckpointError, Stack, keeping
from minisca.communicators import on_images
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.layers import assert_same_state, images, layer
from tests.support.script_runs import ROOT

#: One thread: each has a stack, which the limit counts.
ALONE = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

pytestmark = pytest.mark.filterwarnings("ignore:.* maps are dead")


def stack():
    return Stack([layer(n_maps=6), layer(n_maps=5), layer(n_maps=4)], centre="above-first")


def test_a_stack_learns_the_same_from_files_which_are_gone_in_the_end(tmp_path):
    x, validation = images(), images(9, seed=1)
    plain = stack().fit(x, validation_images=validation)
    made = stack().fit(x, validation_images=validation, scratch=tmp_path / "new")
    for one, other in zip(made.layers_, plain.layers_, strict=True):
        assert_same_state(one, other)
    assert list((tmp_path / "new").iterdir()) == []
    features = stack().fit_transform(x, scratch=tmp_path)
    np.testing.assert_array_equal(features, plain.transform(x))


def test_features_in_halves_are_the_same_in_files_and_resumed_with_no_others(tmp_path):
    x, halves = images(), {"features_dtype": "float16"}
    plain = stack().fit(x, **halves)
    made = stack().fit(x, scratch=tmp_path, checkpoint=tmp_path, **halves)
    second = layer(n_maps=5, centre=True).fit(plain.layers_[0].transform(x, dtype="float16"))
    assert_same_state(second, plain.layers_[1])
    for one, other in zip(made.layers_, plain.layers_, strict=True):
        assert_same_state(one, other)
    with pytest.raises(CheckpointError, match=r"dtype was float32, features in float16, not float"):
        stack().fit(x, checkpoint=tmp_path, resume=True)
    with pytest.raises(ValueError, match="features_dtype is 'int8'; it must be one of 'float16'"):
        stack().fit(x, features_dtype="int8")


def test_files_that_are_kept_are_used_again_where_they_are_of_the_same_layer(tmp_path, monkeypatch):
    x = images()
    plain = stack().fit(x)
    calls, transform = [], on_images.transform

    def counted(*arguments, **options):
        calls.append(arguments)
        return transform(*arguments, **options)

    monkeypatch.setattr(on_images, "transform", counted)
    made = stack().fit(x, scratch=tmp_path, keep_scratch=True)
    assert len(calls) == 2
    assert {path.name for path in tmp_path.glob("*.npy")} == {"features1.npy", "features2.npy"}
    again = stack().fit(x, scratch=tmp_path, keep_scratch=True)
    assert len(calls) == 2
    stack().fit(images(seed=2), scratch=tmp_path, keep_scratch=True)
    assert len(calls) == 4
    for other in (made, again):
        for one, two in zip(other.layers_, plain.layers_, strict=True):
            assert_same_state(one, two)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be asked for here")
def test_a_folder_that_is_full_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    def full(descriptor, start, n_bytes):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    said = r"No space left on device: there is no room for features of \d+ bytes: .*features1"
    for keep in (False, True):
        with pytest.raises(OSError, match=said):
            stack().fit(images(), scratch=tmp_path, keep_scratch=keep)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match=f"no room for features of 24 bytes: '{gettempdir()}'"):
        keeping.scratch((2, 3), "float32")


def test_what_is_stopped_leaves_nothing_and_what_is_not_whole_is_made_anew(tmp_path):
    x = images()

    def stopped(*_, **__):
        raise KeyboardInterrupt

    for keep in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(on_images, "transform", stopped)
            with pytest.raises(KeyboardInterrupt):
                stack().fit(x, scratch=tmp_path, keep_scratch=keep)
        assert list(tmp_path.iterdir()) == []
    plain = stack().fit(x, scratch=tmp_path, keep_scratch=True)
    os.truncate(tmp_path / "features1.npy", 1000)
    assert_same_state(
        stack().fit(x, scratch=tmp_path, keep_scratch=True).layers_[1], plain.layers_[1]
    )


def test_two_that_share_a_folder_do_not_disturb_each_other(tmp_path, monkeypatch):
    x, other = images(), images(seed=2)
    plain, transform = stack().fit(x), on_images.transform

    def meanwhile(*arguments, **options):
        monkeypatch.setattr(on_images, "transform", transform)
        for keep in (False, True):
            stack().fit(other, scratch=tmp_path, keep_scratch=keep)
        return transform(*arguments, **options)

    for keep in (False, True):
        monkeypatch.setattr(on_images, "transform", meanwhile)
        made = stack().fit(x, scratch=tmp_path, keep_scratch=keep)
        for one, two in zip(made.layers_, plain.layers_, strict=True):
            assert_same_state(one, two)


def test_what_is_no_folder_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "file").touch()
    calls = []
    with pytest.raises(OSError, match="file"):
        stack().fit(images(), scratch=tmp_path / "file", callbacks=[lambda *_: calls.append(_)])
    assert calls == []
    with pytest.raises(TypeError, match="scratch is 3; it must be the path of a folder, or None"):
        stack().fit(images(), scratch=3)
    with pytest.raises(ValueError, match="scratch is None; with keep_scratch it must be"):
        stack().fit(images(), keep_scratch=True)


def test_prepared_images_fill_a_memory_map(tmp_path):
    x = images()
    file = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", x.shape)
    assert contrast_normalise(x, out=file) is file
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), contrast_normalise(x))
    with pytest.raises(ValueError, match="out has shape"):
        contrast_normalise(x, out=file[1:])
    whitener = ZCA().fit(file)
    whitener.transform(file, out=file)
    np.testing.assert_array_equal(file, whitener.transform(contrast_normalise(x)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_what_is_larger_than_the_memory_is_prepared_learned_from_and_classified(tmp_path):
    sizes = ["--gigabytes", "0.5", "--limit", "0.4", "--folder", str(tmp_path)]
    command = [sys.executable, "-W", "ignore", "-m", "tests.campaigns.larger_than_memory", *sizes]
    made = subprocess.run(command, cwd=ROOT, env=ALONE, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["LogisticRegression.fit"]["gigabytes"] < 0.4
