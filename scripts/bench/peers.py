"""PyTorch's training step on a device: as it comes, compiled, and the best one that we can write.

Each with products of float32 and of TF32. A step that fails says why in place of its times.
"""

from bench.layers import describe, make_parameters
from bench.peer import ROUNDING_TF32, PeerStep, agreement_line, agreement_with, tf32
from bench.peer_best import BestPeerStep, what_it_says
from bench.timing import medians, milliseconds, take_turns
from common.records import print_rows

PRECISIONS = {"float32": 0.0, "TF32": ROUNDING_TF32}
STEPS = ("plain", "compiled", "best")


def measure_peers(bench, machine):
    """Of every layer the seconds of every step and precision, and what the best one is made of."""
    if bench.torch is None:
        raise RuntimeError("there is no PyTorch here that has a device")
    return bench.each_layer(machine, lambda layer, step: measure_layer(layer, step, bench, machine))


def measure_layer(layer, step, bench, machine):
    found = {**describe(layer), "seconds": {}, "agreement": {}, "best_made_of": {}}
    for precision in PRECISIONS:
        with tf32(bench.torch, precision == "TF32"):
            _measure(layer, step, bench, machine, precision, found)
    return found | {"median_seconds": medians(found["seconds"])}


def _measure(layer, step, bench, machine, precision, found):
    """Add to what was found the steps of a precision, which is turned on."""
    calls = {}
    for name in STEPS:
        of = f"{name}, {precision}"
        try:
            peer = _make(name, step.x, make_parameters(layer), bench, found)
            found["agreement"][of] = agreement_with(step, peer, PRECISIONS[precision])
            found["agreement"][of]["as_timed"] = peer.differences_of_a_run()
            if name == "best":
                found["best_made_of"][precision] = peer.made_of
            peer()
        except Exception as error:  # of any kind, a compiler's among them: the others go on
            found["agreement"][of] = {"failed": what_it_says(error)}
        else:
            calls[of] = peer
    found["seconds"] |= take_turns(machine, calls, bench.repetitions, description=layer.name)


def _make(name, x, parameters, bench, found):
    torch, device = bench.torch, bench.torch_device
    if name != "best":
        return PeerStep(torch, x, parameters, device, compiled=name == "compiled")
    known = found["best_made_of"].get("float32", {}).get("seconds")
    return BestPeerStep(torch, x, parameters, device, bench.compiles, known)


def report_peers(result):
    rows = []
    for layer in result["layers"]:
        spent = layer["median_seconds"]
        names = (f"{name}, {precision}" for precision in PRECISIONS for name in STEPS)
        cells = {name: milliseconds(spent.get(name)) for name in names}
        rows.append({"PyTorch's step, ms": layer["layer"]} | cells)
    print_rows(rows)
    for layer in result["layers"]:
        for name, agreement in layer["agreement"].items():
            print(f"{layer['layer']}; {name}: {agreement_line(agreement)}")
        for precision, made_of in layer["best_made_of"].items():
            ways = ", ".join(f"{name} {way}" for name, way in made_of["ways"].items())
            states = ", ".join(f"{key}: {made_of[key]}" for key in ("compiled", "graph"))
            print(f"{layer['layer']}; best, {precision}: {ways}; {states}")
