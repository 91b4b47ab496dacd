"""The cases as computed by machines of each width of vectors, whatever this machine is.

Numba's switches name the machine that code is compiled for: a level of x86-64 and what it has
beyond the level before. The vectors of NumPy and the kernels of OpenBLAS are those that every
x86-64 has.
"""

import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

HERE = Path(__file__).parent
DIGESTS, VALUES = HERE / "digests.json", HERE / "values.npz"
_V2 = "64bit,cmov,cx8,fxsr,mmx,sse,sse2,cx16,sahf,popcnt,crc32,sse3,ssse3,sse4.1,sse4.2"
_V3 = f"{_V2},avx,avx2,bmi,bmi2,f16c,fma,lzcnt,movbe,xsave"
_V4 = f"{_V3},avx512f,avx512bw,avx512cd,avx512dq,avx512vl"
#: {bytes in a vector: (LLVM's name of the level, what it has)}
LEVELS = {"64": ("x86-64-v4", _V4), "32": ("x86-64-v3", _V3), "16": ("x86-64-v2", _V2)}
SAME_EVERYWHERE = {
    "MINISCA_CONVOLUTION": "auto",
    "OPENBLAS_CORETYPE": "Prescott",
    # By the names of NumPy 2.4, and of those before.
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F AVX512_SKX",
    "OMP_WAIT_POLICY": "passive",  # threads that spin while they wait take three times as long
    "OPENBLAS_THREAD_TIMEOUT": "4",
}


def obstacle(width):
    """Why this machine cannot compute as one of that width; None if it can."""
    if not llvm.get_process_triple().startswith("x86_64"):
        return f"{width} bytes: {LEVELS[width][0]} code does not run on {llvm.get_process_triple()}"
    features = llvm.get_host_cpu_features()
    lacking = [name for name in LEVELS[width][1].split(",") if not features.get(name)]
    return f"{width} bytes: this machine lacks {', '.join(lacking)}" if lacking else None


def environment(width):
    """Variables of a process that computes as a machine of that width."""
    level, features = LEVELS[width]
    # Left to itself, LLVM would take half of level 4's vectors for the loops that it vectorises.
    features = f"+{features.replace(',', ',+')},-prefer-256-bit"
    switches = SAME_EVERYWHERE | {"NUMBA_CPU_NAME": level, "NUMBA_CPU_FEATURES": features}
    path = [str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    switches["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    return os.environ | switches


@functools.cache
def compute(width, *dtypes):
    """(digests, values), each {case: {name of array: digest or array}}; of all dtypes or some."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "arrays.npz"
        command = [sys.executable, "-m", "tests.golden.cases", str(file), *dtypes]
        run = subprocess.run(command, env=environment(width), capture_output=True, text=True)
        assert run.returncode == 0, f"{width} bytes: {run.stderr}"
        found = {"digested": {}, "valued": {}}
        for (kind, case, name), array in read_arrays(file):
            array = digest(array) if kind == "digested" else array
            found[kind].setdefault(case, {})[name] = array
    return found["digested"], found["valued"]


def digest(array):
    """16 hexadecimal digits that stand for the array's dtype, shape and bits."""
    what = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(what + array.tobytes()).hexdigest()[:16]


def read_digests():
    return json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}


def read_values():
    """{width: {case: {name of array: array}}}"""
    values = {}
    for (width, case, name), array in read_arrays(VALUES) if VALUES.exists() else ():
        values.setdefault(width, {}).setdefault(case, {})[name] = array
    return values


def read_arrays(file):
    with np.load(file, allow_pickle=False) as arrays:
        return [(tuple(key.split("|")), array) for key, array in arrays.items()]
