"""The rows of the report's tables: published figures beside records, and what compares with what.

Numbers and sentences only; `report_html` makes a page of them.
"""

from statistics import mean, stdev

#: Published figures are test errors or accuracies; records hold errors.
ACCURACY = "test accuracy %"


def by_row(records):
    """{(row, data): records}, in the order of the first of each, seeds rising."""
    groups = {}
    for record in records:
        groups.setdefault((record["row"], record["data"]), []).append(record)
    return {key: sorted(group, key=lambda record: record["seed"]) for key, group in groups.items()}


def cited_row(method, decimals):
    """A method that the paper quotes."""
    return [
        method["name"],
        f"{method['value']:.{decimals}f}",
        "not measured",
        *[""] * 4,
        f"As the paper quotes it ({method['source']}); not run by this project.",
    ]


def experiment_rows(name, experiment, groups, decimals):
    """One of the paper's own experiments: a row for every data set that it was measured on."""
    label, published = describe(experiment), f"{experiment['value']:.{decimals}f}"
    found = [records for (row, _), records in groups.items() if row == name]
    if not found:
        said = f"Not measured. The paper's figure is on {experiment['data']}."
        return [[label, published, "not measured", "", "", "", "", said]]
    return [
        [
            label,
            published,
            spread(values(records, "test_error_percent", experiment["metric"])),
            listed(values(records, "test_error_percent", experiment["metric"])),
            spread(values(records, "validation_error_percent", experiment["metric"])),
            times(records),
            machines(records),
            statement(experiment, records),
        ]
        for records in found
    ]


def other_row(records):
    """A row that the paper has no figure for: variants, reconstructions, baselines."""
    first = records[0]
    return [
        first["row"],
        first["data"],
        ", ".join(str(record["seed"]) for record in records),
        spread(values(records, "test_error_percent")),
        spread(values(records, "validation_error_percent")),
        spread(values(records, "reconstruction_error")),
        times(records),
        machines(records),
    ]


def describe(experiment):
    """The architecture in words, from its layers."""
    maps = " then ".join(str(layer["maps"]) for layer in experiment["layers"])
    width = ", ".join(
        f"{layer['filter_width']}×{layer['filter_width']}" for layer in experiment["layers"]
    )
    return f"minisca, {maps} maps ({width})"


def values(records, key, metric=None):
    """The records' figures, None left out; errors as accuracies where the metric asks for it."""
    found = [record[key] for record in records if record.get(key) is not None]
    return [round(100 - value, 4) for value in found] if metric == ACCURACY else found


def spread(found):
    """Mean, and the standard deviation where there are several."""
    if not found:
        return "–"
    if len(found) == 1:
        return f"{found[0]:.2f}"
    return f"{mean(found):.2f} ± {stdev(found):.2f}"


def listed(found):
    return ", ".join(f"{value:.2f}" for value in found) or "–"


def times(records):
    """Mean seconds of a seed, in all and by phase, and the most memory that a seed took."""
    phases = {}
    for record in records:
        for phase, seconds in record["seconds"].items():
            phases.setdefault(phase, []).append(seconds)
    total = phases.pop("total")
    parts = ", ".join(f"{phase} {mean(found):.0f}" for phase, found in phases.items())
    peaks = [record["peak_memory_gib"] for record in records if record.get("peak_memory_gib")]
    memory = f"; {max(peaks):.1f} GiB of memory" if peaks else ""
    return f"{mean(total):.0f} s: {parts}{memory}"


def machines(records):
    """The machines that the records were made on, each once."""
    named = []
    for record in records:
        machine = record["machine"]
        text = f"{machine['cpu']}, {machine['cores']} cores"
        if machine.get("memory_gib") is not None:
            text += f", {machine['memory_gib']:.0f} GiB"
        if text not in named:
            named.append(text)
    return "; ".join(named)


def statement(experiment, records):
    """What of these records can be set beside the paper's figure, and what cannot."""
    first, published = records[0], experiment["value"]
    if any(record["settings"].get("quick") for record in records):
        return "Not comparable: a quick run on few images, to see that everything works."
    if any(record["paper_percent"] is None for record in records):
        return (
            f"Not comparable: measured on {first['data']}. The paper's figure is on "
            f"{experiment['data']}."
        )
    reached = mean(values(records, "test_error_percent", experiment["metric"]))
    gap = reached - published
    side = "above" if gap > 0 else "below"
    good = (gap > 0) == (experiment["metric"] == ACCURACY)
    found = f"{abs(gap):.2f} {side} the paper's figure ({'better' if good else 'worse'})"
    if abs(gap) < 0.005:
        found = "The paper's figure"
    words = [
        f"Comparable: the same images, split and architecture, features learned without labels, "
        f"a linear classifier. {found}.",
        "Not in the paper, chosen here on validation images: learning rate, epochs, L2 penalty"
        + (", the second layer's filter width." if len(experiment["layers"]) > 1 else "."),
        "The paper prints one figure without a spread;",
        "here one seed, so the spread is not known."
        if len(records) == 1
        else f"here {len(records)} seeds.",
    ]
    if any("--resume" in record.get("command", "") for record in records):
        words.append("Resumed: the times leave out what an earlier run had trained.")
    return " ".join(words)
