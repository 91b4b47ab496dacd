"""A classifier's interrupted fit goes on to the bits of an uninterrupted one."""

import numpy as np
import pytest

from minisca import CheckpointError, LinearSVM, LogisticRegression
from minisca.classifiers import feature_blocks, resuming
from minisca.classifiers.lbfgs import Record
from minisca.files import checkpoint
from tests.support.interrupted_fits import (
    BLOCKS,
    KNOWING,
    PASS,
    ROWS,
    WIDTH,
    N,
    data,
    interrupted,
    kinds,
    learned,
    made,
)
from tests.support.layers import Slices, refusal, rewrite

pytestmark = pytest.mark.usefixtures("small_blocks_in_one_thread")


@kinds
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_fit_interrupted_again_and_again_reaches_the_same_bits(path, kind, dtype, monkeypatch):
    x, y = data(dtype)
    monkeypatch.setattr(feature_blocks, "BLOCK_BYTES", ROWS * WIDTH * max(4, x.itemsize))
    reads = Slices(x)
    whole = made(kind).fit(reads, y)
    passes = (len(reads.reads) - BLOCKS) / PASS[kind]
    assert passes >= 10  # the SVM's last one is for the loss
    for after in (0, 2, 1, 3):  # of those that are left each time
        interrupted(path, kind, after, x, resume=True)
    rest = Slices(x)
    resumed = made(kind).fit(rest, y, checkpoint=path, resume=True)
    assert learned(resumed) == learned(whole)
    assert (len(rest.reads) - KNOWING - BLOCKS) / PASS[kind] <= passes - 4
    assert learned(kind.load(path)) == learned(whole)


@kinds
@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_after_ctrl_c_no_pass_is_made_again(path, kind, after):
    x, y = data()
    whole, rest = Slices(x), Slices(x)
    expected = made(kind).fit(whole, y, checkpoint=path.with_name("other.npz"))
    interrupted(path, kind, after)
    assert learned(made(kind).fit(rest, y, checkpoint=path, resume=True)) == learned(expected)
    saved = len(whole.reads) - len(rest.reads)
    # An evaluation belongs to an iteration, and the first iteration is done after the second.
    lost = {LogisticRegression: 1, LinearSVM: 0}[kind]
    assert after - lost <= saved / PASS[kind] <= after


@kinds
def test_what_was_written_before_a_kill_is_gone_on_with(path, kind, monkeypatch):
    """What lies there after every pass, without what Ctrl-C adds."""
    x, y = data()
    files, write = [], resuming.save_checkpoint

    def keep(*arguments):
        write(*arguments)
        files.append(path.read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(resuming, "SHARE", 1e9)
        patch.setattr(resuming, "save_checkpoint", keep)
        whole = made(kind).fit(x, y, checkpoint=path)
    assert len(files) == whole.n_iter_ + 2  # one before all, one of what came of it
    for file in files[::3]:
        path.write_bytes(file)
        assert learned(made(kind).fit(x, y, checkpoint=path, resume=True)) == learned(whole)


@kinds
def test_a_file_is_written_as_often_as_takes_its_share_of_the_time(path, kind, monkeypatch):
    """On a clock on which a pass takes 1 s and a write 0.1 s: every 5 s, beside first and last."""
    now, written, write = [0.0], [], resuming.save_checkpoint

    def save(*arguments):
        now[0] += 0.1
        written.append(now[0])
        write(*arguments)

    class Slow(Slices):
        def __getitem__(self, rows):
            now[0] += 1 / PASS[kind]
            return super().__getitem__(rows)

    monkeypatch.setattr(resuming, "save_checkpoint", save)
    monkeypatch.setattr(resuming.time, "perf_counter", lambda: now[0])
    x, y = data()
    fitted = made(kind, max_iter=24).fit(Slow(x), y, checkpoint=path)
    assert fitted.n_iter_ > 18
    gaps = np.diff(written)[:-1]
    assert len(gaps) > 2
    assert (gaps >= 0.1 / resuming.SHARE).all()
    assert (gaps <= 0.1 / resuming.SHARE + 3).all()


@kinds
def test_from_a_memory_map_and_by_another_run_of_its_reader(path, kind):
    x, y = data(np.float16)
    x.reshape(N, 10, 2, 2).tofile(path.with_name("features"))
    mapped = np.memmap(path.with_name("features"), np.float16, "r", shape=(N, 10, 2, 2))
    interrupted(path, kind, 4, mapped)
    assert learned(made(kind).fit(mapped, y, checkpoint=path, resume=True)) == learned(
        made(kind).fit(mapped, y)
    )


@kinds
def test_a_finished_fit_is_taken_over_once_its_features_are_known(path, kind):
    (x, y), whole = data(), made(kind)
    whole.fit(x, y, checkpoint=path)
    counted = Slices(x)
    taken = made(kind, verbose=True).fit(counted, y, checkpoint=path, resume=True)
    assert learned(taken) == learned(whole) == learned(kind.load(path))
    assert len(counted.reads) == KNOWING
    assert np.array_equal(taken.predict(x), whole.predict(x))


@kinds
def test_with_no_file_or_without_resume_a_fit_begins_anew(path, kind):
    x, y = data()
    whole = learned(made(kind).fit(x, y))
    assert learned(made(kind).fit(x, y, checkpoint=path, resume=True)) == whole
    interrupted(path, kind, 3, x[::-1])
    assert learned(made(kind).fit(x, y, checkpoint=path)) == whole
    interrupted(path, kind, 0, x[::-1])  # leaves nothing of the fit before
    message = refusal(CheckpointError, made(kind).fit, x, y, checkpoint=path, resume=True)
    assert "was fitted to other features" in message


@kinds
def test_labels_of_text_go_on_too(path, kind):
    x, codes = data()
    words = np.array(["gull", "auk", "tern"])[codes]
    fail_at = KNOWING + BLOCKS + 3 * PASS[kind]
    with pytest.raises(KeyboardInterrupt):
        made(kind).fit(Slices(x, fail_at=fail_at), words, checkpoint=path)
    resumed = made(kind).fit(x, words, checkpoint=path, resume=True)
    assert learned(resumed) == learned(made(kind).fit(x, words))
    assert resumed.classes_.tolist() == ["auk", "gull", "tern"]


@kinds
def test_a_disk_that_fills_up_under_ctrl_c_changes_neither_it_nor_the_file(path, kind, monkeypatch):
    interrupted(path, kind, 2)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(resuming, "save_checkpoint", full)
    monkeypatch.setattr(resuming, "SHARE", 1e-9)
    file = resuming.FitFile(path, made(kind), feature_blocks.FeatureBlocks(data()[0]), data()[1])
    with pytest.raises(KeyboardInterrupt), file:  # noqa: PT012 (a fit in short)
        file._due = np.inf
        file.reached(Record(4))
        raise KeyboardInterrupt
    assert path.read_bytes() == before


def test_evaluations_that_another_processor_would_not_make_are_made_again(path):
    x, y = data()
    whole = learned(made(LogisticRegression).fit(x, y))
    interrupted(path, LogisticRegression, 9)

    def other_rounding(arrays, settings):
        arrays["training/points"][5] ^= 1
        arrays["training/gradients/1"][5:] = 0

    rewrite(path, other_rounding)
    rest = Slices(x)
    with pytest.warns(UserWarning, match=r"classifier.npz was begun by .* from number 6 on"):
        resumed = made(LogisticRegression).fit(rest, y, checkpoint=path, resume=True)
    assert learned(resumed) == whole
    counted = Slices(x)
    made(LogisticRegression).fit(counted, y)
    assert len(rest.reads) == KNOWING + len(counted.reads) - 5 * BLOCKS


def test_a_record_of_any_length_comes_back_and_a_file_does_not_change_as_it_grows(path):
    record, files = Record(3), []
    for number in range(1, 70):
        record.add(np.full(3, number), number / 4, np.full(3, -number))
        files.append(record.to_file())
    for n, (arrays, numbers) in enumerate(files, 1):
        arrays = {name: array.copy() for name, array in arrays.items()}
        again = Record.from_file(path, (arrays, numbers), 3)
        for number in range(1, n + 1):
            assert again.recalling
            loss, gradient = again.recall(np.full(3, number))
            assert (loss, gradient.tolist()) == (number / 4, [-number] * 3)
        assert again.recall(np.full(3, n + 1)) is None
        again.add(np.full(3, n + 1), 7, np.full(3, 8))
        *_, last = again.to_file()[0].values()
        assert last[-1].tolist() == [8] * 3


def test_an_evaluation_that_is_not_finite_ends_the_record():
    record = Record(3)
    for number, gradient in enumerate((0.0, 1.0, np.inf, 3.0)):
        record.add(np.full(3, number), 0.5, np.full(3, gradient))
    arrays, _ = record.to_file()
    assert len(arrays["training/losses"]) == 2
    assert np.isfinite(arrays["training/gradients/1"]).all()


@kinds
def test_without_a_checkpoint_nothing_is_recorded_or_written(kind, monkeypatch):
    monkeypatch.setattr(checkpoint, "atomic_write", None)
    monkeypatch.setattr(Record, "__init__", None)
    counted = Slices(data()[0])
    made(kind).fit(counted, data()[1])
    assert all(len(rows) > 1 for rows in counted.reads)
