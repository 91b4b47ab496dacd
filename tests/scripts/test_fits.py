"""A command that is interrupted in a classifier's fit goes on with it, to the same record."""

import json

import numpy as np
import pytest
from tables import few_labels
from tables.rows import Row

from minisca import CheckpointError, LinearSVM, LogisticRegression, SoftmaxSGD
from minisca.classifiers.resuming import FitFile
from tests.support.experiments import ONE, command, made_images, measured

#: Rows with classifiers, and few labels, of which there are 2 classes x 2 draws x 2 penalties.
ROWS = {
    "svm": {"16": Row(layers=ONE, classifier=LinearSVM(max_iter=9, tol=0))},
    "logistic": {"16": Row(layers=ONE, classifier=LogisticRegression(tol=1e-9), altered="shifts")},
    "sgd": {"16": Row(layers=ONE, classifier=SoftmaxSGD(n_epochs=14, learning_rate=1e-2))},
    "augmented": {
        "16": Row(layers=ONE, classifier=LinearSVM(max_iter=6), extensions={"augment": True})
    },
    "few": {"few-labels": Row(layers=ONE)},
}


@pytest.fixture(autouse=True)
def few_kinds(monkeypatch, notes):
    """Layers are stand-ins, whose features are the images; so are those of few labels."""
    monkeypatch.setattr(few_labels, "LABELS_PER_CLASS", (3, 5))
    monkeypatch.setattr(few_labels, "DRAWS", 2)
    kinds = {"pixels": lambda: few_labels.flat}
    monkeypatch.setattr(few_labels, "encoders", lambda layer, images, seed: kinds)
    with pytest.importorskip("threadpoolctl").threadpool_limits(1, "blas"):  # small products
        yield


def digits():
    rng = np.random.default_rng(0)
    data = made_images(n_train=40, n_fit=30, n_test=20)
    train, test = (rng.standard_normal((n, 1, 4, 4)).astype(np.float32) for n in (40, 20))
    return data._replace(train=train, test=test)


class Steps:
    """Counts what fits reach, and interrupts them after a number of steps."""

    def __init__(self, monkeypatch):
        self.made, self.left = 0, np.inf
        whole = FitFile.reached

        def reached(file, state):
            if self.left == 0:
                raise KeyboardInterrupt
            whole(file, state)
            self.left -= 1
            self.made += 1

        monkeypatch.setattr(FitFile, "reached", reached)


def run(rows, output, resume=False):
    """What the records say, but for times; {name: bytes} of the classifiers' files."""
    found = measured(rows, command(output, resume=resume), digits())
    passing = ("seconds", "peak_memory_gib", "machine")
    plain = {
        key: {name: value for name, value in record.items() if name not in passing}
        for key, record in found.items()
    }
    return json.dumps(list(plain.values())), files(output)


def files(output):
    return {path.name: path.read_bytes() for path in sorted(output.glob("classifiers/*"))}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_a_resumed_run_gives_the_same_record_and_leaves_no_fit_behind(rows, tmp_path, monkeypatch):
    steps = Steps(monkeypatch)
    whole = run(rows, tmp_path / "whole")
    assert steps.made > 10
    assert not any("fit" in name for name in whole[1])
    all_steps, steps.made, interrupts = steps.made, 0, 0
    while True:  # again and again, further each time
        steps.left = all_steps // 4
        try:
            resumed = run(rows, tmp_path / "other", resume=True)
            break
        except KeyboardInterrupt:
            interrupts += 1
            assert any(name.startswith("fit-mnist-") for name in files(tmp_path / "other"))
            assert interrupts < 6
    assert interrupts >= 3
    assert resumed == whole
    assert all_steps <= steps.made <= all_steps + 2 * interrupts


def test_without_resume_a_fit_begins_anew(tmp_path, monkeypatch):
    steps = Steps(monkeypatch)
    whole = run(ROWS["svm"], tmp_path / "whole")
    all_steps, steps.left = steps.made, 15
    with pytest.raises(KeyboardInterrupt):
        run(ROWS["svm"], tmp_path)
    steps.made, steps.left = 0, np.inf
    assert run(ROWS["svm"], tmp_path) == whole
    assert steps.made == all_steps


@pytest.mark.parametrize("name", ["svm", "few"])
def test_what_a_killed_run_left_of_a_recorded_row_is_removed(name, tmp_path, monkeypatch):
    """Killed between the record and the removal."""
    with monkeypatch.context() as patch:
        patch.setattr("common.fits.FitFiles.remove", lambda *_: None)
        recorded, left = run(ROWS[name], tmp_path)
    fits = [file for file in left if file.startswith("fit-")]
    assert len(fits) == {"svm": 2, "few": 8}[name]
    again, kept = run(ROWS[name], tmp_path, resume=True)
    assert again == recorded
    assert list(kept) == [file for file in left if file not in fits]


def test_every_row_seed_classifier_penalty_and_purpose_has_a_file_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr("common.fits.FitFiles.remove", lambda *_: None)
    for classifier in (LinearSVM(max_iter=1), LinearSVM(l2=0.5, max_iter=1), LogisticRegression()):
        rows = {name: Row(layers=ONE, classifier=classifier) for name in ("16", "128")}
        measured(rows, command(tmp_path, seeds=[0, 1]), digits())
    fits = [name for name in files(tmp_path) if name.startswith("fit-")]
    assert len(fits) == 3 * 2 * 2 * 2
    assert "fit-mnist-128-seed1-LinearSVM-l2-0.5-validation.npz" in fits


def test_a_fit_on_other_images_is_not_gone_on_with(tmp_path, monkeypatch):
    steps = Steps(monkeypatch)
    steps.left = 15
    with pytest.raises(KeyboardInterrupt):
        run(ROWS["svm"], tmp_path)
    steps.left = np.inf
    others = digits()._replace(train=digits().train * 2)
    with pytest.raises(CheckpointError, match=r"fit-mnist-16-seed0-.* other features: some of"):
        measured(ROWS["svm"], command(tmp_path, resume=True), others)
