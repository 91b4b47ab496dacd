"""The README and the recorded measurements say the same, and every record is whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.script_runs import import_script

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "reference" / "measured"
FIELDS = (
    "row seed test_error_percent validation_error_percent paper_percent data settings seconds "
    "losses versions machine command"
)


def test_the_readmes_tables_are_made_from_the_records():
    done = subprocess.run(
        [sys.executable, "scripts/update_results.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(MEASURED.glob("*.json")), ids=lambda path: path.stem)
def test_every_record_is_whole_and_names_no_directory_of_its_machine(path):
    text = path.read_text()
    records = json.loads(text)
    assert records
    for record in records if isinstance(records, list) else ():
        assert set(record) >= set(FIELDS.split())
    for place in ("/root", "/home", "/work", "/tmp"):
        assert place not in text


def test_the_readmes_pictures_and_sections_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in text.split("](")[1:]]
    headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif not link.startswith("http"):
            assert (ROOT / link).exists(), link


@pytest.mark.parametrize(
    "command",
    [
        "reproduce_mnist.py",
        "reproduce_cifar10.py",
        "reproduce_norb.py",
        "update_readme.py",
    ],
)
def test_every_script_says_what_it_does(command):
    done = subprocess.run(
        [sys.executable, f"scripts/{command}", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("mnist-128", None),
        ("mnist-few-labels-pca", None),
        ("mnist-512", ("mnist-512", "more maps", "mnist-128")),
        (
            "mnist-16-logistic",
            ("mnist-16", "logistic regression in place of the SVM", "mnist-16"),
        ),
        (
            "mnist-deep-4096-shifts",
            ("mnist-deep-4096", "scores averaged over one-pixel shifts", "mnist-deep-4096"),
        ),
        (
            "mnist-deep-concatenated-shifts",
            (
                "mnist-deep",
                "features of both layers, scores averaged over one-pixel shifts",
                "mnist-deep",
            ),
        ),
    ],
)
def test_rows_with_extensions_are_told_from_plain_ones(monkeypatch, row, expected):
    assert import_script(monkeypatch, "published.results").name_of_extended(row) == expected
