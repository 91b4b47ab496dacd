"""Small kernels that try the emulator out: what it computes (examples.cu), what it reports."""

import functools
import re
from pathlib import Path
from typing import NamedTuple

from .launch import RawKernel

_FOLDER = Path(__file__).parent
_LINE = "__shared__ float line[64]; line[i] = i; __syncthreads();"


@functools.cache
def example(name):
    """The kernel of that name in examples.cu."""
    return RawKernel((_FOLDER / "examples.cu").read_text(), name)


class Fault(NamedTuple):
    """A kernel with a fault: how many blocks it needs, the report, and the lines of its text."""

    blocks: int
    report: str
    lines: range


@functools.cache
def faults():
    """The text of all kernels of faults.cu, and their `Fault`s by name."""
    text, found = "struct __align__(16) Four { float x, y, z, w; };\n", {}
    described = re.sub(r"^////.*\n", "", (_FOLDER / "faults.cu").read_text(), flags=re.MULTILINE)
    pieces = re.split(r"^// (\w+)(?: on (\d) blocks)?: (.+)\n", described, flags=re.MULTILINE)
    for name, blocks, report, body in zip(*(pieces[i::4] for i in (1, 2, 3, 4)), strict=True):
        head = f'extern "C" __global__ void {name}(float* x) {{ extern __shared__ float buffer[];'
        kernel = f"{head} int i = threadIdx.x; {body.strip().replace('LINE', _LINE)} }}\n"
        first = text.count("\n") + 1
        found[name] = Fault(int(blocks or 1), report, range(first, first + kernel.count("\n")))
        text += kernel
    return text, found


@functools.cache
def faulty(name):
    """The kernel of that name in faults.cu."""
    return RawKernel(faults()[0], name)
