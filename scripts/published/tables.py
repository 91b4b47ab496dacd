"""The tables of what was learned: errors and accuracies beside the paper's, every seed that ran."""

from contextlib import contextmanager
from itertools import product
from typing import NamedTuple

import numpy as np
from common.data_files import FileError, read_json
from common.records import ROOT, paper
from tables.few_labels import few_labels_table

MEASURED = ROOT / "reference" / "measured"
NONE = "–"

#: Rows of Table 1, and rows that have more maps than one of them: how they read.
TABLE_1 = {"mnist-16": "16 maps", "mnist-128": "128 maps", "mnist-deep": "128 then 2048 maps"}
MORE_MAPS = {
    "mnist-256": ("256 maps", "mnist-128"),
    "mnist-512": ("512 maps", "mnist-128"),
    "mnist-deep-4096": ("512 then 4096 maps", "mnist-deep"),
}
NAMES = TABLE_1 | {row: name for row, (name, _) in MORE_MAPS.items()}
TABLE_2 = {"cifar-512": "512 maps", "cifar-deep": "512 then 4096 maps"}
MADE = "made, NORB's format"
TABLE_3 = {"norb-128": "128 maps", "norb-deep": "128 then 2048 maps"}

#: The classifiers of Table 1, and what the names of their records end with.
CLASSIFIERS = {"logistic regression": "-logistic", "linear SVM": ""}
#: What Table 2 has beside rows with a linear SVM: how it reads.
VARIANTS_2 = {
    "-random": "never trained: noise",
    "-patches": "never trained: patches",
    "-logistic": "logistic regression",
    "-sgd": "softmax by SGD, stopped early",
    "-concatenated": "features of both layers",
    "-contrast-0.5": "divided by contrast",
    "-corner": "windows from pixel 0",
    "-mirrored": "scores averaged over the mirror image",
}

#: Of the extensions: what follows a row's name, and how it reads.
EXTENSIONS = {
    "-logistic": "logistic regression",
    "-sgd": "softmax by SGD without penalty, stopped early",
    "-shifts": "scores averaged over one-pixel shifts",
    "-concatenated": "features of both layers",
    "-corner": "pooling windows from pixel 0",
    "-lifetime-0.2": "lifetime sparsity 0.2",
    "-augmented": "the classifier learns from one-pixel shifts too",
    "-7x7": "filters of 7 × 7, each image's features scaled to unit length",
}

ENCODINGS = {
    "winner-take-all": "winner-take-all",
    "winner-take-all-local": "the same maps, divided by the local deviation",
    "k-means-whole-images": "k-means on patches of the same whitened images",
    "k-means": "k-means on patches that are normalised and whitened one by one",
}


class Table(NamedTuple):
    header: list
    rows: list


def markdown(table):
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join("|".join(["", *(f" {cell} " for cell in line), ""]) for line in lines)


#: The files that were read for what `made` makes.
_READ = []


def read(name):
    """What a file of reference/measured holds."""
    path = MEASURED / f"{name}.json"
    _READ.append(path.name)
    return read_json(path)


@contextmanager
def made(what):
    """Within the block, whatever odd shape the files have that it reads is a FileError."""
    _READ.clear()
    try:
        yield
    except FileError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        files = ", ".join(dict.fromkeys(_READ)) or "paper.toml"
        why = f"{type(error).__name__}: {error}"
        raise FileError(f"{what} cannot be made of what {files} has ({why})") from error


def by_row(name):
    """{row: its records, by seed} of a file of reference/measured; none of a device."""
    groups = {}
    for record in read(name):
        if "device" in record.get("machine", ()):
            continue
        groups.setdefault(record["row"], []).append(record)
    return {row: sorted(found, key=lambda record: record["seed"]) for row, found in groups.items()}


def spread(records, key="test_error_percent", unit=" %"):
    """Mean, and the standard deviation over seeds where there are several."""
    values = [record[key] for record in records]
    if not values:
        return NONE
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}{unit}"


def listed(records, key="test_error_percent"):
    return ", ".join(f"{record[key]:.2f}" for record in records) or NONE


#: What `errors` says of a row's records.
ERRORS = ["test error", "every seed", "validation error"]


def errors(records):
    return [spread(records), listed(records), spread(records, "validation_error_percent")]


def table_1():
    """Table 1 of the paper: its pipeline, logistic regression, first."""
    records, published = by_row("mnist"), paper()["experiments"]
    rows = []
    for row, name in TABLE_1.items():
        found = [records.get(row + end, []) for end in CLASSIFIERS.values()]
        cells = (spread(seeds) + " (one seed)" * (len(seeds) == 1) for seeds in found)
        rows.append([name, f"{published[row]['value']:.2f} %", *cells])
    header = ["MNIST, test error", "paper", *(f"minisca, {name}" for name in CLASSIFIERS)]
    return Table(header, rows)


def table_1_by_seed():
    """The same, every seed's figure, and the validation error beside it."""
    records, kinds = by_row("mnist"), product(TABLE_1.items(), CLASSIFIERS.items())
    rows = [
        [name, classifier, *errors(records.get(row + end, []))]
        for (row, name), (classifier, end) in kinds
    ]
    return Table(["MNIST", "classifier", *ERRORS], rows)


def extensions():
    """Every extension of a row that was measured, beside the plain row."""
    records = by_row("mnist")
    rows = []
    for row, found in records.items():
        named = name_of_extended(row)
        if named is not None:
            name, words, plain = named
            rows.append([name, words, *errors(found), spread(records.get(plain, []))])
    return Table(["MNIST", "extension", *ERRORS, "without it"], rows)


def name_of_extended(row):
    """What is extended, by what, and the row to compare with; None of a row of Table 1 or none."""
    if row in MORE_MAPS:
        return NAMES[row], "more maps", MORE_MAPS[row][1]
    if row.removesuffix("-logistic") in TABLE_1:
        return None
    for base in (*MORE_MAPS, *TABLE_1):
        rest = row.removeprefix(base)
        words = []
        while rest and (found := [e for e in EXTENSIONS if rest.startswith(e)]):
            words.append(EXTENSIONS[found[0]])
            rest = rest.removeprefix(found[0])
        if row.startswith(base) and words and not rest:
            return NAMES[base], ", ".join(words), base
    return None


def reconstruction():
    """What 16 maps of 11 x 11 reach, with their encoder's codes and with better ones."""
    found, codes = by_row("mnist")["mnist-reconstruction"], by_row("best-codes")["best-codes"]
    lines = {
        "minisca": (found, "reconstruction_error"),
        "the same positions, amplitudes by least squares": (codes, "refitted_error"),
        "positions and amplitudes searched": (codes, "searched_error"),
    }
    rows = [[name, spread(*of, ""), listed(*of)] for name, of in lines.items()]
    header = ["16 maps of 11 × 11", "mean ‖x̂ − x‖²", "every seed"]
    return Table(header, [*rows, ["the authors' published weights", "11.87", NONE]])


def few_labels():
    """Test error by labels a class, mean and deviation over draws, of every kind of features."""
    return Table(*few_labels_table([record for record in read("mnist") if "curve" in record]))


def fashion():
    """The same settings on Fashion-MNIST."""
    rows = [[NAMES[row], *errors(found)] for row, found in by_row("fashion-mnist").items()]
    return Table(["Fashion-MNIST", *ERRORS], rows)


def parts_2(row):
    """What the name of a record of Table 2 is made of: the paper's row, then keys of VARIANTS_2."""
    base = next(base for base in TABLE_2 if row.startswith(base))
    rest, parts = row.removeprefix(base), [base]
    while rest:
        parts.append(next(variant for variant in VARIANTS_2 if rest.startswith(variant)))
        rest = rest.removeprefix(parts[-1])
    return parts


def table_2():
    """Table 2 of the paper beside what was measured, on the images that were at hand."""
    records, published = by_row("cifar10"), paper()["experiments"]
    words = TABLE_2 | VARIANTS_2
    rows = []
    for parts, found in sorted(
        ((parts_2(row), found) for row, found in records.items()),
        key=lambda row: [[*words].index(part) for part in row[0]],
    ):
        minutes = np.mean([record["seconds"]["total"] for record in found]) / 60
        cells = [", ".join(words[part] for part in parts)]
        cells += [f"{published[parts[0]]['value']:.1f} %"]
        cells += [spread(found, "test_accuracy_percent"), listed(found, "test_accuracy_percent")]
        cells += [spread(found, "validation_accuracy_percent"), f"{minutes:.0f} min"]
        rows.append([*cells, f"{max(record['peak_memory_gib'] for record in found):.1f} GiB"])
    header = ["test accuracy", "paper, CIFAR-10", "minisca, JPEG copy", "every seed"]
    return Table([*header, "validation accuracy", "time", "memory"], rows)


def table_3():
    """Rows of Table 3, and triangle k-means beside them, on a made set of small NORB's format."""
    rows = []
    for row, name in {**TABLE_3, "norb-k-means": "triangle k-means, 128 maps"}.items():
        for_row = by_row("norb").get(row)
        if for_row:
            minutes = np.mean([record["seconds"]["total"] for record in for_row]) / 60
            memory = max(record["peak_memory_gib"] for record in for_row)
            rows.append([name, *errors(for_row), f"{minutes:.0f} min", f"{memory:.1f} GiB"])
    return Table([MADE, *ERRORS, "time", "memory"], rows)


def accuracies(name):
    """{row: its validation accuracy, as text} of a file of reference/measured."""
    return {r["row"]: f"{r['validation_accuracy_percent']:.1f} %" for r in read(name)}


def encodings():
    """Validation accuracy of two methods under two kinds of pooling (compare_encodings.py)."""
    found = accuracies("encodings")
    poolings = {"quadrants": "quadrants", "maximum": "8 × 8"}
    columns = list(product((64, 256), poolings))
    rows = [
        [name, *(found[f"encoding-{kind}-{pooling}-{maps}"] for maps, pooling in columns)]
        for kind, name in ENCODINGS.items()
    ]
    return Table(["", *(f"{maps} maps, {poolings[pooling]}" for maps, pooling in columns)], rows)


def figure_1c():
    """Figure 1c in numbers."""
    points = accuracies("figure-1c")
    methods = ("winner-take-all", "k-means", "supervised")
    curves = [(method, kind) for kind in ("whitened", "raw") for method in methods]
    rows = [
        [str(n), *(points.get(f"figure-1c-{method}-{n}-{kind}", NONE) for method, kind in curves)]
        for n in sorted({int(row.split("-")[-2]) for row in points})
    ]
    return Table(["maps", *map(", ".join, curves)], rows)
