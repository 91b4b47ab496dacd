"""What a run of the benchmark is of: how often, how large, on which threads, with which peer."""

import os
import time
from contextlib import nullcontext
from functools import cached_property

import numba
import numpy as np
from bench.device import Clock, noting
from bench.layers import LAYERS, Step, load_digits, make_images, make_parameters
from bench.peer import import_torch
from common.records import environment, version

from minisca.backends import get_backend


class Bench:
    """What the sections share."""

    def __init__(self, arguments):
        self.repetitions = arguments.repetitions
        self.tiny = arguments.quick
        self.data_dir = arguments.data_dir
        get_backend("cpu")  # before Numba starts its threads: it says how they wait
        self.threads = numba.get_num_threads()
        self.torch = None if arguments.no_peer else import_torch(self.threads)
        self.torch_device = "cpu"
        self.clock = Clock(arguments.minutes)
        #: Of a device's run {what: why it was not measured}; None where an error ends the run.
        self.failed = {} if arguments.is_device_run else None
        self.section = ""
        #: What the best step in PyTorch is made of, by layer and precision.
        self.best_made_of = {}
        self._images, self._parameters = {}, {}
        #: What a section calls with what it has so far: a device's run may end before it does.
        self.keep = lambda found: None

    def images(self, layer):
        """The same at every call."""
        if layer not in self._images:
            self._images[layer] = make_images(layer, self.digits)
        return self._images[layer]

    def parameters(self, layer):
        """The same at every call."""
        if layer not in self._parameters:
            self._parameters[layer] = make_parameters(layer)
        return self._parameters[layer]

    def each_layer(self, machine, measure):
        """{"layers": what measure(layer, its step) returned of each}.

        In a device's run what fails, or is not begun in time, is noted.
        """
        found, is_device_run = [], self.failed is not None
        for layer in self.layers():
            name, start = f"{self.section}, {layer.name}", time.monotonic()
            with noting(self.failed, name) if is_device_run else nullcontext():
                if is_device_run:
                    self.clock.check()
                step = Step(machine.backend, self.images(layer), self.parameters(layer))
                found.append(measure(layer, step))
                self.keep({"layers": found})
                if is_device_run:
                    print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
        if not found:
            raise RuntimeError("no layer could be measured")
        return {"layers": found}

    @cached_property
    def digits(self):
        return load_digits(self.data_dir)

    def layers(self, names=None):
        found = [layer for layer in LAYERS if names is None or layer.name in names]
        return [layer.tiny() if self.tiny else layer for layer in found]

    def environment(self):
        """`records.environment` with threads, BLAS, the peer and the digits."""
        found = environment()
        found["versions"]["torch"] = None if self.torch is None else version("torch")
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        found["versions"]["blas"] = f"{blas['name']} {blas['version']}"
        limits = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
        found["threads"] = {
            "numba": self.threads,
            "blas": _blas_threads(),
            "torch": None if self.torch is None else self.torch.get_num_threads(),
            "environment": {name: os.environ[name] for name in limits if name in os.environ},
        }
        found |= {"digits": self.digits.name, "repetitions": self.repetitions}
        return found | {"scale": "tiny" if self.tiny else "full"}


def _blas_threads():
    """Threads of NumPy's BLAS, None where threadpoolctl is not there to tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    return max((pool["num_threads"] for pool in pools), default=None)


def print_environment(found):
    machine, versions, threads = found["machine"], found["versions"], found["threads"]
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB")
    print(", ".join(f"{name} {number}" for name, number in versions.items() if number))
    print(f"{threads['numba']} threads; digits: {found['digits']}")
    if threads["blas"] not in (None, threads["numba"]):
        print(
            f"BLAS, the measure of the peak, runs on {threads['blas']}: for figures that compare, "
            "set NUMBA_NUM_THREADS and OPENBLAS_NUM_THREADS alike"
        )
    if versions["torch"] is None:
        print("No PyTorch, no peer's column (pip install torch)")
