"""Every kernel of a training step as NVIDIA's profiler, Nsight Compute, sees it."""

import csv
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench.children import script_environment
from bench.one_step import MARK
from common.records import print_rows

#: {name in the record: the profiler's metrics, which are added up}
METRICS = {
    "seconds": ["gpu__time_duration.sum"],
    "registers": ["launch__registers_per_thread"],
    "shared_bytes": [f"launch__shared_mem_per_block_{of}" for of in ("static", "dynamic")],
    "instructions": ["smsp__inst_executed.sum"],
    "dram_bytes": ["dram__bytes_read.sum", "dram__bytes_write.sum"],
    "sm_percent": ["sm__throughput.avg.pct_of_peak_sustained_elapsed"],
    "memory_percent": ["gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed"],
    "fma_percent": ["sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained_active"],
    "tensor_percent": ["sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active"],
    "warps_percent": ["sm__warps_active.avg.pct_of_peak_sustained_active"],
}
#: How the units of a metric begin, and what they are of the plain one.
FACTORS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
#: Seconds that the profiler gets at least before it is given up.
PATIENCE = 30


def measure_kernels(bench, machine):
    """Of every layer its step's kernels, in their order: grid, block and `METRICS`."""
    profiler = shutil.which("ncu")
    if profiler is None:
        raise RuntimeError("there is no Nsight Compute here (ncu)")
    layers = bench.layers()
    with tempfile.TemporaryDirectory(prefix="minisca-kernels-") as folder:
        log, images = (Path(folder) / name for name in ("log", "images.npz"))
        np.savez(images, **{layer.name: bench.images(layer) for layer in layers})
        task = {"backend": machine.name, "tiny": bench.tiny, "images": str(images)}
        command = [profiler, "--profile-from-start", "off", "--clock-control", "none"]
        command += ["--metrics", ",".join(itertools.chain(*METRICS.values()))]
        command += ["--page", "raw", "--csv", "--log-file", log]
        command += [sys.executable, "-m", "bench.one_step", json.dumps(task)]
        done = subprocess.run(
            [*map(str, command)],
            env=script_environment(),
            capture_output=True,
            text=True,
            timeout=max(PATIENCE, bench.clock.seconds_left()),
        )
        told = log.read_text() if log.exists() else ""
    kernels = by_layer(read_profile(told.splitlines()))
    names = [layer.name for layer in layers]
    if done.returncode or len(kernels) != len(names):
        said = (told + done.stdout + done.stderr).strip()[-2000:]
        raise RuntimeError(f"the profiler saw {len(kernels)} of {len(names)} layers: {said}")
    pairs = zip(names, kernels, strict=True)
    return {"layers": [{"layer": name, "kernels": found} for name, found in pairs]}


def by_layer(kernels):
    """The kernels of every layer, by the marks before them."""
    found = []
    for kernel in kernels:
        if MARK in kernel["name"]:
            found.append([])
        else:
            found[-1].append(kernel)
    return found


def read_profile(lines):
    """The kernels of the profiler's table, which follows what else it says."""
    start = next((n for n, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        return []
    names, units, *rows = csv.reader(lines[start:])
    units = dict(zip(names, units, strict=True))
    return [_kernel(dict(zip(names, row, strict=True)), units) for row in rows]


def _kernel(row, units):
    kernel = {"name": row["Kernel Name"].partition("(")[0]}
    for name in ("grid", "block"):
        kernel[name] = [int(n) for n in row[f"{name.title()} Size"].strip("()").split(",")]
    for name, metrics in METRICS.items():
        kernel[name] = sum(_number(row[metric], units[metric]) for metric in metrics)
        if not name.endswith(("seconds", "percent")):
            kernel[name] = round(kernel[name])
    return kernel


def _number(text, unit):
    factor = next((FACTORS[key] for key in FACTORS if unit.startswith(key)), 1)
    return float(text.replace(",", "")) * factor


def report_kernels(result):
    for layer in result["layers"]:
        rows = []
        for kernel in layer["kernels"]:
            row = {"kernel": kernel["name"], "grid": kernel["grid"], "block": kernel["block"]}
            row["µs"] = f"{1e6 * kernel['seconds']:.1f}"
            row["registers"] = kernel["registers"]
            for name in ("sm", "memory", "warps"):
                row[f"{name}, %"] = f"{kernel[f'{name}_percent']:.0f}"
            rows.append(row)
        spent = sum(kernel["seconds"] for kernel in layer["kernels"])
        print(f"{layer['layer']}: {1e6 * spent:.0f} µs in kernels")
        print_rows(rows)
        print()
