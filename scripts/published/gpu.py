"""The tables of the GPU: what `benchmark.py device` measured on one."""

import math

from bench.timing import median
from published.tables import NONE, Table, read

#: PyTorch's steps, and how they read.
PEERS = {
    "plain, float32": "PyTorch, float32",
    "plain, TF32": "PyTorch, TF32",
    "best, float32": "best peer, float32",
    "best, TF32": "best peer, TF32",
}
PHASES = ("encode", "decode", "error", "backward", "update")


def _sections():
    return read("h100/benchmark")["sections"]


def _layers(section):
    """{layer: what the section has of it}; nothing of a section that was not measured."""
    return {found["layer"]: found for found in _sections().get(section, {}).get("layers", ())}


def gpu_machine():
    """Where and with what it was measured."""
    section = _sections()["steps on cupy"]
    device, versions = section["device"], section["environment"]["versions"] | section["device"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("cupy", "numba", "torch"))
    return f"{device['name']}, driver {device['driver_version']}, float32; {libraries}."


def gpu_steps():
    """A training step of both columns beside PyTorch's."""
    cupy, numba, peers = map(_layers, ("steps on cupy", "steps on numba_cuda", "peers"))
    rows = []
    for layer, found in cupy.items():
        ours = found["median_seconds"]["minisca"]
        other = numba.get(layer, {}).get("median_seconds", {}).get("minisca")
        theirs = [peers.get(layer, {}).get("median_seconds", {}).get(name) for name in PEERS]
        rows.append([layer, *map(shown, (ours, other, *theirs))])
    header = ["training step, 100 images", "`cupy`", "`numba_cuda`", *PEERS.values()]
    return Table(header, rows)


def gpu_phases(backend):
    """The operations of a step, each called again and again by itself."""
    rows = []
    for layer, found in _layers(f"steps on {backend}").items():
        rows.append([layer, *(shown(median(found["phase_seconds"][name])) for name in PHASES)])
    return Table([f"`{backend}`", *PHASES], rows)


def gpu_kernels():
    """Every kernel of a step, as the profiler saw it."""
    rows = []
    for layer, found in _layers("kernels on cupy").items():
        for kernel in found["kernels"]:
            blocks, threads = (math.prod(kernel[name]) for name in ("grid", "block"))
            row = [layer, f"`{kernel['name']}`", f"{blocks:,} × {threads}"]
            row += [shown(kernel["seconds"]), millions(kernel["instructions"])]
            row += [millions(kernel["dram_bytes"]), kernel["registers"]]
            row += [f"{kernel['shared_bytes'] / 1e3:.1f}"]
            row += [f"{kernel[f'{of}_percent']:.0f} %" for of in ("sm", "memory", "warps")]
            rows.append(row)
            layer = ""
    header = ["layer", "kernel", "blocks × threads", "time", "10⁶ instructions", "MB of memory"]
    header += ["registers", "shared, KB", "processors", "memory", "warps"]
    return Table(header, [[*map(str, row)] for row in rows])


def millions(number):
    return f"{number / 1e6:.3g}" if number < 1e9 else f"{number / 1e6:,.0f}"


def shown(seconds):
    if seconds is None:
        return NONE
    return f"{1e6 * seconds:.3g} µs" if seconds < 1e-3 else f"{1e3 * seconds:.3g} ms"
