"""The tables of the GPU: what `benchmark.py device` and `benchmark.py machine-code` measured."""

import math
from collections import Counter

from bench.timing import median
from published.tables import NONE, Table, by_row, read, spread

#: PyTorch's steps, each with products of float32 and of TF32, and how they read.
PEERS = {
    "plain": "as it comes",
    "compiled": "compiled",
    "replayed": "as a graph",
    "best": "the best",
    "best compiled": "the best, compiled",
}
PRECISIONS = ("float32", "TF32")


def _sections():
    return read("h100")["sections"]


def layers_of(section):
    """{layer: what the section has of it}; nothing of a section that was not measured."""
    return {found["layer"]: found for found in _sections().get(section, {}).get("layers", ())}


def medians_of(section):
    """{layer: its median seconds}"""
    return {name: found["median_seconds"] for name, found in layers_of(section).items()}


def gpu_machine():
    """Where and with what it was measured."""
    section = _sections()["steps on cupy"]
    device, versions = section["device"], section["environment"]["versions"] | section["device"]
    peers = _sections().get("peers", section)  # minisca's steps may have been measured alone
    versions["torch"] = peers["environment"]["versions"]["torch"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("cupy", "numba", "torch"))
    return f"{device['name']}, driver {device['driver_version']}, float32; {libraries}."


def gpu_steps():
    """A training step of both columns beside PyTorch's as it comes, and how much faster."""
    other, peers = medians_of("steps on numba_cuda"), medians_of("peers")
    rows = []
    for layer, found in medians_of("steps on cupy").items():
        times = [found["minisca"], other.get(layer, {}).get("minisca")]
        theirs = [peers.get(layer, {}).get(f"plain, {precision}") for precision in PRECISIONS]
        faster = (NONE if spent is None else f"{spent / times[0]:.1f} ×" for spent in theirs)
        rows.append([layer, *map(shown, (*times, *theirs)), *faster])
    header = ["training step, 100 images", "`cupy`", "`numba_cuda`"]
    header += [f"PyTorch, {precision}" for precision in PRECISIONS]
    return Table([*header, *(f"`cupy` faster than {precision}" for precision in PRECISIONS)], rows)


def gpu_peers():
    """PyTorch's step as it comes, compiled, as one CUDA graph, and the best we can write."""
    compiled, rows = medians_of("compiled"), []
    for layer, found in medians_of("peers").items():
        for precision in PRECISIONS:
            times = found | compiled.get(layer, {})
            cells = (shown(times.get(f"{name}, {precision}")) for name in PEERS)
            rows.append([layer if precision == PRECISIONS[0] else "", precision, *cells])
    return Table(["PyTorch's training step", "products", *PEERS.values()], rows)


def gpu_ways():
    """What the best step in PyTorch is made of."""
    rows = []
    for layer, found in layers_of("peers").items():
        for precision, made_of in found.get("best_made_of", {}).items():
            rows.append([layer, precision, *made_of["ways"].values()])
    return Table(["the best step", "products", "encode", "decode", "slopes", "gradients"], rows)


def gpu_phases(backend):
    """The operations of a step, each called again and again by itself."""
    layers = layers_of(f"steps on {backend}")
    names = [name for found in layers.values() for name in found["phase_seconds"]]
    names = list(dict.fromkeys(names))
    rows = [
        [layer, *(shown(median(found["phase_seconds"][name])) for name in names)]
        for layer, found in layers.items()
    ]
    return Table([f"`{backend}`", *names], rows)


def gpu_transform():
    """`transform` beside the encoder of a step."""
    of = {backend: layers_of(f"transform on {backend}") for backend in ("cupy", "numba_cuda")}
    rows = [
        [
            layer,
            *(f"{found[layer]['ratio']:.2f}" if layer in found else NONE for found in of.values()),
        ]
        for layer in of["cupy"]
    ]
    return Table(["`transform` / encoder of a step", *(f"`{backend}`" for backend in of)], rows)


def gpu_peaks():
    """What the device does at most."""
    rates = _sections().get("peaks", {}).get("rates", {})
    rows = [
        [name, f"{rate / 1e12:.3g} {'TB/s' if name == 'copy' else 'TFLOP/s'}"]
        for name, rate in rates.items()
    ]
    return Table(["at most, on random data", "rate"], rows or [["all", "not yet measured"]])


#: Of a kernel: its work, its machine code, the estimate and what was measured.
KERNEL = ["kernel", "blocks × threads", "GFLOP", "MB", "registers", "spilled, bytes", "shared, KB"]
KERNEL += ["inner loop", "wide loads", "estimate", "measured", "processors", "memory", "warps"]


def gpu_kernels():
    """Every kernel of a step."""
    measured, rows = layers_of("kernels on cupy"), []
    for layer, found in layers_of("machine-code").items():
        profile = measured.get(layer, {"kernels": ()})["kernels"]
        rows += _headed([layer], _kernel_rows(found["kernels"], profile))
    return Table(["layer", *KERNEL], rows)


def gpu_other_kernels():
    """Every kernel of what a step does not do, or does another way elsewhere; never profiled."""
    rows = []
    for layer, found in layers_of("machine-code").items():
        for what, kernels in found.get("others", {}).items():
            rows += _headed([layer, what], _kernel_rows(kernels, ()))
    return Table(["layer", "what for", *KERNEL], rows)


def _headed(first, rows):
    """Rows with cells before them, which only the first row has filled."""
    return [[*(first if n == 0 else [""] * len(first)), *row] for n, row in enumerate(rows)]


def _kernel_rows(kernels, profile):
    """A row a kernel, and one of their sums."""
    kernels, profile = _by_turn(kernels), _by_turn(map(_launched, profile))
    rows = [_kernel_row(kernel, profile.get(turn)) for turn, kernel in kernels.items()]
    times = [sum(kernel["estimated_seconds"] for kernel in kernels.values())]
    if kernels.keys() <= profile.keys():
        times.append(sum(profile[turn]["seconds"] for turn in kernels))
    sums = [*map(shown, times), *[NONE] * (2 - len(times))]
    return [*rows, ["all", *[""] * 8, *sums, "", "", ""]]


def _launched(kernel):
    """What the profiler saw, with its blocks and threads counted."""
    sizes = {"blocks": math.prod(kernel["grid"]), "threads": math.prod(kernel["block"])}
    return kernel | sizes


def _by_turn(kernels):
    """{(its name, blocks and threads, how many such came before): kernel}, in their order."""
    seen, found = Counter(), {}
    for kernel in kernels:
        name = kernel["name"], kernel["blocks"], kernel["threads"]
        found[name, seen[name]] = kernel
        seen[name] += 1
    return found


def _kernel_row(kernel, profile):
    loop = kernel["inner_loop"]
    products = [f"{loop[name]} {name}" for name in ("FFMA", "DFMA", "HMMA") if loop[name]]
    wide, narrow = (
        sum(loop[f"{where}, {size}"] for where in ("shared", "global"))
        for size in ("16 bytes", "less")
    )
    row = [f"`{kernel['name']}`", f"{kernel['blocks']:,} × {kernel['threads']}"]
    row += [f"{kernel['flops'] / 1e9:.3g}" if kernel["flops"] else ""]
    row += [f"{kernel['argument_bytes'] / 1e6:.3g}", str(kernel["registers"])]
    row += [str(kernel["spilled_bytes"]), f"{kernel['shared_bytes'] / 1e3:.1f}"]
    row += [f"{' + '.join(products) or 'no products'} of {loop['all']}"]
    row += [f"{wide} of {wide + narrow}", shown(kernel["estimated_seconds"])]
    if profile is None:
        return [*row, "not yet timed", "", "", ""]
    shares = (f"{profile[f'{of}_percent']:.0f} %" for of in ("sm", "memory", "warps"))
    return [*row, shown(profile["seconds"]), *shares]


def gpu_mnist():
    """Rows of Table 1 from the images to the test error."""
    rows, here = [], by_row("mnist")
    for record in _sections().get("mnist", {}).get("records", ()):
        name = " then ".join(str(layer["n_maps"]) for layer in record["settings"]["layers"])
        row = [f"{name} maps", f"{record['test_error_percent']:.2f} %"]
        names = ("train", "encode", "classify", "total")
        row += [f"{record['seconds'][name]:.1f} s" for name in names]
        rows.append([*row, spread(here[record["row"]]) if record["row"] in here else NONE])
    header = ["MNIST, from end to end", "test error", "training", "encoding", "classifier"]
    return Table([*header, "all", "test error on the CPU"], rows)


def shown(seconds):
    if seconds is None:
        return NONE
    return f"{1e6 * seconds:.3g} µs" if seconds < 1e-3 else f"{1e3 * seconds:.3g} ms"
