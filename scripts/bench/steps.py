"""The training step of every layer beside its floor and PyTorch; `transform` beside the encoder."""

from bench.layers import LAYERS, Step, describe, make_images, make_parameters
from bench.peer import PeerStep, check_agreement, check_update
from bench.timing import median, medians, milliseconds, take_turns
from common.records import print_table

#: A peer's step whose floor alone takes longer than so many seconds is repeated twice, no more.
SLOW_FLOOR = 2.0


def measure_steps(bench, machine):
    """Seconds of minisca's step, its phases, the peer's step and the ceilings, a layer."""
    if bench.torch is not None:
        check_update(bench.torch)
    return {"layers": [measure_step(layer, bench, machine) for layer in bench.layers(LAYERS)]}


def measure_step(layer, bench, machine):
    x, parameters = make_images(layer, bench.digits), make_parameters(layer)
    step = Step(machine.backend, x, parameters)
    memory = machine.memory(step)
    ceilings, phases = machine.ceilings(bench.tiny), step.phases()
    calls = {name: call for name, (call, _) in ceilings.items()} | {"minisca": step, **phases}
    if machine.is_device and "product" in ceilings:
        taps = layer.channels * layer.width**2
        sides = layer.n_maps, taps, layer.batch * layer.size**2
        calls["cublas on patches"] = machine.product(*sides)
    limits, agreement = {}, None
    slow = bench.torch is not None and is_slow(layer, machine, ceilings)
    if bench.torch is not None and not (slow and bench.skip_slow_peer):
        peer = PeerStep(bench.torch, x, parameters, bench.torch_device)
        agreement = check_agreement(step, peer)
        calls |= {"pytorch convolution": peer.convolve, "pytorch": peer}
        limits = {"pytorch": 2} if slow else {}
    seconds = take_turns(machine, calls, bench.repetitions, limits, layer.name)
    phase_seconds = {name: seconds.pop(name) for name in phases}
    found = {**describe(layer), **beside_ceilings(layer, ceilings, seconds)}
    found |= {"phase_seconds": phase_seconds, "agreement": agreement}
    if machine.is_device:
        # of every parameter: itself, velocity and gradient are read, the first two written
        n_bytes = 5 * sum(value.nbytes for value in parameters.values())
        copied = n_bytes / found["copy_bytes_per_second"]
        found["update_share_of_copy"] = copied / median(phase_seconds["update"])
        found["memory_bytes"] = memory
    return found


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
    rows, phase_rows, device_rows = [], [], []
    for layer in result["layers"]:
        found, multiple = layer["median_seconds"], layer["multiple_of_floor"]
        ours, theirs = found["minisca"], found.get("pytorch")
        name, floor = layer["layer"], layer["floor_seconds"]
        row = [name, milliseconds(floor), milliseconds(ours), times(multiple["minisca"], 2)]
        row += [milliseconds(theirs), times(multiple.get("pytorch"))]
        row += [times(multiple.get("pytorch convolution")), times(theirs and theirs / ours)]
        rows.append(row)
        phases = medians(layer["phase_seconds"])
        phase_rows.append([name, *map(milliseconds, phases.values())])
        if "update_share_of_copy" in layer:
            n_bytes = layer["memory_bytes"]
            row = [name, milliseconds(found.get("cublas on patches"))]
            row += [f"{floor / phases['encode']:.0%}" if floor else "-"]
            row += [f"{layer['update_share_of_copy']:.0%}"]
            device_rows.append([*row, "-" if n_bytes is None else f"{n_bytes / 1e6:.0f}"])
    header = ["training step, ms", "floor", "minisca", "of floor"]
    print_table([*header, "PyTorch", "of floor", "its convolution", "faster"], rows)
    print()
    print_table(["phases, ms", *phases], phase_rows)
    print()
    if device_rows:
        header = ["beside the device", "cuBLAS on patches, ms", "encode of product"]
        print_table([*header, "update of copy", "MB of a step"], device_rows)
        print()
    for layer in result["layers"]:
        print(note(layer))


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


def agreement_line(agreement):
    if agreement is None:
        return "PyTorch not run"
    largest = max(agreement["relative_differences"].values())
    return (
        f"agrees with PyTorch to {largest:.0e} (allowed {agreement['tolerance']:.0e}), "
        f"{agreement['winners_at_other_of_two_equal_units']} of {agreement['winners']} winners at "
        "the other of two units that differ by rounding alone"
    )


def times(multiple, digits=1):
    """A multiple as text; "-" of None."""
    return "-" if multiple is None else f"{multiple:.{digits}f} x"


def measure_transform(bench, machine):
    """Seconds of convolution, ReLU and pooling in one pass beside the step's own encoder."""
    found = []
    for layer in bench.layers(LAYERS):
        step = Step(machine.backend, make_images(layer, bench.digits), make_parameters(layer))
        calls = {
            "encode_winners": step.encode,
            "encode_pooled": lambda step=step, layer=layer: step.encode_pooled(*layer.pool),
        }
        seconds = take_turns(machine, calls, bench.repetitions, description=layer.name)
        middle = medians(seconds)
        entry = {**describe(layer), "pool": layer.pool, "seconds": seconds}
        ratio = middle["encode_pooled"] / middle["encode_winners"]
        found.append(entry | {"median_seconds": middle, "ratio": ratio})
    return {"layers": found}


def report_transform(result):
    rows = []
    for layer in result["layers"]:
        middle = layer["median_seconds"].values()
        rows.append([layer["layer"], *map(milliseconds, middle), times(layer["ratio"], 2)])
    print_table(["transform, ms", "step's encoder", "transform", "of encoder"], rows)
