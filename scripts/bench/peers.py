"""PyTorch's training step on a device: as it comes, replayed, compiled, and the best one.

Each with products of float32 and of TF32. A step that fails says why in place of its times. On the
CPU the best one alone, as it is and compiled.
"""

from functools import partial

from bench.layers import describe
from bench.peer import ROUNDING_TF32, PeerStep, agreement_line, agreement_with, tf32
from bench.peer_best import BestPeerStep, gathered_alone
from bench.peer_calls import what_it_says
from bench.peer_operations import COMPILED, WAYS
from bench.timing import medians, milliseconds, take_turns
from common.records import print_rows

#: What a factor is rounded to before it is multiplied.
PRECISIONS = {"float32": 0.0, "TF32": ROUNDING_TF32}
#: A compilation may take so many seconds: with less time left none is begun.
COMPILING_SECONDS = 45


def measure_peers(bench, machine):
    """Of every layer the seconds of the steps, and what the best one is made of."""
    return _measure(bench, machine, _steps, [*PRECISIONS])


def measure_compiled(bench, machine):
    """The same through torch.compile, which takes its time: TF32 first, as far as that goes."""
    return _measure(bench, machine, _compiled_steps, [*PRECISIONS][::-1])


def best_on_cpu(bench, step):
    """{name: the best step in PyTorch}, as it is and compiled; {name: its agreement, or why not}.

    Tiny layers are not compiled: that takes longer than all else.
    """
    ways, peers, agreements, known = WAYS, {}, {}, None
    if bench.tiny:
        ways = {name: [way for way in found if way != COMPILED] for name, found in WAYS.items()}
    for name, compiled in (("pytorch best", False), ("pytorch best compiled", True)):
        try:
            if compiled and bench.tiny:
                raise RuntimeError("tiny layers are not compiled")
            peer = BestPeerStep(bench.torch, step.x, step.start, "cpu", compiled, known, ways)
            agreements[name] = agreement_with(step, peer)
            agreements[name]["as_timed"] = peer.differences_of_a_run()
        except Exception as error:  # of any kind, a compiler's among them: the others go on
            agreements[name] = {"failed": what_it_says(error)}
            continue
        peers[name], known = peer, peer.made_of["seconds"]
    return peers, agreements


def _measure(bench, machine, steps, precisions):
    if bench.torch is None:
        raise RuntimeError("there is no PyTorch here that has a device")

    def measure(layer, step):
        return measure_layer(layer, step, bench, machine, steps, precisions)

    return bench.each_layer(machine, measure)


def measure_layer(layer, step, bench, machine, steps, precisions):
    found = {**describe(layer), "seconds": {}, "agreement": {}, "best_made_of": {}}
    for precision in precisions:
        with tf32(bench.torch, precision == "TF32"):
            _measure_precision(layer, step, bench, machine, steps, precision, found)
    return found | {"median_seconds": medians(found["seconds"])}


def _measure_precision(layer, step, bench, machine, steps, precision, found):
    """Add to what was found the steps of a precision, which is turned on."""
    calls = {}
    for name, make in steps(bench, layer, step, precision, found).items():
        of = f"{name}, {precision}"
        try:
            peer = make()
            found["agreement"][of] = agreement_with(step, peer, PRECISIONS[precision])
            found["agreement"][of]["as_timed"] = peer.differences_of_a_run()
        except Exception as error:  # of any kind, a compiler's among them: the others go on
            found["agreement"][of] = {"failed": what_it_says(error)}
            continue
        calls[of] = peer
        if name == "best":
            bench.best_made_of[layer.name, precision] = peer.made_of
            found["best_made_of"][precision] = peer.made_of
    found["seconds"] |= take_turns(machine, calls, bench.repetitions, description=layer.name)


def _steps(bench, layer, step, precision, found):
    of = bench.torch, step.x, step.start, bench.torch_device
    other = found["best_made_of"].get("float32", {"seconds": {}})
    return {
        "plain": partial(PeerStep, *of),
        "replayed": partial(PeerStep, *of, how="replayed"),
        "best": partial(BestPeerStep, *of, known=gathered_alone(other["seconds"])),
    }


def _compiled_steps(bench, layer, step, precision, found):
    of = bench.torch, step.x, step.start, bench.torch_device
    known = bench.best_made_of.get((layer.name, precision), {"seconds": {}})["seconds"]

    def in_time(make, *arguments, **options):
        if bench.clock.seconds_left() < COMPILING_SECONDS:
            raise TimeoutError("the time was up")
        return make(*arguments, **options)

    return {
        "compiled": partial(in_time, PeerStep, *of, how="compiled"),
        "best compiled": partial(in_time, BestPeerStep, *of, compiled=True, known=known),
    }


def report_peers(result):
    rows = []
    for layer in result["layers"]:
        cells = {
            f"{name}, ms": milliseconds(layer["median_seconds"].get(name))
            for name in layer["agreement"]
        }
        rows.append({"PyTorch's step": layer["layer"]} | cells)
    print_rows(rows)
    for layer in result["layers"]:
        for name, agreement in layer["agreement"].items():
            print(f"{layer['layer']}; {name}: {agreement_line(agreement)}")
        for precision, made_of in layer["best_made_of"].items():
            ways = ", ".join(f"{name} {way}" for name, way in made_of["ways"].items())
            graph = "" if made_of["graph"] is True else f"; no graph: {made_of['graph']}"
            print(f"{layer['layer']}; best, {precision}: {ways}{graph}")
