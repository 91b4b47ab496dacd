"""A study: what is run, what it is scored by, that nothing is trained twice."""

import itertools
import json
import re
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import study as script
from features.scaling import FeatureScaling
from studies.measure import Images, Measure
from studies.space import read_space

import minisca
from minisca.datasets import Dataset
from minisca.preprocessing import contrast_normalise
from tests.support.cifar_files import put_bars as put_colour_bars
from tests.support.mnist_files import put_bars
from tests.support.script_runs import ROOT, run_here

SPACE = """
design = "star"
[training]
n_maps = 4
n_epochs = [1, 2]
filter_width = 5
[encoding]
encoding_bias = [1.0, 0.5]
feature_scaling = ["none", "per-map"]
l2 = [1e-3, 1e-2]
"""


def declare(directory, text=SPACE):
    path = directory / "small.toml"
    path.write_text(text)
    return path


# What is run ----------------------------------------------------------------------------------


def test_a_star_is_the_base_and_every_other_value_by_itself(tmp_path):
    space = read_space(declare(tmp_path))
    base, settings = space.base(), [run.settings() for run in space.runs([0, 1])]
    changed = [[name for name in base if found[name] != base[name]] for found in settings]
    expected = [[], ["n_epochs"], ["encoding_bias"], ["feature_scaling"], ["l2"]]
    assert sorted(changed) == sorted(2 * expected)


def test_a_grid_is_every_combination_and_runs_of_a_layer_stand_together(tmp_path):
    space = read_space(declare(tmp_path, SPACE.replace("star", "grid")))
    runs = space.runs([0, 1])
    assert len({json.dumps(run) for run in runs}) == len(runs) == 2 * 16
    layers = [json.dumps((run.training, run.seed)) for run in runs]
    changes = sum(a != b for a, b in itertools.pairwise(layers))
    assert changes + 1 == len(set(layers)) == 4


def test_off_is_none_and_what_is_not_declared_has_the_estimators_default(tmp_path):
    text = SPACE.replace("n_maps = 4", 'n_maps = 4\nlifetime = ["off", 0.2]')
    runs = read_space(declare(tmp_path, text)).runs([0])
    assert {run.training["lifetime"] for run in runs} == {None, 0.2}
    run = read_space(declare(tmp_path)).runs([0])[0]
    assert run.training["momentum"] == 0.9
    assert run.encoding["classifier"] == "logistic"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("star", "comet"), "design is 'comet'"),
        (("n_maps", "maps"), r"maps in \[training\] .* is no setting"),
        (("l2 = [1e-3, 1e-2]", "l2 = [1e-3, 1e-3]"), "none of them twice"),
        (("filter_width = 5", "filter_width = 4"), "filter_width is 4"),
        (("filter_width = 5", 'schedule = ["linear", "step"]'), "schedule is 'step'"),
        (("filter_width = 5", 'momentum = [0, "low"]'), "momentum is 'low'"),
        (("filter_width = 5", "centre = 1"), "centre is 1"),
        (('"per-map"', '"perhaps"'), "'perhaps' is none of"),
        (('"star"', '"star"\nscore = "beauty"'), "score is 'beauty'"),
        (
            ('"star"', '"star"\ndata = "norb"'),
            "data is 'norb' in .*; it must be one of mnist, cifar",
        ),
        (("design", "design design"), "is no TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_space(declare(tmp_path, SPACE.replace(*change)))


def test_the_studies_of_the_repository_are_valid():
    paths = sorted((ROOT / "scripts" / "studies").glob("*.toml"))
    assert len(paths) >= 4
    for path in paths:
        assert read_space(path).runs([0])


# Nothing twice --------------------------------------------------------------------------------


@pytest.fixture
def measure(tmp_path):
    """What names the runs of a study; its images are never looked at."""
    space = read_space(declare(tmp_path))
    images = SimpleNamespace(name="few images")
    return Measure(images, space, None, "cpu")


@pytest.mark.parametrize(
    "other", [{"schedule": "constant"}, {"n_epochs": 3}, {"centre": True}], ids=str
)
def test_every_other_setting_has_a_name_of_its_own(measure, tmp_path, other):
    run = read_space(declare(tmp_path)).runs([3])[0]
    changed = run._replace(training=run.training | other)
    assert measure.layer_key(changed) != measure.layer_key(run)
    assert measure.key(changed) != measure.key(run)


def test_only_a_study_that_limits_the_labels_has_them_in_its_runs(tmp_path):
    limited = SPACE.replace("[encoding]", "[encoding]\nlabels = [20, 10]")
    for text, expected in ((SPACE, {None}), (limited, {10, 20})):
        runs = read_space(declare(tmp_path, text)).runs([0])
        assert {run.encoding.get("labels") for run in runs} == expected


def test_images_whose_labels_were_left_out_are_judged_too(measure, monkeypatch):
    features = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    measure.images.train_labels = np.array([0, 1, 2, 0, 1, 1])  # one of the last three is wrong
    measure.images.validation_labels = np.array([0, 1, 2])
    fitted, fit = [], minisca.LogisticRegression.fit

    def noted(model, X, y):
        fitted.append(len(y))
        return fit(model, X, y)

    monkeypatch.setattr(minisca.LogisticRegression, "fit", noted)
    encoding = {"classifier": "logistic", "l2": 1e-3, "max_iter": 100, "tol": 1e-5}
    found = measure._classify(encoding | {"labels": 3}, features, features[:3])
    assert found["validation_error_percent"] == pytest.approx(100 / 6, abs=1e-3)
    measure._classify(encoding, features, features[:3])
    assert fitted == [3, 6]


# A whole study --------------------------------------------------------------------------------


class Unreadable(np.ndarray):
    def __getitem__(self, _):
        raise AssertionError("the test set was read")


def test_the_test_set_is_not_read():
    images = np.arange(10.0, dtype=np.float32).reshape(10, 1, 1, 1)
    unread = images.view(Unreadable)
    data = Dataset(images, np.arange(10), unread, unread, name="d", source="s")
    split = Images(data, 5)
    assert split.train.ravel().tolist() == [0, 1, 2, 3, 4]
    assert split.validation.ravel().tolist() == [8, 9]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study on 100 images with bars as classes: begun by a process that is killed, then made by
    two at once. The output, the options, and what the two printed."""
    directory = put_bars(tmp_path_factory.mktemp("study"), 100, 10, side=12)
    options = [declare(directory), "--seeds", "0", "1", "--data-dir", directory]
    options += ["--backend", "cpu", "--output", directory / "out"]
    command = [sys.executable, "scripts/study.py", *options]
    start = partial(subprocess.Popen, list(map(str, command)), cwd=ROOT, text=True, stdout=-1)
    killed = start(stderr=subprocess.DEVNULL)
    while not (directory / "out" / "runs.jsonl").exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    processes = [start(stderr=subprocess.STDOUT) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return directory / "out", options, outputs


def read_lines(output):
    return [json.loads(line) for line in (output / "runs.jsonl").read_text().splitlines()]


def test_a_killed_processs_runs_are_taken_up_and_two_processes_make_every_run_once(study):
    output, _, printed = study
    for text in printed:
        finished = re.search(r"10 runs of 4 layers, (\d+) of them finished", text)
        assert int(finished[1]) >= 1  # those of the killed process are not made again
    lines = read_lines(output)
    assert len(lines) == len({line["key"] for line in lines}) == 10
    layers = {line["layer"] for line in lines}
    assert {path.stem for path in (output / "layers").glob("*.npz")} == layers
    assert len(layers) == 4
    for line in lines:
        assert 0 <= line["validation_error_percent"] <= 100
        assert line["validation_loss"] > 0
        assert line["settings"]["n_maps"] == 4
        assert line["seconds"] >= 0


def test_the_recorded_errors_are_those_of_the_saved_layers(study):
    output, (_, *options), _ = study
    data = minisca.datasets.load_mnist(options[options.index("--data-dir") + 1])
    (train, labels), (validation, truth) = data.validation_split()
    for line in read_lines(output):
        layer = minisca.SparseConvAutoencoder.load(output / "layers" / f"{line['layer']}.npz")
        assert line["reconstruction_error"] == pytest.approx(-layer.score(validation))
        layer.encoding_bias = line["settings"]["encoding_bias"]
        scaling = FeatureScaling(line["settings"]["feature_scaling"])
        features = layer.transform(train), layer.transform(validation)
        features = list(map(scaling.fit(features[0]).apply_, features))
        options = {name: line["settings"][name] for name in ("l2", "max_iter", "tol")}
        classifier = minisca.LogisticRegression(**options).fit(features[0], labels)
        error = 100 * (1 - classifier.score(features[1], truth))
        assert line["validation_error_percent"] == round(error, 4)


def test_a_finished_run_is_skipped_and_a_missing_one_is_made_from_the_same_layer(study):
    output, options, _ = study
    lines = read_lines(output)
    layers = {path: path.read_bytes() for path in (output / "layers").iterdir()}
    (output / "runs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines[1:]))
    assert "10 runs of 4 layers, 9 of them finished" in run_here(script, *options)
    again = read_lines(output)[-1]
    assert again["key"] == lines[0]["key"]
    assert again["validation_error_percent"] == lines[0]["validation_error_percent"]
    assert layers == {path: path.read_bytes() for path in (output / "layers").iterdir()}


def test_the_report_is_a_table_a_file_and_a_picture(study):
    output, options, _ = study
    printed = run_here(script, *options, "--report")
    assert "Backend" not in printed
    made = json.loads((output / "report.json").read_text())
    assert made["runs"] == 10
    found = {entry["setting"] for entry in made["effects"]}
    assert found == {"n_epochs", "encoding_bias", "feature_scaling", "l2"}
    for entry in made["effects"]:
        assert entry["setting"] in printed
    assert (output / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_of_a_second_layer_trains_the_first_once_a_seed(study, tmp_path):
    text = 'design = "star"\nscore = "reconstruction_error"\n[below]\nn_maps = 4\nn_epochs = 1\n'
    text += '[training]\nn_maps = 3\nn_epochs = 1\ninput_scaling = ["none", "per-map", "root", 2]\n'
    run_here(script, declare(tmp_path, text), *study[1][1:-1], tmp_path / "out")
    lines = read_lines(tmp_path / "out")
    assert len(lines) == 8
    assert len({line["reconstruction_error"] for line in lines}) == 8
    assert len(list((tmp_path / "out" / "layers").glob("below-*.npz"))) == 2


class Doubling:
    """In place of ZCA, which takes seconds for images of CIFAR-10's size."""

    def __init__(self, epsilon):
        assert epsilon == 0.1

    def fit(self, images):
        assert images.shape == (80, 3, 32, 32)
        return self

    def transform(self, images):
        return 2 * images


def test_a_study_of_colour_images_whitens_them_and_says_whose_files_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("studies.measure.ZCA", Doubling)
    text = 'data = "cifar10"\n' + SPACE.replace("filter_width = 5", "centre = [false, true]")
    text = text.replace("n_epochs = [1, 2]", "n_epochs = 1").partition("[encoding]")[0]
    options = [declare(tmp_path, text), "--data-dir", put_colour_bars(tmp_path / "data")]
    options += ["--backend", "cpu", "--output", tmp_path / "out", "--label", "bars"]
    run_here(script, *options)
    lines = {line["settings"]["centre"]: line for line in read_lines(tmp_path / "out")}
    assert {line["data"] for line in lines.values()} == {"bars, first 80 training images, whitened"}
    assert lines[True]["layer"] != lines[False]["layer"]
    path = tmp_path / "out" / "layers" / f"{lines[True]['layer']}.npz"
    (images, _), _ = minisca.datasets.load_cifar10(tmp_path / "data").validation_split()
    means = 2 * contrast_normalise(images).mean(axis=(0, 2, 3), dtype=float)
    np.testing.assert_allclose(minisca.SparseConvAutoencoder.load(path).centre_, means, atol=1e-6)
