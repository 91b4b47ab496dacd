"""The README's table of speed: what benchmark.py measured."""

import json

from bench.growth import AXES
from common.records import ROOT

BENCHMARK = ROOT / "reference" / "measured" / "benchmark.json"
GROWTH = "reference/measured/figures/benchmark-growth.png"


def speed_table():
    """The training step of every layer, and what else benchmark.py measured, in one table each."""
    sections = json.loads(BENCHMARK.read_text())["sections"]
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
