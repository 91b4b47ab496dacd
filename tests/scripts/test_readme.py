"""The pages say what the records say, their links lead somewhere, and every record is whole."""

import json
import re
from dataclasses import replace

import pytest
from published.tables import name_of_extended
from update_results import updated

import minisca
from tests.support.script_runs import FIELDS, ROOT, run_script

MEASURED = ROOT / "reference" / "measured"
FOLDERS = ("", "reference", "scripts", "minisca/**", "tests/**")
PAGES = sorted({page for folder in FOLDERS for page in (ROOT / folder).glob("*.md")})
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_the_tables_and_the_report_are_made_from_the_records():
    done = run_script("update_results.py", "--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_table_is_noticed_and_made_anew():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "1.15 %" in page
    assert updated(page.replace("1.15 %", "1.14 %")) == page


def test_the_readme_is_short_and_has_the_papers_figure_beside_ours():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1500
    (header,) = re.findall(r"^\| MNIST, test error \|.*$", text, re.MULTILINE)
    columns = [cell.strip() for cell in header.split("|")[2:-1]]
    assert columns == ["paper", "minisca, logistic regression", "minisca, linear SVM"]


def test_the_readmes_python_runs(monkeypatch, tmp_path):
    """On 60 digits for 60,000: what it prints and where it writes is all that differs."""
    sample = minisca.datasets.load_mnist_sample()
    names = [f"{part}_{kind}" for part in ("train", "test") for kind in ("images", "labels")]
    first = {name: getattr(sample, name)[:60] for name in names}
    monkeypatch.setattr(minisca.datasets, "load_mnist", lambda: replace(sample, **first))
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = {}
    exec("".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)
    assert names["features"].shape == (60, 128, 10, 10)
    assert names["deep_features"].shape == (60, 2048, 5, 5)
    assert names["values"].shape == (60, 128)
    assert names["both"][-1].n_features_in_ == 16 * 10 * 10
    assert (tmp_path / "layer1.npz").exists()
    assert (tmp_path / "step.png").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(text):
        if not link.startswith(("http:", "https:")):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            if anchor:
                assert anchor in anchors(target.read_text(encoding="utf-8")), link
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        assert not {"goal", "target"} & set(cells), line


def anchors(text):
    """The headings' names as links have them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", sorted(MEASURED.rglob("*.json")), ids=lambda path: path.stem)
def test_every_record_is_whole_and_names_no_directory_of_its_machine(path):
    text = path.read_text(encoding="utf-8")
    records = json.loads(text)
    assert records
    for record in records if isinstance(records, list) else ():
        assert set(record) >= FIELDS
    for place in ("/root", "/home", "/work", "/tmp"):
        assert place not in text


SHIFTS = "scores averaged over one-pixel shifts"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("mnist-128", None),
        ("mnist-16-logistic", None),
        ("mnist-few-labels-pca", None),
        ("mnist-512", ("512 maps", "more maps", "mnist-128")),
        ("mnist-512-logistic", ("512 maps", "logistic regression", "mnist-512")),
        ("mnist-deep-4096-shifts", ("512 then 4096 maps", SHIFTS, "mnist-deep-4096")),
        (
            "mnist-deep-concatenated-shifts",
            ("128 then 2048 maps", f"features of both layers, {SHIFTS}", "mnist-deep"),
        ),
    ],
)
def test_rows_with_extensions_are_told_from_plain_ones(row, expected):
    assert name_of_extended(row) == expected
