"""Files that commands read: whatever is odd in one is an error that names it."""

import json
import random

import benchmark
import pytest
import study
import update_results
from common.data_files import FileError, run_command
from common.records import Results
from published import tables
from studies.runs import Runs
from studies.space import read_space

from tests.support.damage import odd
from tests.support.record_files import RUNS, STUDY, USES

NO_JSON = [
    b"",
    b"[",
    b"[{]",
    b"\xff\xfe",
    b"[" * 100_000,
    b"[" * 400 + b"]" * 400,
    b"nul",
    b'["\\ud800"]',
    b"1" * 301,
]


def used(function, path):
    """Call it; whatever it cannot use must be said by an error that names the file."""
    try:
        function()
    except FileError as error:
        message = str(error)
    else:
        return 0
    assert path.name in message
    return 1


@pytest.mark.parametrize("contents", NO_JSON, ids=lambda contents: repr(contents[:9]))
def test_what_is_no_json_or_no_list_of_records_is_named(tmp_path, contents):
    path = tmp_path / "results.json"
    path.write_bytes(contents)
    with pytest.raises(FileError, match=r"results\.json"):
        Results(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({}, r"results.json is {}; it must be a list"),
        ([3], r"results.json: item 1 is 3; it must be an object"),
        ([{"seed": 0, "data": "d"}], r"results.json: item 1 lacks 'row'"),
        ([{"row": "r", "seed": "0", "data": "d"}], 'seed is "0"; it must be a whole number'),
        ([{"row": "r", "seed": True, "data": "d"}], "seed is true; it must be a whole number"),
        (
            [{"row": "r", "seed": 0, "data": "d", "test_error_percent": "low"}],
            'item 1: test_error_percent is "low"; it must be a number or null',
        ),
        ([{"row": "r", "seed": 0, "data": "d", "settings": {"layers": 3}}], "layers is 3"),
    ],
)
def test_records_of_another_form_say_where_and_what(tmp_path, records, message):
    (tmp_path / "results.json").write_text(json.dumps(records))
    with pytest.raises(FileError, match=message):
        Results(tmp_path, resume=True)


def test_a_record_without_what_is_asked_for_says_which_it_is(tmp_path):
    (tmp_path / "results.json").write_text('[{"row": "mnist-16", "seed": 3, "data": "d"}]')
    record = Results(tmp_path, resume=True).records[0]
    with pytest.raises(FileError, match=r"item 1 \(row 'mnist-16', seed 3\) lacks 'seconds'"):
        record["seconds"]


@pytest.mark.parametrize(("name", "ending"), [("records", "results.json"), ("runs", "runs.jsonl")])
def test_files_with_anything_odd_are_reported_or_named(tmp_path, capsys, name, ending):
    path, (whole, use) = tmp_path / ending, USES[name]

    def write(found):
        text = "\n".join(map(json.dumps, found)) if name == "runs" else json.dumps(found)
        path.write_text(text)

    write(whole)
    assert used(lambda: use(tmp_path), path) == 0
    refused = 0
    for seed in range(80):
        write(odd(whole, random.Random(seed)))
        refused += used(lambda: use(tmp_path), path)
    capsys.readouterr()
    assert 8 < refused < 80


def test_a_study_of_one_run_is_reported(tmp_path, capsys):
    (tmp_path / "runs.jsonl").write_text(json.dumps(RUNS[0]))
    USES["runs"][1](tmp_path)
    assert "1 runs. Score: validation_error_percent" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"3", r"runs.jsonl, line 2 is 3; it must be an object"),
        (b'{"kay": 1}', r"runs.jsonl, line 2 lacks 'key'"),
        (b'{"key": []}', r"runs.jsonl, line 2: key is \[\]; it must be text"),
    ],
)
def test_a_line_that_is_no_run_is_named(tmp_path, line, message):
    (tmp_path / "runs.jsonl").write_bytes(b'{"key": "a"}\n' + line + b"\n")
    with pytest.raises(FileError, match=message):
        Runs(tmp_path).finished()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff", "is no TOML"),
        (b"a = " + b"[" * 5000, "is no TOML"),
        (b'design = "star"\ntraining = 3', "has training = 3; it must be a table"),
        (b'design = "star"\nbelow = [1]', r"has below = \[1\]; it must be a table"),
        (b'design = ["star"]', r"design is \['star'\]"),
        (b'design = "star"\n[encoding]\nl2 = [true]', r"l2 in \[encoding\] of .*l2 is True"),
        (b'design = "star"\n[encoding]\nmax_iter = 2.5', "max_iter is 2.5"),
        (b'design = "star"\n[encoding]\nfeature_scaling = [["a"]]', "is none of"),
        (b'design = "star"\n[encoding]\nclassifier = "svm"\nl2 = 0', "cannot be made: l2 is 0"),
        (b'design = "star"\n[training]\nn_active = 3', "cannot be made: n_active"),
        (
            b'design = "grid"\n[training]\nn_maps = %a\nn_epochs = %a'
            % (list(range(1, 1000)), list(range(1, 1000))),
            "more than 100,000 runs",
        ),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:20],
)
def test_a_study_of_odd_shape_is_named(tmp_path, text, message):
    path = tmp_path / "small.toml"
    path.write_bytes(text)
    with pytest.raises(FileError, match=message) as caught:
        read_space(path)
    assert "small.toml" in str(caught.value)


def test_published_tables_name_the_files_that_they_cannot_be_made_of(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MEASURED", tmp_path)
    page = "<!-- table-2 -->\n<!-- end table-2 -->"
    for contents in ("[3]", "[{}]", "3", "{", '[{"row": "cifar-512", "seed": []}]'):
        (tmp_path / "cifar10.json").write_text(contents)
        with pytest.raises(FileError, match=r"cifar10\.json"):
            update_results.updated(page)
    with pytest.raises(FileError, match="'table-9', which there is not"):
        update_results.updated("<!-- table-9 -->\n<!-- end table-9 -->")


@pytest.mark.parametrize("contents", ["3", "{}", '{"sections": 3}', "{"])
def test_a_benchmark_of_odd_shape_is_named(tmp_path, contents):
    path = tmp_path / "benchmark.json"
    path.write_text(contents)
    with pytest.raises(FileError, match=r"benchmark\.json"):
        benchmark.read_sections(path)


def test_a_command_ends_with_one_line_that_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["study.py", str(STUDY), "--output", str(tmp_path), "--report"])
    (tmp_path / "runs.jsonl").write_text("3\n")
    with pytest.raises(SystemExit, match=r"error: .*runs\.jsonl, line 1 is 3"):
        run_command(study.main)


def test_a_full_disk_names_the_file_of_runs(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*runs\.jsonl'"):
        Runs(tmp_path).append({"key": "a"})
