"""The training step of every layer beside its floor and PyTorch; `transform` beside the encoder."""

from functools import partial

from bench.layers import Training, describe
from bench.peer import PeerStep, agreement_line, agreement_with, check_update
from bench.peers import best_on_cpu
from bench.timing import median, medians, milliseconds, take_turns, times
from common.records import print_rows

#: A peer's step whose floor alone takes longer than so many seconds is repeated twice, no more.
SLOW_FLOOR = 2.0
#: A device does so many steps in a call, those of an epoch of MNIST, or as many as 0.1 s holds.
MOST_STEPS = 600


def measure_steps(bench, machine):
    """Seconds of minisca's step, its phases, the peer's step and the ceilings, a layer."""
    if bench.torch is not None:
        check_update(bench.torch)
    return bench.each_layer(machine, lambda layer, step: measure_step(layer, step, bench, machine))


def measure_step(layer, step, bench, machine):
    memory = machine.memory(step)
    ceilings, phases = machine.ceilings(bench.tiny), step.phases()
    calls = {name: call for name, (call, _) in ceilings.items()} | {"minisca": step, **phases}
    if machine.is_device and "product" in ceilings:
        taps = layer.channels * layer.width**2
        sides = layer.n_maps, taps, layer.batch * layer.size**2
        calls["cublas on patches"] = machine.product(*sides)
    training = None
    if machine.is_device:
        training = calls["minisca"] = Training(step, steps_a_call(step, machine))
        calls["minisca, step by step"] = step
    limits, agreement, best, of_best = {}, None, {}, {}
    if bench.torch is not None:
        peer = PeerStep(bench.torch, step.x, step.start, bench.torch_device)
        agreement = agreement_with(step, peer)
        calls |= {"pytorch convolution": peer.convolve, "pytorch": peer}
        if not machine.is_device:
            best, of_best = best_on_cpu(bench, step)
            calls |= best
        peers = ["pytorch", *best]
        limits = dict.fromkeys(peers, 2) if is_slow(layer, machine, ceilings) else {}
    seconds = take_turns(machine, calls, bench.repetitions, limits, layer.name)
    if training is not None:
        seconds["minisca"] = [spent / training.count for spent in seconds["minisca"]]
    phase_seconds = {name: seconds.pop(name) for name in phases}
    found = {**describe(layer), **beside_ceilings(layer, ceilings, seconds)}
    found |= {"phase_seconds": phase_seconds, "agreement": agreement, "agreement_of_best": of_best}
    found["best_made_of"] = {name: peer.made_of for name, peer in best.items()}
    if machine.is_device:
        # of every parameter: itself, velocity and gradient are read, the first two written
        n_bytes = 5 * sum(value.nbytes for value in step.start.values())
        copied = n_bytes / found["copy_bytes_per_second"]
        found["update_share_of_copy"] = copied / median(phase_seconds["update"])
        found["memory_bytes"] = memory
    return found


def steps_a_call(step, machine):
    """So many that what an epoch begins and ends with is as little of them as it is of an epoch."""
    step()
    spent = max(machine.seconds(step, 1), 1e-6)
    return max(2, min(MOST_STEPS, round(2 * machine.least_seconds / spent)))


def beside_ceilings(layer, ceilings, seconds):
    """The seconds of the calls, their medians, and those as multiples of the arithmetic's floor.

    peak_gflops, floor_seconds and the multiples are None where nothing measured the peak.
    """
    found = medians(seconds)
    rates = {name: amount / found[name] for name, (_, amount) in ceilings.items()}
    peak = rates.get("product")
    floor = layer.flops / peak if peak else None
    multiples = {name: floor and found[name] / floor for name in found if name not in ceilings}
    return {
        "peak_gflops": peak and peak / 1e9,
        **({"copy_bytes_per_second": rates["copy"]} if "copy" in rates else {}),
        "floor_seconds": floor,
        "seconds": seconds,
        "median_seconds": found,
        "multiple_of_floor": multiples,
    }


def is_slow(layer, machine, ceilings):
    """Whether the peer's step on this machine takes so long that it is repeated less often."""
    if "product" not in ceilings:
        return False
    product, flops = ceilings["product"]
    (seconds,) = take_turns(machine, {"product": product}, 1)["product"]
    return layer.flops / flops * seconds > SLOW_FLOOR


def report_steps(result):
    steps, phases, beside_device = [], [], []
    for layer in result["layers"]:
        found, floor = layer["median_seconds"], layer["floor_seconds"]
        of_floor, theirs = layer["multiple_of_floor"], found.get("pytorch")
        best = best_of(layer)
        steps.append(
            {
                "training step, ms": layer["layer"],
                "floor": milliseconds(floor),
                "minisca": milliseconds(found["minisca"]),
                "of floor": times(of_floor["minisca"], 2),
                "PyTorch": milliseconds(theirs),
                "PyTorch of floor": times(of_floor.get("pytorch")),
                "its convolution": times(of_floor.get("pytorch convolution")),
                "faster": times(theirs and theirs / found["minisca"]),
                "best PyTorch": milliseconds(found.get(best)),
                "best of floor": times(of_floor.get(best), 2),
                "faster than it": times(best and found[best] / found["minisca"], 2),
            }
        )
        spent = medians(layer["phase_seconds"])
        texts = {name: milliseconds(seconds) for name, seconds in spent.items()}
        phases.append({"phases, ms": layer["layer"], **texts})
        if "update_share_of_copy" in layer:
            beside_device.append(
                {
                    "beside the device": layer["layer"],
                    "cuBLAS on patches, ms": milliseconds(found.get("cublas on patches")),
                    "encode of product": floor and f"{floor / spent['encode']:.0%}",
                    "update of copy": f"{layer['update_share_of_copy']:.0%}",
                    "MB of a step": layer["memory_bytes"] and round(layer["memory_bytes"] / 1e6),
                }
            )
    for rows in filter(None, (steps, phases, beside_device)):
        print_rows(rows)
        print()
    for layer in result["layers"]:
        print(note(layer))
        for name, agreement in layer["agreement_of_best"].items():
            print(f"    {name.removeprefix('pytorch ')}: {agreement_line(agreement)}")
        if best := best_of(layer):
            ways = layer["best_made_of"][best]["ways"]
            print("    " + ", ".join(f"{name} {way}" for name, way in ways.items()))


def best_of(layer):
    """The name of the faster of the best steps in PyTorch; None where there is none."""
    found = layer["median_seconds"]
    return min(layer["best_made_of"], key=found.get, default=None)


def note(layer):
    """What a layer's figures are of."""
    timed, turns = (len(layer["seconds"].get(name, ())) for name in ("pytorch", "minisca"))
    parts = [f"images are {layer['images']}"]
    if layer["peak_gflops"]:
        parts.append(f"peak {layer['peak_gflops']:.0f} GFLOP/s")
    if "copy_bytes_per_second" in layer:
        parts.append(f"copy {layer['copy_bytes_per_second'] / 1e12:.2f} TB/s")
    parts.append(f"median of {turns}" + (f", of {timed} for PyTorch" if 0 < timed < turns else ""))
    return f"{layer['layer']}: {'; '.join([*parts, agreement_line(layer['agreement'])])}"


def measure_transform(bench, machine):
    """Seconds of convolution, ReLU and pooling in one pass beside the step's own encoder."""

    def measure(layer, step):
        calls = {"encode_winners": step.encode, "encode_pooled": partial(step.encode, *layer.pool)}
        seconds = take_turns(machine, calls, bench.repetitions, description=layer.name)
        middle = medians(seconds)
        entry = {**describe(layer), "pool": layer.pool, "seconds": seconds}
        ratio = middle["encode_pooled"] / middle["encode_winners"]
        return entry | {"median_seconds": middle, "ratio": ratio}

    return bench.each_layer(machine, measure)


def report_transform(result):
    rows = []
    for layer in result["layers"]:
        step, transform = map(milliseconds, layer["median_seconds"].values())
        row = {"transform, ms": layer["layer"], "step's encoder": step, "transform": transform}
        rows.append(row | {"of encoder": times(layer["ratio"], 2)})
    print_rows(rows)
