"""A classifier's interrupted fit goes on to the bits of an uninterrupted one, or says why not."""

import random

import numpy as np
import pytest

from minisca import CheckpointError, LinearSVM, LogisticRegression
from minisca.classifiers import feature_blocks, resuming
from minisca.classifiers.lbfgs import Record
from minisca.files import checkpoint
from tests.support import damage
from tests.support.classifier_problems import problem
from tests.support.layers import Slices, refusal, rewrite

KINDS = {LogisticRegression: {"tol": 0, "max_iter": 11}, LinearSVM: {"tol": 0, "max_iter": 10}}
kinds = pytest.mark.parametrize("kind", KINDS)
N, WIDTH, CLASSES = 120, 40, 3
KNOWING = N  # reads of a row each: which features they are
ROWS = 24  # a block's, here
BLOCKS = N // ROWS
PASS = {LogisticRegression: BLOCKS, LinearSVM: N // feature_blocks.RUN}  # reads of one


@pytest.fixture(autouse=True)
def small_blocks_in_one_thread(monkeypatch):
    """BLAS in one thread: for products as small as these its threads mostly wait for each other."""
    monkeypatch.setattr(feature_blocks, "BLOCK_BYTES", ROWS * WIDTH * 4)
    with pytest.importorskip("threadpoolctl").threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / "classifier.npz"


def made(kind, **options):
    return kind(**KINDS[kind] | {"verbose": False} | options)


def data(dtype=np.float32):
    features, labels = problem(N, WIDTH, CLASSES)
    return (features / 7).astype(dtype), labels


def learned(classifier):
    """Everything that was learned, as something that compares."""
    arrays, settings = classifier.to_file()
    arrays = {name: (array.dtype, array.tobytes()) for name, array in arrays.items()}
    return arrays, {name: settings[name] for name in ("loss", "n_iter", "converged")}


def interrupted(path, kind, after, x=None, resume=False):
    """Fit until the read that follows the first `after` passes; the classifier, as it was before.

    A pass is one of the SVM's, or one evaluation of logistic regression's.
    """
    x, y = (data()[0] if x is None else x), data()[1]
    fail_at = KNOWING + BLOCKS + after * PASS[kind] + 1
    classifier = made(kind, max_iter=1).fit(*problem()).set_params(**KINDS[kind])
    before = learned(classifier)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(Slices(x, fail_at=fail_at), y, checkpoint=path, resume=resume)
    assert learned(classifier) == before
    return classifier


# Going on -----------------------------------------------------------------------------------


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
    with pytest.raises(KeyboardInterrupt), file:  # noqa: PT012
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


# Refusals -----------------------------------------------------------------------------------


@kinds
def test_resuming_needs_a_path(kind):
    message = refusal(ValueError, made(kind).fit, *data(), resume=True)
    assert message == "checkpoint is None; with resume it must be the path to resume from"


@kinds
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("name", "value"), [("l2", 0.5), ("max_iter", 31), ("tol", 1e-3)])
def test_another_setting_is_named_with_both_values(path, kind, done, name, value):
    interrupted(path, kind, 2)
    if done:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    before = path.read_bytes()
    other = made(kind, **{name: value})
    assert refusal(CheckpointError, other.fit, *data(), checkpoint=path, resume=True) == (
        f"{path} was trained with {name}={getattr(made(kind), name)!r}; to resume from it, "
        f"{name} must be that, not {value!r}"
    )
    assert path.read_bytes() == before
    assert not hasattr(other, "coef_")


def one_other(labels):
    return np.where(np.arange(N) == 77, (labels + 1) % CLASSES, labels)


@kinds
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (2 * x, y), "features: some of 120 rows that were compared differ"),
        (lambda x, y: (x[:, ::-1], y), "features: some of 120 rows that were compared differ"),
        (lambda x, y: (x[:-8], y[:-8]), "features: their shape was (120, 40), not (112, 40)"),
        (lambda x, y: (x[:, :-1], y), "features: their shape was (120, 40), not (120, 39)"),
        (lambda x, y: (x.astype(float), y), "features: their dtype was float32, not float64"),
        (lambda x, y: (x, one_other(y)), "labels: some of 120 labels that were compared differ"),
        (lambda x, y: (x, y.astype(np.uint8)), "labels: their dtype was int64, not uint8"),
    ],
)
def test_other_features_and_labels_are_refused_saying_what_differs(
    path, kind, done, change, message
):
    interrupted(path, kind, 2)
    if done:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    before = path.read_bytes()
    said = refusal(CheckpointError, made(kind).fit, *change(*data()), checkpoint=path, resume=True)
    assert said == f"{path} was fitted to other {message}"
    assert path.read_bytes() == before


@kinds
def test_any_label_of_many_and_any_compared_row_is_noticed(path, kind):
    x, y = problem(1000, 3, 2)
    made(kind, max_iter=1).fit(x, y, checkpoint=path)
    other = np.where(np.arange(1000) == 501, 1 - y, y)
    said = refusal(CheckpointError, made(kind, max_iter=1).fit, x, other, path, True)
    assert said.endswith("labels: some of 1000 labels that were compared differ")


@kinds
def test_an_unfinished_fit_is_no_classifier_and_a_saved_one_no_checkpoint(path, kind):
    interrupted(path, kind, 2)
    message = refusal(CheckpointError, kind.load, path)
    assert message.startswith(f"{path} holds a fit that was interrupted; fit(X, y, checkpoint=")
    made(kind).fit(*data()).save(path)
    message = refusal(CheckpointError, made(kind).fit, *data(), checkpoint=path, resume=True)
    assert message == f"{path} does not say what it was fitted to: it is no checkpoint of fit"
    other = LinearSVM if kind is LogisticRegression else LogisticRegression
    message = refusal(CheckpointError, made(other).fit, *data(), checkpoint=path, resume=True)
    assert message == f"{path} holds a {kind.__name__}; it must hold a {other.__name__}"


@kinds
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("length", [0, 1, 1000, -1])
def test_a_file_that_is_cut_short_is_refused_and_kept(path, kind, done, length):
    interrupted(path, kind, 2)
    if done:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    path.write_bytes(path.read_bytes()[:length])
    before = path.read_bytes()
    message = refusal(CheckpointError, made(kind).fit, *data(), checkpoint=path, resume=True)
    assert message.startswith(str(path))
    assert path.read_bytes() == before


def put(name, value):
    return lambda arrays, settings: arrays.update({f"training/{name}": value})


def number(**changed):
    return lambda arrays, settings: settings["training"].update(changed)


BOTH = [
    (lambda a, s: s.update(data=None), "data is None; it must be by name"),
    (lambda a, s: s.update(data={}), "lacks the setting 'features'"),
    (lambda a, s: s["data"].update(labels=None), "it must say what was fitted to"),
    (lambda a, s: s["data"].update(labels=[1]), r"labels is \[1\]; it must be None, or have shape"),
    (lambda a, s: s["data"]["features"].update(shape=["a"]), "a side of features"),
    (lambda a, s: s["parameters"].update(l2="much"), "l2 is 'much'"),
]
ODD = {
    LogisticRegression: [
        *BOTH,
        (lambda a, s: a.pop("training/losses"), "lacks the array 'training/losses'"),
        (lambda a, s: a.pop("training/gradients/1"), "points, .* and 0 gradients"),
        (put("gradients/1", np.ones((3, 5))), r"shape \(3, 5\); it must be \(any, 123\)"),
        (put("gradients/1", np.ones((3, 123), np.float32)), "dtype float32; it must be float64"),
        (put("points", np.ones((3, 31), np.uint8)), r"must be \(any, 32\)"),
        (put("losses", np.ones(99)), "99 losses and"),
        (put("losses", np.full(2, np.nan)), "all must be finite"),
    ],
    LinearSVM: [
        *BOTH,
        (lambda a, s: s.update(training=None), "training is None; it must be by name"),
        (lambda a, s: s["training"].pop("violation"), "lacks the setting 'violation'"),
        (lambda a, s: a.pop("training/duals"), "lacks the array 'training/duals'"),
        (put("duals", np.ones((N, 2))), r"must be \(120, 3\)"),
        (put("duals", np.full((N, 3), -1.0)), "it must be at least 0"),
        (put("weights", np.ones((3, WIDTH))), "dtype float64; it must be float32"),
        (put("balance", np.ones(4)), r"must be \(3\)"),
        (put("intercepts", np.ones(3, complex)), "dtype complex128"),
        (number(n_passes=-1), "n_passes is -1"),
        (number(violation="small"), "violation is 'small'"),
        (number(random_state={}), "random state has the generator None"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [(kind, *case) for kind, cases in ODD.items() for case in cases],
)
def test_what_does_not_fit_is_refused_by_name(path, kind, change, message):
    interrupted(path, kind, 3)
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        made(kind).fit(*data(), checkpoint=path, resume=True)
    assert str(caught.value).startswith(str(path))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what overflows warns, as in any fit
def test_numbers_that_lead_beyond_all_floats_are_the_files_fault(path):
    interrupted(path, LinearSVM, 3)
    rewrite(path, put("weights", np.full((CLASSES, WIDTH), 3e38, np.float32)))
    message = refusal(CheckpointError, made(LinearSVM).fit, *data(), checkpoint=path, resume=True)
    assert message.startswith(f"{path} leads to weights that are not finite")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_damaged_anyhow_is_refused_by_name_or_gone_on_with(path, kind):
    """Blind damage never changes what is learned; what right checksums seal may."""
    interrupted(path, kind, 3)
    whole, expected = path.read_bytes(), learned(made(kind).fit(*data()))
    said = []
    for number, (name, damaged) in enumerate(sorted((damage.BLIND | damage.SEEING).items()) * 6):
        path.write_bytes(damaged(whole, random.Random(number)))
        try:
            fitted = made(kind).fit(*data(), checkpoint=path, resume=True)
        except CheckpointError as error:
            said.append(str(error))
        else:
            assert name not in damage.BLIND or learned(fitted) == expected
    assert len(said) > 6
    assert all(str(path) in message for message in said)


@kinds
def test_without_a_checkpoint_nothing_is_recorded_or_written(kind, monkeypatch):
    monkeypatch.setattr(checkpoint, "atomic_write", None)
    monkeypatch.setattr(Record, "__init__", None)
    counted = Slices(data()[0])
    made(kind).fit(counted, data()[1])
    assert all(len(rows) > 1 for rows in counted.reads)
