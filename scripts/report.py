"""Everything measured beside everything published, as one HTML page that needs nothing else.

    python scripts/report.py                     writes out/report.html
    python scripts/report.py --output page.html

Reads reference/paper.toml and every file in reference/measured/: its records and, under figures/,
its pictures, which are embedded. Tables 1 to 3 of the paper, a row each for what it quotes, what it
reports and what was measured here, with a plain word on what compares with what. Rows that were not
measured say so. Then Figure 1c, the sparsity rules and the studies of settings, a table each. Every
record is printed in full at the end.
"""

import argparse
import json
import sys
import tomllib
from pathlib import Path

from common.records import ROOT
from report_html import element, page, picture, show, table
from report_rows import by_row, cited_row, experiment_rows, other_row
from report_studies import is_study, settings_studies, studies

from minisca.files.atomic import atomic_write

#: The paper's tables: prefix of their experiments, title, decimals as printed there.
TABLES = (
    ("mnist", "Table 1: MNIST", 2),
    ("cifar", "Table 2: CIFAR-10", 1),
    ("norb", "Table 3: small NORB", 1),
)
FIELDS = ("row", "seed", "data", "settings", "seconds", "machine", "paper_percent")

CAPTIONS = {
    "mnist-16-figure3": "The paper's Figure 3, 16 maps: a digit, the decoder filters, the winners "
    "while training, the maps with the constraint turned off, after pooling, the second layer",
    "mnist-deep-figure3": "The same for 128 then 2048 maps",
    "mnist-128-decoder-filters": "128 decoder filters learned from MNIST",
    "mnist-16-reconstructions": "Test digits, and what 16 winners each rebuild of them",
    "cifar-512-decoder-filters": "512 decoder filters learned from whitened CIFAR-10, JPEG",
    "cifar-512-reconstructions": "Whitened test images, and what 512 winners each rebuild of them",
    "figure-1a": "Figure 1a: filters of a k-sparse autoencoder, from patches in isolation",
    "figure-1b": "Figure 1b: 32 filters learned from whole whitened images",
    "figure-1c": "Figure 1c: validation accuracy against the number of maps",
    "figure-2b": "Figure 2b: filters without any sparsity",
    "figure-2c": "Figure 2c: the same with winner-take-all",
    "figure-3": "Figure 3: a digit through 16 maps and 128 on top of them",
    "figure-4": "Figure 4: 128 filters from images that are not whitened",
    "study-mnist-16": "What each value of a setting adds to the validation error of 16 maps",
    "study-mnist-128": "The learning rate of 128 maps",
    "study-mnist-128-layers": "How 128 maps are trained, judged by 40,000 images",
    "study-mnist-128-encodings": "What is done with 128 maps, judged by 40,000 images",
    "study-mnist-128-classifiers": "What is done with 128 maps, with all labels: the softmax",
    "study-mnist-128-svm": "The same: the SVM",
    "study-mnist-128-logistic": "The softmax's penalty, judged by 40,000 images",
    "sparsity": "Every sparsity rule's decoder filters, trained alike",
    "sparsity-whitened": "The same on whitened images",
    "mnist-without-constraint": "Without the sparsity constraint, on whitened digits: deltas",
    "mnist-with-constraint": "With winner-take-all: edges",
    "mnist-largest-across-maps": "The largest units across maps: most maps are dead",
}


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="out/report.html", help="default: out/report.html")
    parser.add_argument(
        "--measured",
        type=Path,
        default=ROOT / "reference" / "measured",
        help="directory of the records, default: reference/measured",
    )
    arguments = parser.parse_args()
    if not arguments.measured.is_dir():
        parser.error(f"--measured is {arguments.measured}; it must be a directory of JSON files")
    return arguments


def main():
    arguments = parse_arguments()
    with open(ROOT / "reference" / "paper.toml", "rb") as file:
        paper = tomllib.load(file)
    files = {path.name: read(path) for path in sorted(arguments.measured.glob("*.json"))}
    html = make_report(paper, files, sorted((arguments.measured / "figures").glob("*.png")))
    with atomic_write(arguments.output) as file:
        file.write(html.encode())
    print(f"{arguments.output}: {len(files)} files of records, {len(html) / 1e6:.1f} MB")


def read(path):
    """What a JSON file holds: a list of records, or anything else, which is shown as it is."""
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SystemExit(f"{path} is not JSON ({error}); it must be what a script wrote") from error
    if isinstance(contents, list):
        for number, record in enumerate(contents):
            missing = [name for name in FIELDS if name not in record]
            if missing:
                raise SystemExit(f"{path}: record {number} lacks {missing[0]!r}")
    return contents


def make_report(paper, files, pictures):
    """The page. paper: paper.toml; files: {name: contents}; pictures: paths of PNGs."""
    records = [record for found in files.values() if isinstance(found, list) for record in found]
    groups = by_row(records)
    return page(
        f"minisca beside “{paper['paper']['title']}”",
        element("p", introduction(paper)),
        *(part for entry in TABLES for part in paper_table(paper, groups, *entry)),
        *studies(groups),
        *settings_studies(files),
        *other_measurements(paper, groups),
        *gallery(pictures),
        *full_records(files),
    )


def introduction(paper):
    authors = " and ".join(paper["paper"]["authors"])
    return (
        f"The paper: {authors}, arXiv {paper['paper']['arxiv']}. Its published figures, and what "
        "minisca's scripts measured. Ours are means ± standard deviations over all the seeds that "
        "ran, in percent; the validation figure is of a classifier that did not see the validation "
        "labels. Times are of one seed."
    )


def paper_table(paper, groups, prefix, title, decimals):
    """One of the paper's tables: what it quotes, then its own rows beside ours."""
    metric = paper["compared"][prefix]["metric"]
    header = ["method", "paper", "measured", "seeds", "validation", "time", "machine", "compares"]
    rows = [cited_row(method, decimals) for method in paper["compared"][prefix]["methods"]]
    for name, experiment in paper["experiments"].items():
        if name.startswith(f"{prefix}-"):
            rows += experiment_rows(name, experiment, groups, decimals)
    better = "higher" if "accuracy" in metric else "lower"
    return element("h2", title), table(header, rows, f"{metric}, {better} is better")


def other_measurements(paper, groups):
    """Records of rows that the paper has no figure for."""
    rows = [
        other_row(records)
        for (row, _), records in groups.items()
        if row not in paper["experiments"] and not is_study(row)
    ]
    if not rows:
        return []
    header = ["row", "data", "seeds", "test error %", "validation error %"]
    header += ["reconstruction", "time", "machine"]
    caption = "Compares with no published figure"
    return element("h2", "Also measured"), table(header, rows, caption)


def gallery(paths):
    if not paths:
        return []
    shown = [picture(path, CAPTIONS.get(path.stem, path.stem.replace("-", " "))) for path in paths]
    return element("h2", "Pictures"), element("div", *shown, class_="pictures")


def full_records(files):
    """Everything that the files hold, folded up."""
    parts = []
    for name, contents in files.items():
        parts.append(element("h3", name))
        if not isinstance(contents, list):
            contents = [contents]
        for record in contents:
            title = (
                f"{record['row']}, seed {record['seed']}, {record['data']}"
                if ("row" in record)
                else "everything"
            )
            parts.append(element("details", element("summary", title), show(record)))
    return element("h2", "Every record"), *(parts or [element("p", "Nothing was measured yet.")])


if __name__ == "__main__":
    sys.exit(main())
