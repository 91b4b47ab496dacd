"""The training step of every layer beside its floor and PyTorch; `transform` beside the encoder."""

from bench.layers import IMAGES, LAYERS, Step, make_images, make_parameters
from bench.peer import PeerStep, check_agreement, check_update
from bench.timing import matrix_product, median, take_turns
from common.records import print_table

#: A peer's step whose floor alone takes longer than so many seconds is repeated twice, no more.
SLOW_FLOOR = 2.0


def measure_steps(bench):
    """Seconds of minisca's step, its phases, the peer's step and the peak's product, a layer."""
    if bench.torch is not None:
        check_update(bench.torch)
    return {"layers": [measure_step(layer, bench) for layer in bench.layers(LAYERS)]}


def measure_step(layer, bench):
    x, parameters = make_images(layer, bench.digits), make_parameters(layer)
    step = Step(x, parameters)
    product, product_flops = matrix_product(bench.product_side)
    calls = {"product": product, "minisca": step, "phases": step.in_phases}
    limits, agreement = {}, None
    peer = bench.torch and PeerStep(bench.torch, x, parameters)
    slow = peer and is_slow(layer, product, product_flops)
    if peer and not (slow and bench.skip_slow_peer):
        agreement = check_agreement(step, peer)
        calls |= {"pytorch convolution": peer.convolve, "pytorch": peer}
        if slow:
            limits = {"pytorch": 2}
    seconds, phases = take_turns(calls, bench.repetitions, limits, layer.name)
    del seconds["phases"]
    peak = product_flops / median(seconds["product"])
    floor = layer.flops / peak
    return {
        **describe(layer),
        "peak_gflops": peak / 1e9,
        "floor_seconds": floor,
        "seconds": seconds,
        "phase_seconds": phases["phases"],
        "median_seconds": {name: median(values) for name, values in seconds.items()},
        "multiple_of_floor": {
            name: median(values) / floor for name, values in seconds.items() if name != "product"
        },
        "target_multiple": layer.target,
        "agreement": agreement,
    }


def is_slow(layer, product, product_flops):
    """Whether the peer's step on this machine takes so long that it is repeated less often."""
    seconds, _ = take_turns({"product": product}, 1)
    return layer.flops / product_flops * seconds["product"][0] > SLOW_FLOOR


def describe(layer):
    """The layer in plain names and numbers."""
    return {
        "layer": layer.name,
        "shape": {
            name: getattr(layer, name) for name in ("batch", "channels", "size", "n_maps", "width")
        },
        "images": IMAGES[layer.images],
    }


def report_steps(result):
    rows, phase_rows = [], []
    for layer in result["layers"]:
        ours, multiple = layer["median_seconds"]["minisca"], layer["multiple_of_floor"]
        theirs = layer["median_seconds"].get("pytorch")
        row = [layer["layer"], milliseconds(layer["floor_seconds"]), milliseconds(ours)]
        row += [f"{multiple['minisca']:.2f} x", f"{layer['target_multiple']:g} x"]
        if theirs is None:
            row += ["-"] * 4
        else:
            row += [milliseconds(theirs), f"{multiple['pytorch']:.1f} x"]
            row += [f"{multiple['pytorch convolution']:.1f} x", f"{theirs / ours:.1f} x"]
        rows.append(row)
        phases = layer["phase_seconds"]
        names = list(phases)
        phase_rows.append([layer["layer"], *(milliseconds(median(phases[name])) for name in names)])
    header = ["training step, ms", "floor", "minisca", "of floor", "target"]
    print_table([*header, "PyTorch", "of floor", "its convolution", "faster"], rows)
    print()
    print_table(["phases, ms", *names], phase_rows)
    print()
    for layer in result["layers"]:
        timed = len(layer["seconds"].get("pytorch", []))
        turns = len(layer["seconds"]["minisca"])
        note = f"{layer['layer']}: images are {layer['images']}; peak {layer['peak_gflops']:.0f} "
        note += f"GFLOP/s; median of {turns}"
        note += f", of {timed} for PyTorch" if 0 < timed < turns else ""
        note += f"; {agreement_line(layer['agreement'])}"
        print(note)


def agreement_line(agreement):
    if agreement is None:
        return "PyTorch not run"
    largest = max(agreement["relative_differences"].values())
    return (
        f"agrees with PyTorch to {largest:.0e} (allowed {agreement['tolerance']:.0e}), "
        f"{agreement['winners_at_other_of_two_equal_units']} of {agreement['winners']} winners at "
        "the other of two units that differ by rounding alone"
    )


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def measure_transform(bench):
    """Seconds of convolution, ReLU and pooling in one pass beside the step's own encoder."""
    found = []
    for layer in bench.layers(LAYERS):
        step = Step(make_images(layer, bench.digits), make_parameters(layer))
        calls = {
            "encode_winners": step.encode,
            "encode_pooled": lambda step=step, layer=layer: step.encode_pooled(*layer.pool),
        }
        seconds, _ = take_turns(calls, bench.repetitions, description=layer.name)
        medians = {name: median(values) for name, values in seconds.items()}
        found.append(
            {
                **describe(layer),
                "pool": layer.pool,
                "seconds": seconds,
                "median_seconds": medians,
                "ratio": medians["encode_pooled"] / medians["encode_winners"],
                "target_ratio": 1.3,
            }
        )
    return {"layers": found}


def report_transform(result):
    rows = [
        [
            layer["layer"],
            milliseconds(layer["median_seconds"]["encode_winners"]),
            milliseconds(layer["median_seconds"]["encode_pooled"]),
            f"{layer['ratio']:.2f} x",
            f"{layer['target_ratio']:g} x",
        ]
        for layer in result["layers"]
    ]
    header = ["transform, ms", "step's encoder", "transform", "of encoder", "target"]
    print_table(header, rows)
