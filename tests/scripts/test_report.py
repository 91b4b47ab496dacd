"""The results page: one well-formed file with all that was given in it, which loads nothing."""

import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from tests.support.script_runs import ROOT, import_script

PICTURE = ROOT / "reference" / "measured" / "figures" / "mnist-without-constraint.png"
#: Tags that HTML never closes.
VOID = {"meta", "img"}


@pytest.fixture
def report(monkeypatch):
    return import_script(monkeypatch, "common.report")


@pytest.fixture
def page(report, tmp_path):
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


class Strict(HTMLParser):
    """Fails on a tag that is not closed, or closed out of turn."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        self.open += [tag] if tag not in VOID else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)


@pytest.fixture
def parsed(page):
    parser = Strict()
    parser.feed(page.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


def test_everything_that_was_given_is_in_it_as_text(parsed):
    for text in (
        *('A "title" <b>', "Quick run", "Table 1", "paper", "16 <maps>", "1.15 %", "First."),
        *("Second & last.", "layers", "n_maps 16", "0.01", "none", "By path", '"'),
    ):
        assert text in parsed.texts


def test_pictures_are_inside_and_nothing_else_is_loaded(parsed, page):
    assert not {tag for tag, _ in parsed.seen} & {"script", "link", "iframe", "object", "base"}
    sources = [attributes["src"] for tag, attributes in parsed.seen if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    text = page.read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text


def test_a_row_of_another_length_and_a_picture_that_is_none_are_refused(report, tmp_path):
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
