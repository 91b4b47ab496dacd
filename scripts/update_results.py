"""Write the README's tables anew from what lies in reference/measured/.

python scripts/update_results.py            rewrite the tables between their markers
python scripts/update_results.py --check    fail if the README says anything else
"""

import argparse
import sys

from common.records import ROOT
from published.results import (
    accuracy_table,
    cifar_table,
    extensions_table,
    fashion_table,
    few_labels_table,
    reconstruction_line,
    results_table,
)
from published.speed import speed_table

from minisca.files.atomic import atomic_write

README = ROOT / "README.md"

SECTIONS = {
    "results": results_table,
    "extensions": extensions_table,
    "few labels": few_labels_table,
    "fashion": fashion_table,
    "cifar": cifar_table,
    "figure 1c": accuracy_table,
    "reconstruction": reconstruction_line,
    "speed": speed_table,
}


def updated(text):
    """The README with every section between `<!-- name -->` and `<!-- end name -->` made anew."""
    for name, make in SECTIONS.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{README.name} lacks the markers {start.strip()} {end.strip()}")
        text = f"{before}{start}{make()}\n{end}{after}"
    return text


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing, fail if stale")
    arguments = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    fresh = updated(text)
    if arguments.check:
        return 0 if fresh == text else f"{README.name} is stale: python scripts/update_results.py"
    with atomic_write(README) as file:
        file.write(fresh.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
