"""What a run that ended after its record did not get to is made when it is resumed."""

import json
import threading
from contextlib import nullcontext

import pytest
from common import locks
from tables import run
from tables.rows import Row

from minisca import LinearSVM
from tests.support.experiments import ONE, command, made_images, measured
from tests.support.layers import Slices, assert_same_state, images, layer

ROWS = {"16": Row(layers=ONE, classifier=LinearSVM(max_iter=9))}
OTHERS = {"reconstruction": Row(layers=ONE)}


@pytest.fixture
def drawing(monkeypatch, notes):
    """Draws two pictures, in their order; ends in KeyboardInterrupt before the second at first."""
    drawn = []

    def draw(directory, name, row, layers, *_):
        directory.mkdir(exist_ok=True)
        seed = layers[0].options["random_state"]
        drawn.append((name, seed))
        (directory / f"{name}-loss-first.png").write_text(f"{seed}")
        if len(drawn) == 1:
            raise KeyboardInterrupt
        run.last_picture(directory, name, row).write_text(f"{seed}")

    monkeypatch.setattr(run, "draw_row", draw)
    monkeypatch.setattr(run, "report", lambda *_: None)
    return drawn


def pictures(output):
    return {path.name: path.read_text() for path in (output / "pictures").iterdir()}


@pytest.mark.parametrize("rows", [ROWS, OTHERS], ids=["classified", "reconstructed"])
def test_pictures_that_a_record_lacks_are_drawn_and_the_record_stays(rows, drawing, tmp_path):
    (name,) = rows
    with pytest.raises(KeyboardInterrupt):
        measured(rows, command(tmp_path, pictures=True))
    before = (tmp_path / "results.json").read_bytes()
    left = sorted(path.name for path in tmp_path.glob("classifiers/*"))
    assert ("16-seed0.npz" in left) == (rows is ROWS)
    resumed = command(tmp_path, pictures=True, resume=True)
    measured(rows, resumed)
    assert drawing == [(name, 0)] * 2
    assert len(pictures(tmp_path)) == 2
    assert (tmp_path / "results.json").read_bytes() == before
    assert not list(tmp_path.glob("classifiers/fit*"))
    measured(rows, resumed)
    measured(rows, command(tmp_path, resume=True))
    assert drawing == [(name, 0)] * 2


def test_the_classifiers_last_fit_is_not_made_again_for_pictures(drawing, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        measured(ROWS, command(tmp_path, pictures=True))
    monkeypatch.setattr(LinearSVM, "_learn", None)  # to fit would be a TypeError
    measured(ROWS, command(tmp_path, pictures=True, resume=True))
    assert len(pictures(tmp_path)) == 2


def test_a_resumed_run_draws_the_seed_that_a_whole_run_draws(drawing, tmp_path):
    drawing.append("the first is interrupted")
    measured(OTHERS, command(tmp_path, pictures=True))
    measured(OTHERS, command(tmp_path, pictures=True, resume=True, seeds=[0, 1]))
    assert drawing[1:] == [("reconstruction", 0)]
    assert set(pictures(tmp_path).values()) == {"0"}


def test_pictures_of_an_earlier_run_are_not_taken_for_those_of_a_new_one(drawing, tmp_path):
    drawing.append("the first is interrupted")
    measured(OTHERS, command(tmp_path, pictures=True))
    drawing.clear()
    with pytest.raises(KeyboardInterrupt):
        measured(OTHERS, command(tmp_path, pictures=True, seeds=[1]))
    measured(OTHERS, command(tmp_path, pictures=True, resume=True, seeds=[1]))
    assert set(pictures(tmp_path).values()) == {"1"}
    records = json.loads((tmp_path / "results.json").read_text())
    assert [record["seed"] for record in records] == [0, 1]


def test_a_layer_that_another_process_trains_is_waited_for_and_taken_over(tmp_path, monkeypatch):
    files, x = run.LayerFiles(tmp_path / "layers", resume=True), images()
    other, said, held, told = layer().fit(x), [], threading.Event(), threading.Event()
    monkeypatch.setattr(
        locks, "print", lambda text, flush: (said.append(text), told.set()), raising=False
    )

    def train():
        with locks.waiting_for(tmp_path / "locks" / "a.npz"):
            held.set()
            assert told.wait(60)
            other.save(tmp_path / "layers" / "a.npz")

    thread = threading.Thread(target=train)
    thread.start()
    assert held.wait(60)
    counted = Slices(x)
    found = files.fit(layer(), counted, "a.npz", lambda _: nullcontext())
    thread.join()
    assert said == ["Waiting for another process that makes a.npz"]
    assert_same_state(found, other)
    assert len(counted.reads) == 1  # to know which images they are


def test_a_recorded_row_whose_layer_was_trained_anew_and_stopped_is_gone_on_with(tmp_path):
    rows = {"reconstruction": Row(layers=({**layer().get_params(), "n_epochs": 2},))}
    whole = tmp_path / "layers" / "4-width3-seed0.npz"
    data = made_images()._replace(train=images(), test=images(seed=1))
    measured(rows, command(tmp_path), data)
    before, records = whole.read_bytes(), (tmp_path / "results.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):  # without --resume it begins anew
        measured(rows, command(tmp_path), data._replace(train=Slices(images(), fail_at=9)))
    assert whole.read_bytes() != before
    measured(rows, command(tmp_path, resume=True), data)
    assert whole.read_bytes() == before
    assert (tmp_path / "results.json").read_bytes() == records
