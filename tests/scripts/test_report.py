"""The report: one page that needs nothing else, with every figure of the records in it."""

import importlib
import json
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ROOT / "reference" / "measured"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def run_script(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/report.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The report on the repository's own records."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    done = run_script("--output", path)
    assert done.returncode == 0, done.stderr
    return path.read_text(encoding="utf-8")


@pytest.fixture
def modules(monkeypatch):
    """The script's modules, imported as it imports them."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return {name: importlib.import_module(name) for name in ("report_html", "report_rows")}


def record(**changed):
    made = {
        **{"row": "mnist-16", "seed": 0, "data": "MNIST", "paper_percent": 1.15},
        **{"test_error_percent": 1.2, "validation_error_percent": 1.3},
        **{"settings": {"quick": False}, "seconds": {"train": 60.4, "total": 61.0}},
        "machine": {"cpu": "An Abacus", "cores": 10, "memory_gib": 0.5},
    }
    return made | changed


def report_on(tmp_path, records, name="some.json"):
    """The parsed page of a directory with these records."""
    measured = tmp_path / "measured"
    measured.mkdir(exist_ok=True)
    (measured / name).write_text(json.dumps(records))
    done = run_script("--measured", measured, "--output", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    return ElementTree.fromstring((tmp_path / "page.html").read_text(encoding="utf-8"))


def text_of(element):
    return " ".join(element.itertext())


def rows_of(tree, caption):
    """The rows' texts, cell by cell, of the first table with this caption."""
    table = next(t for t in tree.iter("table") if t.findtext("caption") == caption)
    return [[text_of(cell) for cell in row] for row in table.find("tbody")]


def leaves(value):
    """Every number, text and truth value in what JSON holds."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def as_shown(leaf):
    if leaf is None or isinstance(leaf, bool):
        return {None: "none", True: "yes", False: "no"}[leaf]
    return f"{leaf:.6g}" if isinstance(leaf, float) else str(leaf)


# The page as such -----------------------------------------------------------------------------


class Strict(HTMLParser):
    """Fails on a tag that is not closed, or closed out of turn."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.seen.append((tag, dict(attributes)))

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_well_formed_as_html_and_as_xml(html):
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert html.startswith("<!DOCTYPE html>")
    assert ElementTree.fromstring(html).tag == "html"


def test_it_needs_no_network_no_script_and_no_other_file(html):
    parser = Strict()
    parser.feed(html)
    assert not {tag for tag, _ in parser.seen} & {"script", "link", "iframe", "object", "base"}
    sources = [attributes["src"] for _, attributes in parser.seen if "src" in attributes]
    assert len(sources) == len(list((MEASURED / "figures").glob("*.png")))
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert "url(" not in html
    assert "@import" not in html


def test_text_is_escaped_and_markup_is_not(modules):
    element = modules["report_html"].element
    inner = element("b", "a < b & c")
    assert element("p", inner, '"d"', title='"e"<') == (
        '<p title="&quot;e&quot;&lt;"><b>a &lt; b &amp; c</b>&quot;d&quot;</p>'
    )


# What it says ---------------------------------------------------------------------------------


def test_every_figure_of_every_record_stands_in_its_own_part(html):
    folded = list(ElementTree.fromstring(html).iter("details"))
    for path in sorted(MEASURED.glob("*.json")):
        contents = json.loads(path.read_text())
        for entry in contents if isinstance(contents, list) else [contents]:
            words = text_of(folded.pop(0))
            for leaf in leaves(entry):
                assert as_shown(leaf) in words, (path.name, leaf)
    assert folded == []


def test_every_published_figure_stands_in_its_table(html):
    with open(ROOT / "reference" / "paper.toml", "rb") as file:
        paper = tomllib.load(file)
    tree = ElementTree.fromstring(html)
    captions = {
        "mnist": ("test error %, lower is better", 0),
        "cifar": ("test accuracy %, higher is better", 0),
        "norb": ("test error %, lower is better", 1),
    }
    for prefix, (caption, number) in captions.items():
        tables = [t for t in tree.iter("table") if t.findtext("caption") == caption]
        found = [[text_of(cell) for cell in row] for row in tables[number].find("tbody")]
        expected = [method["value"] for method in paper["compared"][prefix]["methods"]]
        expected += [
            experiment["value"]
            for name, experiment in paper["experiments"].items()
            if name.startswith(prefix)
        ]
        assert {float(cells[1]) for cells in found} == set(expected)
        for method in paper["compared"][prefix]["methods"]:
            assert any(method["name"] == cells[0] for cells in found)


def test_the_recorded_seeds_of_mnist_their_mean_and_deviation_are_in_table_1(html):
    records = json.loads((MEASURED / "mnist.json").read_text())
    words = text_of(ElementTree.fromstring(html))
    for row in ("mnist-16", "mnist-128"):
        errors = [r["test_error_percent"] for r in records if r["row"] == row]
        assert f"{np.mean(errors):.2f} ± {np.std(errors, ddof=1):.2f}" in words
        seeds = sorted((r for r in records if r["row"] == row), key=lambda r: r["seed"])
        assert ", ".join(f"{r['test_error_percent']:.2f}" for r in seeds) in words


def test_a_measured_row_names_seeds_time_machine_and_what_compares(tmp_path):
    records = [record(seed=1, test_error_percent=1.0), record()]
    tree = report_on(tmp_path, records)
    table = rows_of(tree, "test error %, lower is better")
    (cells,) = (row for row in table if row[0].startswith("minisca, 16 maps"))
    assert cells[1:4] == ["1.15", "1.10 ± 0.14", "1.20, 1.00"]
    assert cells[5:7] == ["61 s: train 60", "An Abacus, 10 cores, 0 GiB"]
    assert "0.05 below the paper's figure (better)" in cells[7]
    assert "2 seeds" in cells[7]


def test_rows_that_were_not_measured_say_so(tmp_path):
    tree = report_on(tmp_path, [record()])
    for table in tree.iter("table"):
        for row in table.find("tbody"):
            cells = [text_of(cell) for cell in row]
            if cells[0].startswith(("minisca, 128", "minisca, 512")):
                assert cells[2] == "not measured"
                assert cells[7].startswith("Not measured.")


def test_accuracies_are_100_less_the_recorded_errors_and_other_data_do_not_compare(tmp_path):
    data = "CIFAR-10, JPEG"
    made = record(row="cifar-512", test_error_percent=30.0, data=data, paper_percent=None)
    tree = report_on(tmp_path, [made])
    (cells,) = (
        row
        for row in rows_of(tree, "test accuracy %, higher is better")
        if row[0].startswith("minisca, 512 maps")
    )
    assert cells[1:3] == ["72.7", "70.00"]
    assert cells[7].startswith("Not comparable: measured on CIFAR-10, JPEG.")


@pytest.mark.parametrize(
    ("row", "metric", "value", "words"),
    [
        ("mnist-16", "test error %", 1.25, "0.10 above the paper's figure (worse)"),
        ("mnist-16", "test error %", 1.05, "0.10 below the paper's figure (better)"),
        ("cifar-512", "test accuracy %", 26.3, "1.00 above the paper's figure (better)"),
        ("cifar-512", "test accuracy %", 28.3, "1.00 below the paper's figure (worse)"),
        ("mnist-16", "test error %", 1.15, "The paper's figure."),
    ],
)
def test_better_and_worse_follow_the_metric(modules, row, metric, value, words):
    published = {"mnist-16": 1.15, "cifar-512": 72.7}[row]
    experiment = {"metric": metric, "value": published, "layers": [{}], "data": "some"}
    said = modules["report_rows"].statement(experiment, [record(test_error_percent=value)])
    assert words in said
    assert "one seed, so the spread is not known" in said


def test_a_quick_run_is_called_one(modules):
    experiment = {"metric": "test error %", "value": 1.15, "layers": [{}], "data": "MNIST"}
    said = modules["report_rows"].statement(experiment, [record(settings={"quick": True})])
    assert said.startswith("Not comparable: a quick run")


def test_a_resumed_run_says_that_its_times_are_not_the_whole(modules):
    experiment = {"metric": "test error %", "value": 1.15, "layers": [{}], "data": "MNIST"}
    statement = modules["report_rows"].statement
    assert "Resumed" in statement(experiment, [record(command="python x.py --resume")])
    assert "Resumed" not in statement(experiment, [record(command="python x.py")])


def test_figure_1c_is_a_table_of_methods_by_maps(tmp_path):
    records = [
        record(
            row=f"figure-1c-{method}-{maps}-{kind}",
            validation_accuracy_percent=maps + bonus,
            settings={"quick": False, "train_images": 12345},
        )
        for maps in (128, 16)
        for method, kind, bonus in (("k-means", "raw", 0.5), ("winner-take-all", "raw", 1.25))
    ]
    tree = report_on(tmp_path, records[:-1])
    (table,) = (t for t in tree.iter("table") if "plot" in t.findtext("caption"))
    assert "12,345 training images" in table.findtext("caption")
    header = [text_of(cell) for cell in table.find("thead")[0]]
    assert header == ["maps", "k-means, raw", "winner-take-all, raw"]
    rows = [[text_of(cell) for cell in row] for row in table.find("tbody")]
    assert rows == [["16", "16.50", "–"], ["128", "128.50", "129.25"]]
    assert not any("Also measured" in text_of(heading) for heading in tree.iter("h2"))


def test_figure_1c_of_other_training_images_is_a_table_of_its_own(tmp_path):
    records = [
        record(
            row="figure-1c-k-means-16-raw",
            validation_accuracy_percent=accuracy,
            settings={"quick": False, "train_images": train_images},
        )
        for train_images, accuracy in ((1000, 50.0), (2000, 60.0))
    ]
    tree = report_on(tmp_path, records)
    tables = [t for t in tree.iter("table") if "plot" in t.findtext("caption")]
    assert ["1,000" in t.findtext("caption") for t in tables] == [True, False]
    cells = [text_of(t.find("tbody")[0][1]) for t in tables]
    assert cells == ["50.00", "60.00"]


def test_the_sparsity_rules_are_a_table_of_means_over_seeds(tmp_path):
    numbers = {
        **{"reconstruction_error": 5.0, "dead_maps": 0, "median_delta_share": 0.125},
        **{"median_sharpness": 0.5, "median_steepness": 0.25, "repeated_filters": 1},
    }
    records = [
        record(row="sparsity-tied", seed=seed, validation_error_percent=error, **numbers)
        for seed, error in ((0, 2.0), (1, 4.0))
    ]
    tree = report_on(tmp_path, records)
    (table,) = (t for t in tree.iter("table") if "section 2.1" in t.findtext("caption"))
    (cells,) = ([text_of(cell) for cell in row] for row in table.find("tbody"))
    assert cells[0] == "tied"
    assert "3.00 ± 1.41" in cells
    assert "2.00, 4.00" in cells


def test_the_largest_memory_of_a_rows_seeds_stands_beside_its_time(tmp_path):
    records = [record(peak_memory_gib=1.25), record(seed=1, peak_memory_gib=6.0)]
    tree = report_on(tmp_path, records)
    table = rows_of(tree, "test error %, lower is better")
    (cells,) = (row for row in table if row[0].startswith("minisca, 16 maps"))
    assert cells[5] == "61 s: train 60; 6.0 GiB of memory"


def test_files_of_another_form_are_shown_whole(tmp_path):
    report = {"sections": {"steps": {"seconds": [0.5, 0.25], "note": "<fast>"}}, "empty": {}}
    tree = report_on(tmp_path, report, "benchmark.json")
    (folded,) = tree.iter("details")
    for word in ("steps", "0.5, 0.25", "<fast>", "empty"):
        assert word in text_of(folded)


def test_without_records_the_page_says_that_nothing_was_measured(tmp_path):
    (tmp_path / "none").mkdir()
    done = run_script("--measured", tmp_path / "none", "--output", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert "Nothing was measured yet." in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("contents", "message"),
    [("[{", "is not JSON"), ('[{"row": "mnist-16"}]', "record 0 lacks 'seed'")],
)
def test_a_file_that_is_no_record_is_named(tmp_path, contents, message):
    (tmp_path / "broken.json").write_text(contents)
    done = run_script("--measured", tmp_path, "--output", tmp_path / "page.html")
    assert done.returncode != 0
    assert "broken.json" in done.stderr
    assert message in done.stderr


def test_a_missing_directory_is_named(tmp_path):
    done = run_script("--measured", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere; it must be a directory" in done.stderr


# In a browser ---------------------------------------------------------------------------------


@pytest.fixture
def browser(tmp_path):
    """A headless Chromium with a profile of its own and no network."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is here to open the page in")
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic")

    def run(*arguments):
        return subprocess.run(
            [
                *(chromium, "--headless", "--no-sandbox", "--no-first-run"),
                *(f"--disable-{name}" for name in quiet),
                f"--user-data-dir={tmp_path / 'profile'}",
                *arguments,
            ],
            capture_output=True,
            timeout=120,
            cwd=tmp_path,
        )

    yield run
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)


def test_a_browser_shows_every_figure(browser, html, tmp_path):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    done = browser("--dump-dom", f"file://{tmp_path / 'report.html'}")
    dom = done.stdout.decode()
    assert "</html>" in dom, done.stderr.decode()[-500:]
    words = visible(dom)
    # a browser that had to repair the page would show another number of elements
    for tag in ("table", "tr", "td", "details", "img", "dd", "figure"):
        assert dom.count(f"<{tag}") == html.count(f"<{tag}"), tag
    for path in MEASURED.glob("*.json"):
        for leaf in leaves(json.loads(path.read_text())):
            assert as_shown(leaf) in words, (path.name, leaf)


def visible(dom):
    """The texts of a document, references resolved."""
    texts = []
    parser = HTMLParser(convert_charrefs=True)
    parser.handle_data = texts.append
    parser.feed(dom)
    return " ".join(texts)


def test_a_browser_draws_it(browser, html, tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib reads the screenshot")
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    picture = tmp_path / "screen.png"
    page = f"file://{tmp_path / 'report.html'}"
    browser(f"--screenshot={picture}", "--window-size=1200,900", page)
    pixels = image.imread(picture)
    assert pixels.shape[:2] == (900, 1200)
    dark = (pixels[:, :, :3].max(axis=2) < 0.5).mean()
    assert 0.005 < dark < 0.5  # text on white


def test_a_study_of_settings_is_a_table_of_what_each_value_adds(tmp_path):
    effect = {"setting": "learning_rate", "value": 0.05, "runs": 3, "mean": 0.75}
    effect |= {"reference": False, "difference": -0.03, "standard_error": 0.01}
    study = {"study": "s-128", "data": "MNIST", "runs": 6, "seed_spread": 0.05}
    study |= {"score": "validation_error_percent", "effects": [effect | {"in_seed_spreads": -0.6}]}
    caption = (
        "s-128: 6 runs on MNIST. Score: validation error percent; its standard deviation over "
    )
    (row,) = rows_of(report_on(tmp_path, study), f"{caption}seeds: 0.050")
    assert row == ["learning_rate", "0.05", "3", "0.750", "-0.030", "0.010", "-0.6"]
