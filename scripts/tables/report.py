"""What a reproduction prints in the end: the paper's figure beside each of ours, and their mean."""

import numpy as np
from common.records import print_table


def report(reproduction):
    """A table of every record of the reproduction's data, and where everything lies."""
    columns, data = reproduction.columns, reproduction.data
    rows = []
    for name in reproduction.record_names():
        found = [
            record
            for record in reproduction.results.records
            if record["row"] == name and record["data"] == data.name
        ]
        rows += [_row(record, columns) for record in found]
        if len(found) > 1:
            rows.append(_mean_row(found, columns))
    header = ["row", "seed", *(heading for heading, _, _ in columns), "time"]
    print(f"\nData: {data.name} ({data.source})")
    print_table(header, rows)
    if not reproduction.comparable:
        quick = reproduction.arguments.quick
        why = "a --quick run" if quick else f"measured on {data.name}"
        print(f"These figures are {why}: they compare with nothing published.")
    print(f"Records: {reproduction.results.path}; pictures: {reproduction.output / 'pictures'}")
    reproduction.closing_words()


def _row(record, columns):
    values = ((record.get(key), unit) for _, key, unit in columns)
    cells = ("-" if value is None else f"{value:.2f}{unit}" for value, unit in values)
    time = f"{record['seconds']['total']:.0f} s"
    return [record["row"], str(record["seed"]), *cells, time]


def _mean_row(records, columns):
    def cell(key, unit):
        values = [record.get(key) for record in records]
        if None in values:
            return "-"
        if key == "paper_percent":
            return f"{values[0]:.2f}{unit}"
        return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}{unit}"

    return ["", "mean", *(cell(key, unit) for _, key, unit in columns), ""]
