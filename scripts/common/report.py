"""One HTML file that shows results: tables, settings and pictures, and needs nothing beside itself.

`reproduce_*.py` end with one in their output folder, and `update_results.py` makes the published
one. The page has no script and loads nothing: it can be mailed, printed and opened offline.
"""

import base64
from html import escape
from pathlib import Path
from typing import NamedTuple

from minisca.files.atomic import atomic_write

PNG = b"\x89PNG\r\n\x1a\n"


class Section(NamedTuple):
    """One part of the page: text, then a table, settings and pictures, whichever are given."""

    heading: str
    header: list | tuple = ()  # the table's column names
    rows: list | tuple = ()  # lists of texts, each as long as the header
    settings: dict | tuple = ()  # names and plain values
    pictures: list | tuple = ()  # (caption, path of a PNG or its bytes) each
    text: str = ""  # paragraphs, an empty line between two


def write_report(path, title, sections, note=""):
    """Write the page to `path`, whole or not at all; note: a paragraph under the title.

    Raises ValueError where a row is not as long as its header, or a picture is no PNG.
    """
    body = [_element("h1", title), *_paragraphs(note)]
    for section in sections:
        body.append(_element("section", *_section(section)))
    head = _element("head", HEAD, _element("title", title), _element("style", _Markup(STYLE)))
    page = _element("html", head, _element("body", *body), lang="en")
    with atomic_write(path) as file:
        file.write(f"<!DOCTYPE html>\n{page}\n".encode())


def plain(value):
    """A setting as text: six digits of a float, lists and dicts with commas between."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        separator = "; " if any(isinstance(item, dict) for item in value) else ", "
        return separator.join(map(plain, value)) or "none"
    return str(value)


class _Markup(str):
    """Text that is HTML already; all other text is escaped."""


def _element(tag, *children, **attributes):
    named = "".join(f' {name}="{escape(str(value))}"' for name, value in attributes.items())
    inner = (
        child if isinstance(child, _Markup) else escape(str(child), quote=False)
        for child in children
    )
    return _Markup(f"<{tag}{named}>{''.join(inner)}</{tag}>")


def _section(section):
    yield _element("h2", section.heading)
    yield from _paragraphs(section.text)
    if section.header:
        yield _table(section)
    if section.settings:
        terms = (
            part
            for name, value in section.settings.items()
            for part in (_element("dt", name), _element("dd", plain(value)))
        )
        yield _element("dl", *terms)
    if section.pictures:
        figures = (_picture(caption, source) for caption, source in section.pictures)
        yield _Markup(f'<div class="pictures">{"".join(figures)}</div>')


def _paragraphs(text):
    return [_element("p", paragraph) for paragraph in text.split("\n\n") if paragraph.strip()]


def _table(section):
    for row in section.rows:
        if len(row) != len(section.header):
            raise ValueError(
                f"a row of {section.heading!r} has {len(row)} cells; its header has "
                f"{len(section.header)}: {row}"
            )
    head = _element("tr", *(_element("th", name, scope="col") for name in section.header))
    body = (_element("tr", *(_element("td", cell) for cell in row)) for row in section.rows)
    table = _element("table", _element("thead", head), _element("tbody", *body))
    return _Markup(f'<div class="wide">{table}</div>')


def _picture(caption, source):
    contents = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not contents.startswith(PNG):
        named = "the bytes" if isinstance(source, bytes) else source
        raise ValueError(f"picture {caption!r}: {named} must be a PNG")
    data = base64.b64encode(contents).decode()
    image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}"/>'
    return _element("figure", _Markup(image), _element("figcaption", caption))


HEAD = _Markup(
    '<meta charset="utf-8"/><meta name="viewport" content="width=device-width, initial-scale=1"/>'
)
STYLE = """
:root { color-scheme: light dark; --ink: #1d2125; --paper: #fff; --soft: #667; --line: #d8dce0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e6e8; --paper: #16191c; --soft: #9aa3ab; --line: #363c42; } }
* { box-sizing: border-box; }
body { max-width: 64rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 0.6rem; }
p { max-width: 44rem; margin: 0 0 0.8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 1.4rem 0.35rem 0;
  border-bottom: 1px solid var(--line); }
td + td { min-width: 4.8rem; }
th { border-bottom: 2px solid var(--ink); }
dl { display: grid; grid-template-columns: fit-content(14rem) 1fr; gap: 0.15rem 1.2rem;
  margin: 0.8rem 0; font-size: 0.92rem; }
dt { color: var(--soft); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; }
.pictures { display: grid; gap: 1.5rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
figure { margin: 0; break-inside: avoid; }
img { max-width: 100%; height: auto; background: #fff; }
figcaption { color: var(--soft); font-size: 0.88rem; }
@media (max-width: 40rem) { body { padding-top: 1rem; } table { font-size: 0.85rem; }
  th, td { padding-right: 0.8rem; } td + td { min-width: 4.1rem; } }
@media print { body { max-width: none; padding: 0; font-size: 11px; } tr { break-inside: avoid; } }
"""
