"""How the first layer's step grows with maps, images, pixels, channels and the filters' width.

One number at a time, the others as in MNIST's first layer; the images are Gaussian, so that no zero
pixel spares work at one size more than at another. Batches of large images are of fewer.
"""

from dataclasses import replace

import numpy as np
from bench.layers import Layer, Step, make_images, make_parameters
from bench.peer import PeerStep, agreement_with
from bench.steps import beside_ceilings
from bench.timing import take_turns, times
from common.records import print_rows

from minisca.chunks import ceil_div
from minisca.figures.page import COLOURS, FAINT, INK, Page
from minisca.progress import progress

BASE = Layer("layer 1", "normal", 128, 1, 28, 7)

#: What grows: its sizes, and the power of it with which the floor of one image grows.
AXES = {
    "n_maps": ("maps", (16, 32, 64, 128, 256, 512, 1024, 2048, 4096), 1),
    "batch": ("images a batch", (1, 2, 5, 10, 20, 50, 100, 200, 500), 0),
    "size": ("image side", (14, 20, 28, 40, 56, 80, 112, 128, 256, 512, 1024), 2),
    "channels": ("channels", (1, 2, 3, 4, 8, 16, 32, 64, 128), 1),
    "width": ("filter width", (3, 5, 7, 9, 11, 13, 15), 2),
}
TINY = {"n_maps": (4, 8), "batch": (1, 3), "size": (9, 14), "channels": (1, 2), "width": (3, 5)}
#: A batch has no more pixels than a hundred images of 128 x 128 have.
MOST_PIXELS = 100 * 128**2

#: The peer is left out where its step would take longer than so many seconds.
MOST_PEER_SECONDS = 5.0


def measure_growth(bench, machine):
    base = BASE.tiny() if bench.tiny else BASE
    axes = {}
    for name, (_, sizes, _) in AXES.items():
        points, peer_rate = [], None
        sizes = TINY[name] if bench.tiny else sizes
        for size in progress(True, sizes, desc=name, leave=False):
            layer = replace(base, **{name: size})
            layer = replace(layer, batch=min(layer.batch, ceil_div(MOST_PIXELS, layer.size**2)))
            point = _measure_point(layer, bench, machine, peer_rate)
            if "pytorch" in point["median_seconds"]:
                peer_rate = point["median_seconds"]["pytorch"] / point["flops"]
            points.append({"at": size} | point)
        axes[name] = {"points": points, **_straightness(points, name)}
    return {"axes": axes, "images": "Gaussian", "peer_left_out_above_seconds": MOST_PEER_SECONDS}


def _measure_point(layer, bench, machine, peer_rate):
    x, parameters = make_images(layer, None), make_parameters(layer)
    step = Step(machine.backend, x, parameters)
    ceilings, limits, agreement = machine.ceilings(bench.tiny), {}, None
    calls = {name: call for name, (call, _) in ceilings.items()} | {"minisca": step}
    expected = (peer_rate or 0) * layer.flops
    if bench.torch is not None and expected <= MOST_PEER_SECONDS:
        calls["pytorch"] = PeerStep(bench.torch, x, parameters, bench.torch_device)
        agreement = agreement_with(step, calls["pytorch"])
        if expected > 1:
            limits["pytorch"] = 3
    seconds = take_turns(machine, calls, bench.repetitions, limits)
    found = {"batch": layer.batch, "flops": layer.flops, "agreement": agreement}
    return found | beside_ceilings(layer, ceilings, seconds)


def _straightness(points, name):
    """The slope in the log-log plot over the larger half, and the worst step between neighbours.

    A step is how much more the time of an image grows from one size to the next than its floor.
    """
    at = np.array([point["at"] for point in points], float)
    ours = np.array([point["median_seconds"]["minisca"] / point["batch"] for point in points])
    work = np.array([point["flops"] / point["batch"] for point in points])
    half = len(at) // 2
    steps = (ours[1:] / ours[:-1]) / (work[1:] / work[:-1])
    worst = int(steps.argmax())
    slope = np.polyfit(np.log(at[half:]), np.log(ours[half:]), 1)[0] if len(at) - half > 1 else None
    return {
        "slope_of_larger_half": None if slope is None else float(slope),
        "slope_of_floor": AXES[name][2],
        "worst_step": float(steps[worst]),
        "worst_step_between": [points[worst]["at"], points[worst + 1]["at"]],
    }


def report_growth(result):
    for name, axis in result["axes"].items():
        rows = []
        for point in axis["points"]:
            medians, floor = point["median_seconds"], point["floor_seconds"]
            theirs, ours = medians.get("pytorch"), medians["minisca"]
            row = {AXES[name][0] + "; µs an image": point["at"], "floor": _shown(floor, point)}
            row |= {"minisca": _shown(ours, point), "of floor": times(floor and ours / floor, 2)}
            row |= {"PyTorch": _shown(theirs, point), "faster": times(theirs and theirs / ours)}
            rows.append(row)
        print_rows(rows)
        slope = axis["slope_of_larger_half"]
        if slope is not None:
            print(f"slope of the larger half: {slope:.2f} (floor: {axis['slope_of_floor']})")
        first, second = axis["worst_step_between"]
        print(f"worst step: {axis['worst_step']:.2f} x the floor's, from {first} to {second}\n")


def _shown(seconds, point):
    return seconds and f"{_microseconds(seconds, point):.3g}"


def _microseconds(seconds, point):
    """An image's."""
    return 1e6 * seconds / point["batch"]


def draw_growth(path, result):
    """A panel a number, the time of an image against it: minisca, its floor, PyTorch."""
    page = Page(2980, 1500)
    for index, (name, axis) in enumerate(result["axes"].items()):
        axes = page.axes(170 + index % 3 * 980, 130 + index // 3 * 690, 780, 500)
        seconds = {
            label: [(point, point["median_seconds"].get(call)) for point in axis["points"]]
            for label, call in (("PyTorch", "pytorch"), ("minisca", "minisca"))
        }
        seconds["floor"] = [(point, point["floor_seconds"]) for point in axis["points"]]
        styles = (COLOURS[1], "o-"), (COLOURS[0], "o-"), (FAINT, "--")
        for (label, found), (colour, style) in zip(seconds.items(), styles, strict=True):
            line = [(point["at"], _microseconds(s, point)) for point, s in found if s is not None]
            if line:
                axes.plot(*zip(*line, strict=True), style, color=colour, ms=3, lw=1.2, label=label)
        axes.set(xscale="log", yscale="log")
        sizes = [point["at"] for point in axis["points"]]
        axes.set_xticks(sizes, [str(size) for size in sizes], rotation=45)
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(AXES[name][0], fontsize=8, color=INK)
        axes.tick_params(which="both", labelsize=7, color=FAINT, labelcolor=INK, width=0.6)
        axes.grid(color="#e6e6e6", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if index == 0:
            axes.legend(frameon=False, fontsize=7)
    title = "A training step of MNIST's first layer (128 maps, 7×7, 28×28, 100 images), one number "
    page.text(170, 55, title + "varied: microseconds an image", 8)
    page.save(path)
