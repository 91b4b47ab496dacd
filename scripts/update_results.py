"""Write the published tables anew from the records in reference/measured/.

python scripts/update_results.py            rewrite README.md, reference/*.md and report.html
python scripts/update_results.py --check    change nothing; fail if any of them says anything else

A table stands between `<!-- name arguments -->` and `<!-- end name arguments -->`, and is what the
function of that name in scripts/published/ makes of the arguments.
"""

import re
import tempfile
from pathlib import Path

from common.data_files import FileError, run_command
from common.options import make_parser
from common.records import ROOT
from published import end_to_end, gpu, speed, studies, tables
from published.page import write_page

from minisca.files.atomic import atomic_write

PAGES = [ROOT / "README.md", *sorted((ROOT / "reference").glob("*.md"))]
MODULES = (tables, studies, speed, gpu, end_to_end)
REPORT = ROOT / "reference" / "report.html"
SECTION = re.compile(r"<!-- (\S+)(.*?) -->\n.*?<!-- end \1\2 -->", re.DOTALL)


def updated(text):
    """The page with every marked table made anew."""

    def made(found):
        name, of = found.groups()
        make = [getattr(m, name.replace("-", "_"), None) for m in MODULES]
        make = next(filter(None, make), None)
        if make is None:
            raise FileError(f"a page has a place for the table {name!r}, which there is not")
        with tables.made(f"the table {name}{of}"):
            table = make(*of.split())
            text = table if isinstance(table, str) else tables.markdown(table)
        return f"<!-- {name}{of} -->\n{text}\n<!-- end {name}{of} -->"

    return SECTION.sub(made, text)


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if stale")
    arguments = parser.parse_args()
    fresh = {page: updated(page.read_text(encoding="utf-8")).encode() for page in PAGES}
    with tempfile.TemporaryDirectory() as folder:
        with tables.made("the page report.html"):
            write_page(Path(folder) / "report.html")
        fresh[REPORT] = (Path(folder) / "report.html").read_bytes()
    stale = [p for p, page in fresh.items() if not p.exists() or p.read_bytes() != page]
    if arguments.check:
        names = ", ".join(page.name for page in stale)
        return f"stale: {names}; run python scripts/update_results.py" if stale else 0
    for page in stale:
        with atomic_write(page) as file:
            file.write(fresh[page])
    return 0


if __name__ == "__main__":
    run_command(main)
