"""The end of a table's command: the paper's figure beside each of ours, printed and as a page."""

from itertools import product
from pathlib import Path

import numpy as np
from common.records import print_table
from common.report import Section, write_report
from tables.few_labels import draw_curves, few_labels_table


def report(table, results, images, arguments):
    """Print a table of every record of these images, and write report.html beside results.json."""
    output = Path(arguments.output)
    pictures = output / "pictures"
    records = [record for record in results.records if record["data"] == images.name]
    header, rows = results_table(table, records)
    why = "a --quick run" if arguments.quick else f"measured on {images.name}"
    note = f"These figures are {why}: they compare with nothing published."
    note = "" if table.comparable(images.name, arguments.quick) else note
    sections = [Section("Results", header, rows, text=note)]
    print(f"\nData: {images.name} ({images.source})")
    print_table(header, rows)
    if note:
        print(note)
    print(f"Records: {results.path}; pictures: {pictures}")
    curves = [record for record in records if "curve" in record]
    if curves:
        heading = "Test error by labels a class, mean ± standard deviation over draws (and seeds)"
        header, rows = few_labels_table(curves)
        print(f"\n{heading}:")
        print_table(header, rows)
        picture = pictures / "few-labels.png"
        if arguments.pictures:
            draw_curves(picture, curves)
        shown = [(picture.stem, picture)] if picture.exists() else []
        sections.append(Section(heading, header, rows, pictures=shown))
    sections += row_sections(table.prefix, records, pictures)
    write_report(
        output / "report.html",
        f"{table.original}: the paper's table and ours",
        sections,
        f"Data: {images.name} ({images.source})",
    )
    print(f"All of it on one page: {output / 'report.html'}")


def results_table(table, records):
    """Header and rows, plain rows first, each with a line of means where it has several seeds.

    Those of a device stand below the CPU's, and a column says where they were measured.
    """
    measure = "accuracy" if table.accuracies else "error"
    columns = {"paper": ("paper_percent", " %")}
    for half in ("test", "validation"):
        columns[f"{half} {measure}"] = (f"{half}_{measure}_percent", " %")
    if any(row.classifier is None for row in table.rows.values()):
        columns["reconstruction"] = ("reconstruction_error", "")
    known = [f"{table.prefix}-{name}" for name in table.rows]
    others = (record["row"] for record in records if "curve" not in record)
    places = dict.fromkeys(map(_place, records))
    shows_place = list(places) not in ([], ["cpu"])
    rows = []
    for name, place in product(dict.fromkeys([*known, *others]), sorted(places)):
        found = [r for r in records if (r["row"], _place(r)) == (name, place)]
        where = [place] if shows_place else []
        for record in found:
            values = ((record.get(key), unit) for key, unit in columns.values())
            cells = ("-" if value is None else f"{value:.2f}{unit}" for value, unit in values)
            rows.append([name, str(record["seed"]), *cells, seconds(record), *where])
        if len(found) > 1:
            cells = (mean_cell(found, key, unit) for key, unit in columns.values())
            rows.append(["", "mean", *cells, "", *where])
    return ["row", "seed", *columns, "time", *(["where"] if shows_place else [])], rows


def seconds(record):
    """The seconds that a record took, as a whole and by phase: "9 s: encode 2, classify 7"."""
    total, *phases = sorted(record["seconds"].items(), key=lambda item: item[0] != "total")
    spent = ", ".join(f"{phase} {taken:.0f}" for phase, taken in phases)
    return f"{total[1]:.0f} s" + (f": {spent}" if spent else "")


def _place(record):
    """Where a record was measured: "cpu", or the backend and its device."""
    device = record.get("machine", {}).get("device")
    name = record.get("backend", "cpu")
    return name if device is None else f"{name}, {device}"


def mean_cell(records, key, unit):
    values = [record.get(key) for record in records]
    if None in values:
        return "-"
    if key == "paper_percent":
        return f"{values[0]:.2f}{unit}"
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}{unit}"


def row_sections(prefix, records, directory):
    """A section for each row: how it was made, from the record of its first seed, and pictures."""
    first = {}
    for record in records:
        first.setdefault(record["row"].removeprefix(f"{prefix}-"), record)
    pictures = {name: [] for name in first}
    for path in sorted(directory.glob("*.png")):
        owners = [name for name in first if path.stem.startswith(name)]
        if owners:  # the longest: a row's name may be the start of another's
            pictures[max(owners, key=len)].append((path.stem, path))
    for name, record in first.items():
        settings = dict(record["settings"])
        layers = {f"layer {n}": layer for n, layer in enumerate(settings.pop("layers", []), 1)}
        shown = layers | settings | {key: record[key] for key in ("versions", "machine", "command")}
        yield Section(f"Row {name}", settings=shown, pictures=pictures[name])
