"""The README's tables of what was learned: errors, accuracies, reconstructions, few labels."""

import json

import numpy as np
from common.records import ROOT, published

MEASURED = ROOT / "reference" / "measured"

#: Rows of the README's table of results: how they read, and the error that was aimed at, percent.
TABLE_1 = {
    "mnist-16": ("16 maps", 1.05),
    "mnist-128": ("128 maps", 0.58),
    "mnist-deep": ("128 then 2048 maps", 0.45),
}
#: Rows that have more maps than one of Table 1: how they read, and that row.
MORE_MAPS = {
    "mnist-256": ("256 maps", "mnist-128"),
    "mnist-512": ("512 maps", "mnist-128"),
    "mnist-deep-4096": ("512 then 4096 maps", "mnist-deep"),
}
#: Aimed at with any extension but augmentation, percent.
BEST_GOAL = 0.35

NOT_YET = "*Not measured yet with the present settings.*"
FEW_LABELS_ROW = "mnist-few-labels-"

#: What ends the name of a row whose classifier had more images than there are: no rival to others.
AUGMENTED = "-augmented"

#: Of the table of extensions: what follows a row's name, and how it reads.
EXTENSIONS = {
    "-logistic": "logistic regression in place of the SVM",
    "-shifts": "scores averaged over one-pixel shifts",
    "-concatenated": "features of both layers",
    "-lifetime-0.2": "lifetime sparsity 0.2",
    AUGMENTED: "the classifier learns from one-pixel shifts as well (augmentation)",
    "-7x7": "filters of 7 × 7, every image's features of one length",
}

#: Of the table of CIFAR-10.
TABLE_2 = {"cifar-512": "512 maps", "cifar-deep": "512 then 4096 maps"}


def results_table():
    """Table 1 of the paper beside what reproduce_mnist.py measured, every seed that ran."""
    records = by_row("mnist.json")
    lines = [
        "| MNIST, test error | paper | goal | minisca, linear SVM | seeds | validation | minisca, "
        "logistic regression | time per seed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, (name, goal) in TABLE_1.items():
        found, logistic = records.get(row, []), records.get(f"{row}-logistic", [])
        cells = [name, f"{published(row):.2f} %", f"{goal:.2f} %"]
        cells += result_cells(found) if found else ["not run yet", "–", "–"]
        cells += [
            f"{spread(logistic, 'test_error_percent')} %" if logistic else "–",
            duration(np.mean([r["seconds"]["total"] for r in found])) if found else "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def duration(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def extensions_table():
    """Every extension of the rows that was measured, beside its plain row's mean."""
    records = by_row("mnist.json")
    lines = [
        "| MNIST, test error | extension | minisca | seeds | validation | the plain row |",
        "|---|---|---|---|---|---|",
    ]
    for row, found in records.items():
        named = name_of_extended(row)
        if named is None:
            continue
        base, words, plain = named
        beside = records.get(plain, [])
        cells = [row_in_words(base), words, *result_cells(found)]
        cells.append(f"{spread(beside, 'test_error_percent')} %" if beside else "–")
        lines.append(f"| {' | '.join(cells)} |")
    if len(lines) == 2:
        return NOT_YET
    best = min(
        (np.mean([r["test_error_percent"] for r in found]), row)
        for row, found in records.items()
        if not row.startswith(FEW_LABELS_ROW)
        and AUGMENTED not in row
        and found[0]["test_error_percent"] is not None
    )
    base, words = name_of_extended(best[1])[:2] if best[1] not in TABLE_1 else (best[1], "plain")
    lines += [
        "",
        f"The lowest of all without augmentation: {best[0]:.2f} % ({row_in_words(base)}, {words}; "
        f"goal: {BEST_GOAL:.2f} %).",
    ]
    return "\n".join(lines)


def few_labels_table():
    """Test error by labels a class, mean and deviation over draws, of every kind of features."""
    found = {row: r for row, r in by_row("mnist.json").items() if row.startswith(FEW_LABELS_ROW)}
    if not found:
        return NOT_YET
    points = {row: r[0]["curve"] for row, r in found.items()}
    numbers = sorted({point["labels_per_class"] for curve in points.values() for point in curve})
    lines = [
        f"| labels a class | {' | '.join(map(str, numbers))} | features |",
        f"|---|{'---|' * (len(numbers) + 1)}",
    ]
    for row, curve in points.items():
        errors = [f"{p['mean_test_error_percent']:.2f} ± {p['deviation']:.2f} %" for p in curve]
        name = row.removeprefix(FEW_LABELS_ROW).replace("-", " ")
        lines.append(f"| {name} | {' | '.join(errors)} | {found[row][0]['n_features']:,} |")
    return "\n".join(lines)


def fashion_table():
    """The same settings on Fashion-MNIST."""
    lines = ["| Fashion-MNIST, test error | minisca | seeds | validation |", "|---|---|---|---|"]
    if not (MEASURED / "fashion-mnist.json").exists():
        return NOT_YET
    for row, found in by_row("fashion-mnist.json").items():
        lines.append(f"| {' | '.join([row_in_words(row), *result_cells(found)])} |")
    return "\n".join(lines)


def name_of_extended(row):
    """The row of Table 1 or of more maps, its extensions in words, and the row to compare with.

    None of a row that is of Table 1 itself, or of none.
    """
    if row in MORE_MAPS:
        return row, "more maps", MORE_MAPS[row][1]
    for base in (*MORE_MAPS, *TABLE_1):
        rest = row.removeprefix(base)
        words = []
        while rest and (found := [e for e in EXTENSIONS if rest.startswith(e)]):
            words.append(EXTENSIONS[found[0]])
            rest = rest.removeprefix(found[0])
        if row.startswith(base) and words and not rest:
            return base, ", ".join(words), base
    return None


def row_in_words(row):
    named = TABLE_1 | MORE_MAPS
    return named[row][0] if row in named else f"{row.removeprefix('mnist-')} maps"


def result_cells(found):
    """Mean test error, every seed's, and the validation error."""
    return [
        f"**{spread(found, 'test_error_percent')} %**",
        ", ".join(f"{record['test_error_percent']:.2f}" for record in found),
        f"{spread(found, 'validation_error_percent')} %",
    ]


def by_row(name):
    """{row: its records, by seed} of a file of reference/measured."""
    groups = {}
    for record in json.loads((MEASURED / name).read_text()):
        groups.setdefault(record["row"], []).append(record)
    return {row: sorted(found, key=lambda record: record["seed"]) for row, found in groups.items()}


def cifar_table():
    """Table 2 of the paper beside what reproduce_cifar10.py measured, on what was at hand."""
    records = json.loads((MEASURED / "cifar10.json").read_text())
    lines = [
        "| test accuracy | paper, CIFAR-10 | CIFAR-10, JPEG | seeds | validation | time | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, name in TABLE_2.items():
        found = [record for record in records if record["row"] == row]
        cells = [name, f"{published(row):.1f} %"]
        if found:
            seconds = np.mean([record["seconds"]["total"] for record in found])
            cells += [
                f"**{spread(found, 'test_accuracy_percent')} %**",
                ", ".join(f"{record['test_accuracy_percent']:.2f}" for record in found),
                f"{spread(found, 'validation_accuracy_percent')} %",
                f"{seconds / 60:.0f} min",
                f"{max(record['peak_memory_gib'] for record in found):.1f} GiB",
            ]
        else:
            cells += ["not run yet", "–", "–", "–", "–"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def accuracy_table():
    """Figure 1c in numbers."""
    records = json.loads((MEASURED / "figure-1c.json").read_text())
    points = {}
    for record in records:
        points[split_row(record["row"])] = record["validation_accuracy_percent"]
    methods = [
        (method, kind)
        for kind in ("whitened", "raw")
        for method in ("winner-take-all", "k-means", "supervised")
    ]
    lines = [
        f"| maps | {' | '.join(f'{method}, {kind}' for method, kind in methods)} |",
        f"|---|{'---|' * len(methods)}",
    ]
    for maps in sorted({maps for _, maps, _ in points}):
        found = (points.get((method, maps, kind)) for method, kind in methods)
        cells = ("–" if value is None else f"{value:.1f} %" for value in found)
        lines.append(f"| {maps} | {' | '.join(cells)} |")
    return "\n".join(lines)


def split_row(row):
    """Method, number of maps, raw or whitened, of the name of a row of Figure 1c."""
    method, maps, kind = row.removeprefix("figure-1c-").rsplit("-", 2)
    return method, int(maps), kind


def spread(records, key):
    """Mean, and the standard deviation over seeds where there are several."""
    values = [record[key] for record in records]
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def reconstruction_line():
    """What 16 maps of 11 x 11 reach, beside the authors' own weights."""
    records = json.loads((MEASURED / "mnist.json").read_text())
    found = [record for record in records if record["row"] == "mnist-reconstruction"]
    seeds = ", ".join(f"{record['reconstruction_error']:.2f}" for record in found)
    reached = spread(found, "reconstruction_error")
    return (
        "16 maps of 11×11 rebuild the first 1,000 test images from their winners alone with a mean "
        f"‖x̂ − x‖² of **{reached}** (seeds: {seeds}); the authors' own published weights "
        "reach 11.87."
    )
