"""Write the README's tables anew from what lies in reference/measured/.

python scripts/update_readme.py            rewrite the tables between their markers
python scripts/update_readme.py --check    fail if the README says anything else
"""

import argparse
import json
import sys

import numpy as np
from bench_growth import AXES
from records import ROOT, published
from report_studies import split_row

from minisca.atomic import atomic_write

README = ROOT / "README.md"
MEASURED = ROOT / "reference" / "measured"
GROWTH = "reference/measured/figures/benchmark-growth.png"

#: Rows of the README's table of results: their names, and how they read.
TABLE_1 = {
    "mnist-16": "16 maps",
    "mnist-128": "128 maps",
    "mnist-deep": "128 then 2048 maps",
}

#: Of the table of CIFAR-10.
TABLE_2 = {"cifar-512": "512 maps", "cifar-deep": "512 then 4096 maps"}


def results_table():
    """Table 1 of the paper beside what reproduce_mnist.py measured, every seed that ran."""
    records = json.loads((MEASURED / "mnist.json").read_text())
    lines = [
        "| MNIST, test error | paper | minisca | seeds | validation | time per seed |",
        "|---|---|---|---|---|---|",
    ]
    for row, name in TABLE_1.items():
        found = [record for record in records if record["row"] == row]
        if not found:
            continue
        cells = [
            name,
            f"{found[0]['paper_percent']:.2f} %",
            f"**{spread(found, 'test_error_percent')} %**",
            ", ".join(f"{record['test_error_percent']:.2f}" for record in found),
            f"{spread(found, 'validation_error_percent')} %",
            f"{np.mean([record['seconds']['total'] for record in found]) / 60:.0f} min",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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


def speed_table():
    """The training step of every layer, and what else benchmark.py measured, in one table each."""
    sections = json.loads((MEASURED / "benchmark.json").read_text())["sections"]
    steps = sections["steps"]
    lines = [
        "| training step, 100 images | floor | minisca | × floor | target | PyTorch | faster |",
        "|---|---|---|---|---|---|---|",
    ]
    for layer in steps["layers"]:
        seconds, multiple = layer["median_seconds"], layer["multiple_of_floor"]
        peer = seconds.get("pytorch")
        cells = [
            layer["layer"],
            milliseconds(layer["floor_seconds"]),
            f"**{milliseconds(seconds['minisca'])}**",
            f"{multiple['minisca']:.2f}",
            f"{layer['target_multiple']:g}",
            "–" if peer is None else milliseconds(peer),
            "–" if peer is None else f"**{peer / seconds['minisca']:.0f} ×**",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *other_speeds(sections), "", machine_line(steps)]
    if "growth" in sections:
        lines += ["", *growth(sections["growth"])]
    return "\n".join(lines)


def other_speeds(sections):
    """What is not a training step: a line each, where it was measured."""
    if "transform" in sections:
        ratios = [f"{layer['ratio']:.2f}" for layer in sections["transform"]["layers"]]
        yield (
            "* `transform` beside the step's own encoder, layer by layer (target: 1.3): "
            f"{', '.join(ratios)}."
        )
    if "threads" in sections:
        gains = [f"{layer['speed_up']:.2f}" for layer in sections["threads"]["layers"]]
        yield f"* Two threads beside one (target: 1.7): {', '.join(gains)}; the same bits."
    if "cold" in sections:
        cold = sections["cold"]
        firsts = [
            f"{layer['median_cold_seconds']:.1f} s and {layer['median_warm_seconds']:.2f} s "
            f"({layer['layer']})"
            for layer in cold["layers"]
        ]
        yield (
            f"* `import minisca`: {cold['median_import_seconds']:.2f} s. First step, compilation "
            f"cache cold and warm (target: 12 and 1): {'; '.join(firsts)}."
        )
    if "memory" in sections:
        largest = [
            f"{max(run['beyond_bytes'] for run in layer['runs']) / 1e6:.0f} MB ({layer['layer']})"
            for layer in sections["memory"]["layers"]
        ]
        yield (
            "* Memory of training beyond images, parameters, velocities and gradients: "
            f"{', '.join(largest)}."
        )
    if "classifier" in sections:
        result = sections["classifier"]
        fits = [
            f"{fit['kind']} {fit['seconds']:.0f} s, {fit['beyond_bytes'] / 1e6:.0f} MB beyond them"
            for fit in result["fits"]
        ]
        yield (
            f"* `LogisticRegression` on {result['rows']:,} × {result['features']:,} features to "
            f"convergence (target: 60 s): {'; '.join(fits)}."
        )


def growth(section):
    """How cost grows: the picture, and how straight its curves are."""
    slopes = [
        f"{AXES[name][0]} {axis['slope_of_larger_half']:.2f} ({axis['slope_of_floor']})"
        for name, axis in section["axes"].items()
        if name != "batch"
    ]
    alone, *_, many = section["axes"]["batch"]["points"]
    seconds = [point["median_seconds"]["minisca"] / point["batch"] for point in (alone, many)]
    yield (
        "How a first layer's step grows, one number at a time, with Gaussian images, of which no "
        "pixel is zero. Exponents over the larger half of the sizes, the arithmetic's own in "
        f"brackets: {', '.join(slopes)}. An image alone takes {milliseconds(seconds[0])}, one of "
        f"{many['batch']} {milliseconds(seconds[1])}."
    )
    yield ""
    yield f"![Time of an image against each number]({GROWTH})"


def machine_line(section):
    """Where, on what and by which command the training steps were measured."""
    found = section["environment"]
    versions = found["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("numpy", "numba", "torch"))
    return (
        f"{found['machine']['cpu']}, {found['threads']['numba']} threads, float32; {named}; "
        f"medians of {found['repetitions']}. `{found['command']}`; every repetition: "
        "[`reference/measured/benchmark.json`](reference/measured/benchmark.json)."
    )


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


SECTIONS = {
    "results": results_table,
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
        return 0 if fresh == text else f"{README.name} is stale: python scripts/update_readme.py"
    with atomic_write(README) as file:
        file.write(fresh.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
