"""Kernels under AddressSanitizer, in a process of their own: it must be there from the start.

    python sanitized_kernels.py kernel < text    launches the text's `k(float* x)`, prints x
    python sanitized_kernels.py operations       calls every operation of the CuPy backend and
                                                 prints how many kernels each has launched

in the environment that `run` gives it.
"""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

CASES = (  # n, c, h, w, m, k, and the pooling's width and stride
    (3, 2, 9, 11, 19, 3, 3, 2),  # nothing is a multiple of anything
    (1, 1, 1, 1, 1, 1, 1, 1),
    (2, 3, 7, 10, 5, 13, 9, 2),  # a filter wider than the image, and a window
)


ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def library():
    """The path of AddressSanitizer's library, which belongs to the compiler; None if absent."""
    from tests.support.cuda_emulator import COMPILER

    if COMPILER is None:
        return None
    command = [COMPILER, "-print-file-name=libasan.so"]
    path = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    return path if path.is_file() else None  # an unknown name comes back as it was


def run(*arguments, text=""):
    """This module as a program, under AddressSanitizer; returns the finished process."""
    environment = os.environ | {
        "CUDA_EMULATOR_SANITIZER": "address",
        "LD_PRELOAD": str(library()),
        # Python frees not everything at its end; locals are to stay on the fibers' stacks.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0:exitcode=99",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.run(
        [sys.executable, __file__, *arguments],
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
    )


def launch_kernel():
    from tests.support.cuda_emulator import RawKernel

    x = np.zeros(65, np.float32)
    RawKernel(sys.stdin.read(), "k")((2,), (64,), (x,), shared_mem=65 * x.itemsize)
    print(*x)


def call_operations():
    from minisca.backends import cupy
    from minisca.backends.cupy.runtime import machine
    from tests.support.cases import CALLS, Case, arguments, as_dtype, call
    from tests.support.emulated_device import Emulator, Kernel

    machine.platform = Emulator()

    def report(name, *args):
        Kernel.launches.clear()
        call(cupy, name, args)
        print(name, Kernel.launches.total(), sep=": ")

    for sizes in CASES:
        for name in CALLS:
            report(name, *as_dtype(arguments(name, Case(*sizes)), "float32"))
    images = np.ones((5, 3, 7, 3), np.float32)
    report("gather", images, np.array([4, 0, 4]))
    report("gather", images.astype(np.uint8), np.array([4, 0, 4]))
    report("cast", images.astype(np.uint8), "float16", np.ones(3, np.float32))
    report("residual", images, images, 3)
    values, filters = np.ones((5, 2), np.float32), np.ones((2, 3, 3, 3), np.float32)
    positions, bias = np.full((5, 2), 20, np.int32), np.ones(3, np.float32)
    report("decoded_residual", values, positions, filters, bias, images, 3)
    report("add_up_", cupy.to_device(np.zeros(1)), cupy.to_device(np.ones(5)), 2)
    report("scaled", images, 0.5)
    report("add_", cupy.to_device(images), cupy.to_device(images))
    report("all_finite", images)


if __name__ == "__main__":
    del os.environ["LD_PRELOAD"]  # the compiler needs no sanitizer
    {"kernel": launch_kernel, "operations": call_operations}[sys.argv[1]]()
