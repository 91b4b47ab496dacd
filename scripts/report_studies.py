"""The report's tables of studies: Figure 1c, the sparsity rules, and what settings matter.

The first two span many records, each of the last has a file of its own, written by study.py.
"""

from report_html import element, table
from report_rows import listed, machines, spread, values
from studies.report import HEADER, cells

ACCURACY_ROW = "figure-1c-"
SPARSITY_ROW = "sparsity-"
#: Of a sparsity record: heading, key.
SPARSITY_COLUMNS = (
    ("reconstruction", "reconstruction_error"),
    ("dead maps", "dead_maps"),
    ("delta share", "median_delta_share"),
    ("sharpness", "median_sharpness"),
    ("steepness", "median_steepness"),
    ("repeated filters", "repeated_filters"),
    ("validation error %", "validation_error_percent"),
)


def is_study(row):
    """Whether a row is shown here, and not among the single measurements."""
    return row.startswith((ACCURACY_ROW, SPARSITY_ROW))


def studies(groups):
    """Headings and tables. groups: {(row, data): records}."""
    return [*accuracies(groups), *sparsity(groups)]


def accuracies(groups):
    """Figure 1c: a table for each data set and number of training images, a row a number of maps.

    A column is a method.
    """
    curves = {}
    for (row, data), records in groups.items():
        if row.startswith(ACCURACY_ROW):
            for record in records:
                curve = curves.setdefault((data, record["settings"]["train_images"]), {})
                curve.setdefault(split_row(row), []).append(record)
    parts = []
    for (data, train_images), points in curves.items():
        methods = list(dict.fromkeys((method, kind) for method, _, kind in points))
        rows = [
            [str(maps), *(accuracy(points.get((method, maps, kind))) for method, kind in methods)]
            for maps in sorted({maps for _, maps, _ in points})
        ]
        caption = (
            f"{data}, {train_images:,} training images, validation accuracy %. The paper prints "
            "this figure as a plot, without numbers, of all training images: the curves' order "
            "compares, their heights do not"
        )
        header = ["maps", *(f"{method}, {kind}" for method, kind in methods)]
        parts += [element("h2", "Figure 1c: accuracy by number of maps")]
        parts += [table(header, rows, caption)]
    return parts


def accuracy(records):
    return spread(values(records, "validation_accuracy_percent")) if records else "–"


def sparsity(groups):
    """The sparsity rules, one budget: a row each, means over seeds."""
    parts = []
    for data in data_sets(groups, SPARSITY_ROW):
        rows = [
            [
                row.removeprefix(SPARSITY_ROW),
                *(spread(values(records, key)) for _, key in SPARSITY_COLUMNS),
                listed(values(records, "validation_error_percent")),
                machines(records),
            ]
            for (row, where), records in groups.items()
            if row.startswith(SPARSITY_ROW) and where == data
        ]
        header = ["rule", *(heading for heading, _ in SPARSITY_COLUMNS), "seeds", "machine"]
        caption = f"{data}. The paper gives no figures for these, only what it saw (section 2.1)"
        parts.append(table(header, rows, caption))
    return [element("h2", "What survives: the sparsity rules"), *parts] if parts else []


def settings_studies(files):
    """A table a study: what each value adds to the score. files: {name: contents}."""
    parts = []
    for contents in files.values():
        if isinstance(contents, dict) and "study" in contents:
            rows = [cells(entry) for entry in contents["effects"]]
            spread_of_seeds = contents["seed_spread"]
            told = "unknown" if spread_of_seeds is None else f"{spread_of_seeds:.3f}"
            caption = (
                f"{contents['study']}: {contents['runs']} runs on {contents['data']}. "
                f"Score: {contents['score'].replace('_', ' ')}; its standard deviation over "
                f"seeds: {told}"
            )
            parts.append(table(HEADER, rows, caption))
    return [element("h2", "Which settings matter"), *parts] if parts else []


def split_row(row):
    """Method, number of maps, raw or whitened."""
    method, maps, kind = row.removeprefix(ACCURACY_ROW).rsplit("-", 2)
    return method, int(maps), kind


def data_sets(groups, prefix):
    return list(dict.fromkeys(data for row, data in groups if row.startswith(prefix)))
