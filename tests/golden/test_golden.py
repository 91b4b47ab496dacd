"""What small fits learn and compute is what it was, to the last bit; through BLAS, to 1e-6.

For machines of each width of vectors, whatever this machine is: see `machines`. For the widest that
it can be, in both dtypes; for the others in float32, as compiling takes most of the time. And on
each of them the operations are right: here vectors of 16 and 32 bytes are held to the reference.
"""

import subprocess
import sys

import numba
import numpy as np
import pytest

from tests.golden import machines

RTOL = 1e-6  # of an array's largest magnitude
WIDEST = next((width for width in machines.LEVELS if machines.obstacle(width) is None), None)
#: Of test_against_reference: two slices of channels, maps that fill no block, a narrow image.
CASE = "2x17x4x7-70x5-pool3/2-normal"


@pytest.fixture(params=machines.LEVELS, ids="{} bytes".format)
def width(request):
    if (reason := machines.obstacle(request.param)) is not None:
        pytest.skip(reason)
    return request.param


def test_the_same_bits(width):
    stored, (found, _) = machines.read_digests()[width], computed(width)
    report(width, compare(stored, found, lambda a, b: a == b, whole=width == WIDEST))


def test_the_same_values_through_blas(width):
    stored, (_, found) = machines.read_values()[width], computed(width)
    report(width, compare(stored, found, close, whole=width == WIDEST))


def computed(width):
    return machines.compute(width, *([] if width == WIDEST else ["float32"]))


def test_operations_are_the_references(width):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not emulated and not gpu", "-k", CASE, "tests/test_against_reference.py"]
    script = "from minisca.backends.cpu.vectors.machine_code import VECTOR_BYTES as n; print(n)"
    for of_child, expected in (([sys.executable, "-c", script], width), (command, "58 passed")):
        run = subprocess.run(
            of_child, env=machines.environment(width), capture_output=True, text=True
        )
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr
        assert expected in run.stdout


def close(expected, found):
    if expected.dtype != found.dtype or expected.shape != found.shape:
        return False
    bound = RTOL * np.abs(expected).max(initial=0)
    return bool(np.all(np.abs(found - expected) <= bound))


def compare(stored, found, same, whole):
    """What is other than stored, [(case, name of array, what)]; if whole, what is missing too."""
    differing = []
    for case in stored | found if whole else found:
        expected, arrays = stored.get(case, {}), found.get(case, {})
        for name in expected | arrays:
            if name not in arrays:
                differing.append((case, name, "is no longer computed"))
            elif name not in expected:
                differing.append((case, name, "has no entry: python -m tests.golden.write adds it"))
            elif not same(expected[name], arrays[name]):
                differing.append((case, name, "differs"))
    return differing


def report(width, differing):
    lines = [
        f"vectors of {width} bytes, case {c!r}, array {n!r}: {what}" for c, n, what in differing
    ]
    used = f"NumPy {np.__version__}, Numba {numba.__version__}; the entries' are in __init__.py"
    assert not lines, "\n".join([f"{len(lines)} arrays are not as they were ({used})", *lines])
