"""From the text of a kernel to a function of this process: compiled once, kept, loaded.

The libraries are kept in a folder of the system's temporary directory, under names that are a hash
of all that they were made from, so a second run of the tests compiles nothing.
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .rewrite import CompileError, entries, rewrite_shared

#: What judges the accesses: "thread", every one of them announced to the runtime, or "address",
#: AddressSanitizer, whose library the process must have been started with.
SANITIZER = os.environ.get("CUDA_EMULATOR_SANITIZER", "thread")

COMPILER = shutil.which("g++") if sys.platform == "linux" else None
_HERE = Path(__file__).parent
_SHIM, _RUNTIME = _HERE / "shim", _HERE / "runtime"

_COMMON = ("-x", "c++", "-fPIC", "-gdwarf-4", "-fvisibility=hidden", "-U_FORTIFY_SOURCE")
_KERNEL_FLAGS = (
    *("-std=c++17", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-Wno-unknown-pragmas"),
    *("-Werror=uninitialized", "-Werror=return-type"),
    # Fibers have 256 KiB of stack and no guard below it.
    "-Werror=frame-larger-than=131072",
    # Every load and store is announced to the runtime (accesses.cpp) or to AddressSanitizer ...
    f"-fsanitize={SANITIZER}",
    # ... and what the standard leaves undefined to the runtime (undefined.cpp).
    *("-fsanitize=undefined,float-cast-overflow,bounds-strict", "-fno-sanitize=vptr"),
    "-fno-sanitize-recover=all",
)


def build_kernels(code, options):
    """The library of all kernels in the text, loaded, and its path.

    For every `extern "C"` kernel k it has k_entry, k_signature and k_launch_bound (parameters.h).
    """
    if COMPILER is None:
        raise CompileError("the emulator of CUDA kernels needs the compiler g++ on Linux")
    unknown = [option for option in options if not re.fullmatch(r"-D.+|-std=c\+\+17", option)]
    if unknown:
        raise CompileError(f"options that the emulator does not know: {unknown}")
    runtime()
    text = rewrite_shared(_preprocess(code, options))
    text += "\n" + "\n".join(entries(text))
    flags = (*_COMMON, *_KERNEL_FLAGS, "-include", str(_header()))
    path = _compiled("kernels", text, flags, sorted(_SHIM.glob("*.h")))
    return ctypes.PyDLL(str(path)), path


@functools.cache
def _header():
    """The path of a cuda.h beside which it lies parsed: that takes as long as most kernels do."""
    recipe = hashlib.sha256(repr((_compiler_version(), _COMMON, _KERNEL_FLAGS)).encode())
    for file in sorted(_SHIM.glob("*.h")):
        recipe.update(hashlib.sha256(file.read_bytes()).digest())
    folder = _cache() / f"headers-{recipe.hexdigest()[:32]}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=_cache()) as temporary:
            made = f"{temporary}/headers"
            shutil.copytree(_SHIM, made)
            flags = ("-x", "c++-header", *_COMMON[2:], *_KERNEL_FLAGS, "-w")
            _run([COMPILER, *flags, "-o", f"{made}/cuda.h.gch", f"{made}/cuda.h"], "")
            try:
                os.rename(made, folder)
            except OSError:
                if not folder.exists():  # no other process was first
                    raise
    return folder / "cuda.h"


@functools.cache
def runtime():
    """The runtime's library: fibers, meeting points, memory checks. Kernels link against it."""
    sources = sorted(_RUNTIME.glob("*.cpp"))
    text = "".join(f'#include "{source}"\n' for source in sources)
    flags = (*_COMMON, "-O2", "-std=c++17", "-fvisibility=default", "-fno-semantic-interposition")
    if SANITIZER == "address":
        flags += ("-DEMULATOR_ADDRESS_SANITIZER",)
    path = _compiled("runtime", text, flags, [*sources, *sorted(_RUNTIME.glob("*.h"))])
    library = ctypes.PyDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    library.emulator_upload.restype = ctypes.c_uint64
    return library


def place_of(path, address):
    """The "file:line" of the kernel's text that the instruction came from, as far as is known."""
    tool = shutil.which("addr2line")
    if tool is None:
        return "line unknown without addr2line"
    command = [tool, "-i", "-e", str(path), hex(address)]
    frames = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    places = [Path(frame.split(" ")[0]).name for frame in frames]
    headers = {file.name for file in _SHIM.glob("*.h")}
    places = [place for place in places if place.split(":")[0] not in headers]
    return places[0] if places else "line unknown"


def _preprocess(code, options):
    """Macros and includes resolved as NVRTC would: none of the host's, none of the shim's."""
    command = [COMPILER, "-E", "-x", "c++", "-std=c++17", "-undef", "-nostdinc", *options]
    command += ["-D__CUDACC__", "-D__CUDA_ARCH__=900", "-DCUDA_EMULATOR", "-"]
    return _run(command, f'#line 1 "kernel.cu"\n{code}')


def _compiled(name, text, flags, ingredients):
    """The path of the shared library made of `text`; `ingredients` are the files it includes."""
    recipe = hashlib.sha256(_compiler_version().encode())
    for part in (text, *map(str, flags), *(file.read_text() for file in ingredients)):
        recipe.update(hashlib.sha256(part.encode()).digest())
    path = _cache() / f"{name}-{recipe.hexdigest()[:32]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=_cache()) as folder:
            unit, library = f"{folder}/unit.o", f"{folder}/library.so"
            _run([COMPILER, *flags, "-c", "-o", unit, "-"], text)
            # Linked apart: with -fsanitize the compiler would link its own runtimes.
            _run([COMPILER, "-shared", "-o", library, unit], "")
            os.replace(library, path)
    return path


@functools.cache
def _cache():
    path = Path(tempfile.gettempdir()) / f"minisca-cuda-emulator-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to somebody else: set TMPDIR to another folder")
    return path


@functools.cache
def _compiler_version():
    return _run([COMPILER, "--version"], "")


def _run(command, text):
    english = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=english)
    if done.returncode != 0:
        raise CompileError(f"{done.stderr.strip()}\n(from {' '.join(map(str, command))})")
    return done.stdout
