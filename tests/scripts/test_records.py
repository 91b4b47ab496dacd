"""Records: a run that was measured is found again, whatever settings have come since."""

import copy
import json
import os
import subprocess
import sys

import pytest
import reproduce_mnist
from common.records import Results, environment, same_settings

import minisca
from tests.support.mnist_files import put_bars
from tests.support.script_runs import ROOT, read_records, run_here

MEASURED = ROOT / "reference" / "measured"
#: Files of records of layers, of which what was measured long ago lacks later settings.
FILES = ("mnist.json", "cifar10.json", "sparsity.json", "figures.json")


def of_today(settings):
    """The settings as a script of today has them, its layers' with all that there are."""
    known = minisca.SparseConvAutoencoder().get_params()
    layers = [
        known | {name: layer[name] for name in layer.keys() & known.keys()}
        for layer in settings["layers"]
    ]
    return settings | {"layers": layers}


def measured(name):
    """The results of a file, and those of its records that have layers."""
    results = Results(MEASURED, resume=True, name=name)
    return results, [record for record in results.records if "layers" in record["settings"]]


@pytest.mark.parametrize("name", FILES)
def test_what_was_measured_is_found_with_todays_settings(name):
    results, records = measured(name)
    assert records
    for record in records:
        found = [record[key] for key in ("row", "seed", "data")]
        assert results.find(*found, of_today(record["settings"])) is record


def test_without_resume_nothing_is_found():
    results, (record, *_) = measured("mnist.json")
    results.resume = False
    found = [record[key] for key in ("row", "seed", "data", "settings")]
    assert results.find(*found) is None


@pytest.mark.parametrize(
    "other",
    [{"schedule": "cosine"}, {"init_bias": 0.5}, {"normalise_filters": True}, {"n_epochs": 3}],
    ids=str,
)
def test_with_another_setting_than_the_default_that_it_lacks_it_is_another_run(other):
    results, (record, *_) = measured("mnist.json")
    wanted = of_today(record["settings"])
    wanted["layers"][0] |= other
    assert results.find(record["row"], record["seed"], record["data"], wanted) is None


def test_settings_are_the_same_only_if_nothing_else_is_missing_or_more():
    wanted = {"layers": [minisca.SparseConvAutoencoder(4).get_params()], "quick": False}
    wanted = json.loads(json.dumps(wanted))
    assert same_settings(wanted, copy.deepcopy(wanted))
    for change in (
        lambda recorded: recorded.pop("quick"),
        lambda recorded: recorded.update(images=3),
        lambda recorded: recorded["layers"].pop(),
        lambda recorded: recorded["layers"][0].update(colour="red"),
        lambda recorded: recorded["layers"][0].pop("n_maps"),  # 4 is not the default
        lambda recorded: recorded.update(layers=None),
    ):
        recorded = copy.deepcopy(wanted)
        change(recorded)
        assert not same_settings(wanted, recorded)


ADD = """
import sys
from common.records import Results
output, process = sys.argv[1:]
results = Results(output, resume=False)
for seed in range(10):
    results.add({"row": process, "seed": seed, "data": "none"})
"""


def test_the_records_of_processes_that_share_an_output_are_all_kept(tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"}
    processes = [
        subprocess.Popen([sys.executable, "-c", ADD, tmp_path, str(n)], env=environment)
        for n in range(3)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    found = Results(tmp_path, resume=True).records
    wanted = {(str(n), seed) for n in range(3) for seed in range(10)}
    assert {(record["row"], record["seed"]) for record in found} == wanted
    assert len(found) == 30


def test_a_record_takes_the_place_of_one_of_the_same_run_only(tmp_path):
    ours, theirs = (Results(tmp_path, resume=False) for _ in range(2))
    for results, figure in ((ours, 1), (theirs, 2)):
        results.add({"row": "16", "seed": 0, "data": "none", "figure": figure})
    ours.add({"row": "16", "seed": 1, "data": "none", "figure": 3})
    assert [record["figure"] for record in ours.records] == [2, 3]


def test_what_another_process_measured_with_other_settings_meanwhile_stays(tmp_path):
    def record(epochs):
        return {"row": "16", "seed": 0, "data": "none", "settings": {"epochs": epochs}}

    ours, theirs = (Results(tmp_path, resume=False) for _ in range(2))
    for results, epochs in ((ours, 1), (theirs, 2), (ours, 1), (theirs, 2)):
        results.add(record(epochs))
    assert theirs.records == [record(1), record(2)]
    later = Results(tmp_path, resume=False)  # what was there before is replaced
    later.add(record(3))
    assert later.records == [record(3)]


def test_two_commands_at_once_in_one_output_leave_the_records_of_both(tmp_path):
    data, output = put_bars(tmp_path / "bars", 60, 20), tmp_path / "out"
    command = [sys.executable, "scripts/reproduce_mnist.py", "--quick", "--data-dir", data]
    command += ["--rows", "reconstruction", "--epochs", "1", "--output", output]
    processes = [
        subprocess.Popen([*command, "--seeds", seed], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for seed in "01"
    ]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(record["seed"] for record in read_records(output)) == [0, 1]
    assert len(list((output / "layers").iterdir())) == 2
    assert any(all(f"reconstruction  {seed}" in text for seed in range(2)) for text in said)


@pytest.mark.parametrize(
    ("typed", "recorded"),
    [
        *(("out/mnist", "out/mnist"), ("CIFAR-10, JPEG", "'CIFAR-10, JPEG'"), ("0.5", "0.5")),
        *(("--l2=1e-3", "--l2=1e-3"), ("https://x.org/a", "https://x.org/a"), ("~5 a", "~5 a")),
        *(("/home/me/private/mnist", "mnist"), ("/home/me/private/mnist/", "mnist"), ("/", ".")),
        *(("--output=/home/me/out", "--output=out"), ("--a=b=/home/me/c", "--a=b=c")),
        *(("/home/me/My Data/a b", "'a b'"), ("JPEG of /home/me/x, q 7", "'JPEG of x, q 7'")),
        *(("~/private/mnist", "mnist"), ("--output=~me/out", "--output=out"), ("~me", ".")),
        *(("$HOME/private/mnist", "mnist"), ("${DATA}/mnist", "mnist"), ("$DATA", ".")),
        *(("%USERPROFILE%\\data", "data"), ("C:\\Users\\me\\data", "data"), ("D:/me/a", "a")),
        *(("\\\\server\\me\\data", "data"), ("file:///home/me/data", "data")),
        *(("me@host:/home/me/data", "me@host:data"), ("../../me/data", "data"), ("..", ".")),
        *((f"{ROOT}/out/mnist", "out/mnist"), (f"--output={ROOT}/out/a", "--output=out/a")),
        *((f"{ROOT}/../me/out", "out"), (f"{ROOT}/scripts/../out/a", "out/a")),
    ],
)
def test_a_recorded_command_says_nothing_of_where_it_ran(typed, recorded, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts" / "study.py"), "--data-dir", typed])
    wanted = f"python scripts/study.py --data-dir {recorded}"
    assert environment()["command"].replace("'", "") == wanted.replace("'", "")


def test_the_records_of_a_command_that_was_given_absolute_paths_have_none(tmp_path):
    data = put_bars(tmp_path / "bars", 60, 20)
    options = ["--data-dir", data, f"--output={tmp_path / 'out'}", "--rows", "reconstruction"]
    run_here(reproduce_mnist, *options, "--quick", "--epochs", "1")
    text = (tmp_path / "out" / "results.json").read_text(encoding="utf-8")
    assert "--data-dir bars --output=out --rows reconstruction" in text
    assert str(tmp_path) not in text
    assert str(tmp_path.parent) not in text
