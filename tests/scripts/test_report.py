"""The results page: one well-formed file with all that was given in it, which loads nothing."""

import shutil
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree

import pytest
from common import report

from tests.support.script_runs import ROOT

PICTURE = ROOT / "reference" / "measured" / "figures" / "mnist-without-constraint.png"


@pytest.fixture
def page(tmp_path):
    """A page with a section of every kind."""
    path = tmp_path / "out" / "report.html"
    sections = [
        report.Section(
            "Table 1", ["row", "paper"], [["16 <maps>", "1.15 %"]], text="First.\n\nSecond & last."
        ),
        report.Section("Settings", settings={"layers": [{"n_maps": 16}], "l2": 1e-2, "n": None}),
        report.Section("Seen", pictures=[("By path", PICTURE), ('"', PICTURE.read_bytes())]),
    ]
    report.write_report(path, 'A "title" <b>', sections, note="Quick run")
    return path


@pytest.fixture
def parsed(page):
    """The page read as XML, which forgives nothing: every tag is closed, every text escaped."""
    return ElementTree.fromstring(page.read_text(encoding="utf-8"))


def test_everything_that_was_given_is_in_it_as_text(parsed):
    texts = list(parsed.itertext())
    for text in (
        *('A "title" <b>', "Quick run", "Table 1", "paper", "16 <maps>", "1.15 %", "First."),
        *("Second & last.", "layers", "n_maps 16", "0.01", "none", "By path", '"'),
    ):
        assert text in texts


def test_pictures_are_inside_and_nothing_else_is_loaded(parsed):
    tags = [element.tag for element in parsed.iter()]
    assert not {"script", "link", "iframe", "object", "base"} & set(tags)
    sources = [image.get("src") for image in parsed.iter("img")]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    style = parsed.findtext("head/style")
    assert "url(" not in style
    assert "@import" not in style


def test_every_published_figure_of_the_paper_stands_in_the_published_report():
    tree = ElementTree.parse(ROOT / "reference" / "report.html")
    rows = [[cell.text for cell in row] for row in tree.iter("tr")]
    with open(ROOT / "reference" / "paper.toml", "rb") as file:
        paper = tomllib.load(file)
    expected = {
        (method["name"], method["value"])
        for quoted in paper["compared"].values()
        for method in quoted["methods"]
    }
    values = [experiment["value"] for experiment in paper["experiments"].values()]
    found = {(row[0], float(row[1].removesuffix(" %"))) for row in rows if row[1].endswith(" %")}
    assert found >= expected
    ours = [value for name, value in found if name.startswith("Winner-take-all, ")]
    assert set(ours) == set(values)


def test_a_row_of_another_length_and_a_picture_that_is_none_are_refused(tmp_path):
    path, write = tmp_path / "report.html", report.write_report
    with pytest.raises(ValueError, match=r"row of 'T' has 1 cells; its header has 2"):
        write(path, "", [report.Section("T", ["a", "b"], [["1"]])])
    with pytest.raises(ValueError, match="the bytes must be a PNG"):
        write(path, "", [report.Section("T", pictures=[("c", b"GIF89a")])])
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        write(path, "", [report.Section("T", pictures=[("c", tmp_path / "missing.png")])])
    assert list(tmp_path.iterdir()) == []


def test_a_browser_has_nothing_to_repair_in_it(page, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("neither chromium nor google-chrome is here to open the page in")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'p'}"]
    done = subprocess.run(
        [chromium, *options, "--dump-dom", page.as_uri()], capture_output=True, timeout=120
    )
    dom, text = done.stdout.decode(), page.read_text(encoding="utf-8")
    for tag in ("table", "tr", "td", "dl", "dd", "section", "figure", "img", "p"):
        assert dom.count(f"<{tag}") == text.count(f"<{tag}"), tag


def test_a_browser_draws_it(page, tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib reads the screenshot")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("neither chromium nor google-chrome is here to open the page in")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'p'}"]
    options += [f"--screenshot={tmp_path / 'screen.png'}", "--window-size=1200,900"]
    subprocess.run([chromium, *options, page.as_uri()], capture_output=True, timeout=120)
    pixels = image.imread(tmp_path / "screen.png")
    assert pixels.shape[:2] == (900, 1200)
    assert 0.005 < (pixels[:, :, :3].max(axis=2) < 0.5).mean() < 0.5  # text on white


def test_it_says_that_it_is_html(page):
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>\n<html")
