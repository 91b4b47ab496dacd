"""KeyboardInterrupt within a fit or a save: all of an epoch is there, or nothing of it.

A short form of `tests.campaigns.interrupts`, which see: of the functions that put together what has
been learned every line, once.
"""

import sys
import zipfile

import pytest

from tests.campaigns import interrupts
from tests.support.layers import few, small
from tests.support.saved_files import contents

FUNCTIONS = {
    *("fit", "partial_fit", "descend", "_initialise", "_learn", "initial_state"),
    *("fit_layer", "_state_to_begin_with", "_train", "_judged", "_after_epoch", "_restore_best"),
    *("train", "run_epochs", "save", "save_checkpoint", "_set_learned", "finish"),
}

#: What is left to the campaign: much the same once more.
LONG = {"again", "lifetime", "stack", "tied"}


def of_learning(times):
    return [numbers[0] for (code, _), numbers in times.items() if code.co_name in FUNCTIONS]


@pytest.mark.skipif(sys.gettrace() is not None, reason="a debugger or a measure of coverage traces")
@pytest.mark.parametrize("name", sorted(interrupts.SCENARIOS.keys() - LONG))
def test_an_interrupt_leaves_all_of_an_epoch_or_nothing(name, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    counts, wrong = interrupts.run(name, of_learning)
    assert wrong == {}
    assert counts["interrupts"] > 5


def test_what_interrupts_the_writing_of_an_array_comes_out(tmp_path, monkeypatch):
    path, close, calls = tmp_path / "a", zipfile._ZipWriteFile.close, []
    made = small().fit(few())
    made.save(path)
    before = path.read_bytes()

    def interrupted(stream):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        close(stream)

    monkeypatch.setattr(zipfile._ZipWriteFile, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.partial_fit(few(seed=1)).save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == before
    assert contents(type(made).load(path)) != contents(made)
