"""What the compiler says of a CUDA C++ kernel, and its machine code.

Needs CuPy with NVRTC, but no device; the machine code needs NVIDIA's disassembler as well.
"""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

_REPORT = re.compile(
    r"entry function '(?P<name>\w+)'.*?(?P<spilled>\d+) bytes spill stores"
    r".*?Used (?P<registers>\d+) registers(?P<more>[^\n]*)",
    re.DOTALL,
)
INSTALL = "pip install nvidia-cuda-nvdisasm"


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


def check_compiler():
    """Raise ImportError where the compiler or the disassembler is missing."""
    import_nvrtc()
    find_disassembler()


def compile_text(text, options, architecture, name="kernels.cu"):
    """The `Kernel`s of a text and its machine code (bytes) for sm_`architecture` (90 is 9.0).

    options: as `launching.options` gives them; CuPy's RawKernel adds -ftz=true, and so does this.
    Raises RuntimeError with NVRTC's log where it refuses the text.
    """
    nvrtc = import_nvrtc()
    program = nvrtc.createProgram(text, name, (), ())
    report = ("--ptxas-options", "--verbose", "--no-cache")
    target = f"--gpu-architecture=sm_{architecture}"
    try:
        nvrtc.compileProgram(program, (*options, "-ftz=true", target, *report))
    except nvrtc.NVRTCError as error:
        raise RuntimeError(nvrtc.getProgramLog(program)) from error
    code = nvrtc.getCUBIN(program)
    if not code:
        raise RuntimeError(f"no machine code of {name} for sm_{architecture}")
    return [_kernel(match) for match in _REPORT.finditer(nvrtc.getProgramLog(program))], code


def _kernel(match):
    shared = re.search(r"(\d+) bytes smem", match["more"])
    return Kernel(
        match["name"],
        int(match["registers"]),
        int(shared[1]) if shared else 0,
        int(match["spilled"]),
    )


# Machine code ---------------------------------------------------------------------------------


class Instruction(NamedTuple):
    """`name` with its modifiers ("LDS.128"); `target`, where it jumps to, an index, or None."""

    name: str
    target: int | None


def disassemble(code):
    """{kernel: its `Instruction`s} of machine code. Raises ImportError without the disassembler."""
    tool = find_disassembler()
    with tempfile.TemporaryDirectory(prefix="minisca-machine-code-") as folder:
        path = Path(folder) / "kernels.cubin"
        path.write_bytes(code + b"\0")  # CuPy takes the last byte off, which the tool misses
        done = subprocess.run([tool, "-c", path], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nvdisasm failed: {done.stderr.strip()}")
    return {
        name: _instructions(body)
        for name, body in re.findall(
            r"^\.text\.(\w+):\n(.*?)(?=^//-----|\Z)", done.stdout, re.DOTALL | re.MULTILINE
        )
    }


def find_disassembler():
    """The program nvdisasm: of its package, or of an installed toolkit."""
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations if spec else ():
        for path in Path(folder).glob("cu*/bin/nvdisasm*"):
            return str(path)
    found = shutil.which("nvdisasm")
    if found is None:
        raise ImportError(f"NVIDIA's disassembler is not installed: {INSTALL}")
    return found


def _instructions(body):
    labels, found = {}, []
    for line in body.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(found)
        elif code := re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?\s*([A-Z][\w.]*)(.*);", line):
            jump = re.search(r"`\((\.L_x_\d+)\)", code[2]) if code[1].startswith("BRA") else None
            found.append((code[1], jump and jump[1]))
    return [Instruction(name, labels.get(label)) for name, label in found]


def inner_loop(instructions):
    """The instructions of the busiest inner loop; nothing where no jump goes back.

    An inner loop is one with products in which no other loop has any, the busiest the one with most
    of them; loops that compute in double, as losses are summed, come last. Where no loop has
    products, it is the longest that has no loop within.
    """
    loops = [
        (instruction.target, end + 1)
        for end, instruction in enumerate(instructions)
        # one that jumps to itself alone is where a thread waits after its end
        if instruction.target is not None and instruction.target < end
    ]

    def products(loop):
        found = counts(instructions[slice(*loop)])
        return sum(weight * found[name] for name, weight in PRODUCTS.items())

    def in_double(loop):
        return counts(instructions[slice(*loop)])["DFMA"] > 0

    loops = [loop for loop in loops if products(loop)] or loops
    loops = [loop for loop in loops if not in_double(loop)] or loops

    def is_innermost(loop):
        start, end = loop
        return not any(start <= s and e <= end and (s, e) != loop for s, e in loops)

    innermost = filter(is_innermost, loops)
    busiest = max(innermost, key=lambda loop: (products(loop), loop[1] - loop[0]), default=(0, 0))
    return instructions[slice(*busiest)]


#: What is counted: {column: names of instructions}.
KINDS = {
    "FFMA": r"FFMA|FMUL",
    "DFMA": r"DFMA|DMUL",
    "HMMA": r"HMMA",
    "shared, 16 bytes": r"LDS(\.\w+)*\.128|LDSM",
    "shared, less": r"LDS",
    "stored to shared": r"STS",
    "global, 16 bytes": r"LDG(\.\w+)*\.128|LDGSTS(\.\w+)*\.128",
    "global, less": r"LDG|LDGSTS",
    "stored to global": r"STG",
    "local": r"LDL|STL",
}
#: Products by FFMA of 32 threads that an instruction stands for.
PRODUCTS = {"FFMA": 1, "DFMA": 1, "HMMA": 64}


def counts(instructions):
    """{kind: how many}, "all" and "other" among them."""
    found = dict.fromkeys([*KINDS, "other"], 0)
    for instruction in instructions:
        kind = next((k for k, form in KINDS.items() if re.match(form, instruction.name)), "other")
        found[kind] += 1
    return {"all": len(instructions)} | found
