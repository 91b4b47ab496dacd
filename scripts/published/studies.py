"""The tables of the studies: what each value of a setting adds, what each sparsity rule does."""

import numpy as np
from published.tables import MEASURED, Table, read
from studies.runs import read_lines

SPARSITY = {
    "winner-take-all": "winner-take-all",
    "top-2": "the 2 largest of a map",
    "top-4": "the 4 largest of a map",
    "top-8": "the 8 largest of a map",
    "k-largest": "the 16 largest across maps",
    "none": "none",
    "tied": "winner-take-all, tied weights",
    "lifetime": "winner-take-all and lifetime sparsity",
}
#: Columns of the table of rules: their headings, the record's keys, and how they are printed.
COLUMNS = {
    "error of reconstruction": ("reconstruction_error", "{:.2f}"),
    "dead maps": ("dead_maps", "{:.1f}"),
    "largest pixel": ("median_delta_share", "{:.2f}"),
    "sharpness": ("median_sharpness", "{:.2f}"),
    "steepness": ("median_steepness", "{:.2f}"),
    "validation error, %": ("validation_error_percent", "{:.2f}"),
}


def study(*names):
    """What every value that was tried adds to the score of the unchanged settings."""
    rows = []
    for name in names:
        found = read(f"study-{name}")
        rows.append([f"[{name}](measured/study-{name}.json)", "nothing", "", _unchanged(found)])
        changes = {}
        for effect in found["effects"]:
            value = effect["value"]
            if value is None or isinstance(value, bool):
                value = "on" if value else "off"
            start, others = changes.setdefault(effect["setting"], ([], []))
            if effect["reference"]:
                start.append(str(value))
            else:
                others.append(f"{value}: {_signed(effect['difference'])}")
        rows += [["", f"`{key}`", *map(", ".join, change)] for key, change in changes.items()]
    return Table(["study", "what changes", "from", "to: what it adds"], rows)


def _unchanged(found):
    """The score of the settings that a study starts from, as a mean over its seeds.

    A setting whose other value never came to a score, for training diverged, is not looked at.
    """
    start = {e["setting"]: e["value"] for e in found["effects"] if e["reference"]}
    path = MEASURED / "studies" / f"{found['study']}.jsonl"
    scores = [
        run[found["score"]]
        for run in read_lines(path)
        if start.items() <= run["settings"].items() and run[found["score"]] is not None
    ]
    errors = [e["standard_error"] for e in found["effects"] if e["standard_error"]]
    return f"{np.mean(scores):.2f} (runs: {found['runs']}" + (
        f"; standard error of a difference: {max(errors):.2f})" if errors else ")"
    )


def _signed(number):
    return f"{round(number, 2) + 0.0:+.2f}".replace("-", "−")


def sparsity():
    """Every sparsity rule on raw and on whitened digits, means over seeds."""
    found = {}
    for record in read("sparsity"):
        whitened = record["data"].endswith("whitened")
        found.setdefault(record["row"].removeprefix("sparsity-"), ([], []))[whitened].append(record)
    rows = []
    for rule, name in SPARSITY.items():
        cells = (
            " / ".join(form.format(np.mean([r[key] for r in records])) for records in found[rule])
            for key, form in COLUMNS.values()
        )
        rows.append([name, *cells])
    return Table(["what survives (raw / whitened)", *COLUMNS], rows)
