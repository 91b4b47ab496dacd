"""HTML out of Python values: elements, tables, pictures; every text escaped, every tag closed.

Elements are strings of their own kind, so that text and markup cannot be mistaken for each other.
"""

import base64
from html import escape


class Markup(str):
    """Text that is HTML already."""


#: Elements without contents.
_VOID = {"img", "meta", "br"}


def element(tag, *children, **attributes):
    """<tag attributes>children</tag>; children are Markup, or text, which is escaped.

    An attribute's trailing underscore is dropped (class_).
    """
    named = "".join(
        f' {name.rstrip("_")}="{escape(str(value))}"' for name, value in attributes.items()
    )
    if tag in _VOID:
        return Markup(f"<{tag}{named}/>")
    return Markup(f"<{tag}{named}>{''.join(map(_html, children))}</{tag}>")


def _html(child):
    return child if isinstance(child, Markup) else escape(str(child))


def table(header, rows, caption=None):
    """A table; rows are lists of cells, as long as `header`."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = [element("tr", *(element("td", cell) for cell in row)) for row in rows]
    inside = [element("caption", caption)] if caption else []
    inside += [element("thead", head), element("tbody", *body)]
    return element("div", element("table", *inside), class_="wide")


def picture(path, caption):
    """The PNG at `path`, inside the page itself, over its caption."""
    data = base64.b64encode(path.read_bytes()).decode()
    image = element("img", src=f"data:image/png;base64,{data}", alt=caption)
    return element("figure", image, element("figcaption", caption))


def show(value):
    """Any value that JSON holds, nothing of it left out: dicts as lists of terms."""
    if isinstance(value, dict):
        pairs = [(element("dt", key), element("dd", show(item))) for key, item in value.items()]
        return element("dl", *(part for pair in pairs for part in pair)) if pairs else "none"
    if isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value):
            return element("ol", *(element("li", show(item)) for item in value))
        return ", ".join(map(plain, value)) or "none"
    return plain(value)


def plain(value):
    """A number, text, truth value or null as text; six digits of what is not whole."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def page(title, *contents):
    """The whole document, which needs nothing beside itself."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    body = element("body", element("main", element("h1", title), *contents))
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


# Nothing in it that HTML would need escaped: XML and HTML read it alike.
STYLE = """
body { margin: 0; background: #fff; color: #222; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.5rem 5rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { margin-top: 3rem; font-size: 1.25rem; }
p { max-width: 46rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
caption { text-align: left; color: #666; padding-bottom: 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.8rem 0.4rem 0;
  border-bottom: 1px solid #e3e3e3; font-variant-numeric: tabular-nums; }
th { border-bottom: 2px solid #222; } td:last-child { min-width: 18rem; }
td:first-child { min-width: 12rem; } td:nth-child(3), td:nth-child(5) { white-space: nowrap; }
td:nth-child(6) { min-width: 8rem; }
.pictures { display: grid; gap: 2rem;
  grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
figure { margin: 0; } img { max-width: 100%; height: auto; }
figcaption { color: #666; font-size: 0.85rem; }
details { border-bottom: 1px solid #e3e3e3; padding: 0.4rem 0; font-size: 0.85rem; }
summary { cursor: pointer; } dl { display: grid; grid-template-columns: max-content 1fr;
  gap: 0.1rem 1rem; margin: 0.2rem 0; } dt { color: #666; } dd { margin: 0; min-width: 0;
  overflow-wrap: anywhere; } ol { margin: 0; padding-left: 1.4rem; }
"""
