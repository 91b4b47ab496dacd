"""What the compiler and the assembler say of a CUDA C++ kernel: registers, shared memory, spills.

Needs CuPy with NVRTC, but no device.
"""

import re
from typing import NamedTuple

from minisca.backends.cupy.runtime import launching

_REPORT = re.compile(
    r"entry function '(?P<name>\w+)'.*?(?P<spilled>\d+) bytes spill stores"
    r".*?Used (?P<registers>\d+) registers(?P<more>[^\n]*)",
    re.DOTALL,
)


class Kernel(NamedTuple):
    """Of one kernel: registers a thread, bytes of static shared memory a block, bytes spilled."""

    name: str
    registers: int
    shared_bytes: int
    spilled: int


def import_nvrtc():
    """CuPy's wrapper of NVRTC. Raises ImportError without CuPy or without NVRTC's library."""
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except RuntimeError as error:
        raise ImportError(f"CuPy finds no NVRTC: {error}") from error
    return nvrtc


def compile_kernels(file, options, architecture):
    """The `Kernel`s of kernels/`file` as machine code of sm_`architecture` (90 is 9.0).

    options: as `launching.options` gives them; CuPy's RawKernel adds -ftz=true, and so does this.
    Raises RuntimeError with NVRTC's log where it refuses the text.
    """
    nvrtc = import_nvrtc()
    program = nvrtc.createProgram(launching.source(file), file, (), ())
    report = ("--ptxas-options", "--verbose", "--no-cache")
    target = f"--gpu-architecture=sm_{architecture}"
    try:
        nvrtc.compileProgram(program, (*options, "-ftz=true", target, *report))
    except nvrtc.NVRTCError as error:
        raise RuntimeError(nvrtc.getProgramLog(program)) from error
    if not nvrtc.getCUBIN(program):
        raise RuntimeError(f"no machine code of {file} for sm_{architecture}")
    return [_kernel(match) for match in _REPORT.finditer(nvrtc.getProgramLog(program))]


def _kernel(match):
    shared = re.search(r"(\d+) bytes smem", match["more"])
    return Kernel(
        match["name"],
        int(match["registers"]),
        int(shared[1]) if shared else 0,
        int(match["spilled"]),
    )
