"""What small fits learn and compute is what it was, to the last bit; through BLAS, to 1e-6.

For machines of each width of vectors, whatever this machine is: see `machines`.
"""

import numba
import numpy as np
import pytest

from tests.golden import machines

RTOL = 1e-6  # of an array's largest magnitude


@pytest.fixture(params=machines.LEVELS, ids="{} bytes".format)
def width(request):
    if (reason := machines.obstacle(request.param)) is not None:
        pytest.skip(reason)
    return request.param


def test_the_same_bits(width):
    stored = machines.read_digests()[width]
    report(width, compare(stored, machines.compute(width)[0], lambda a, b: a == b))


def test_the_same_values_through_blas(width):
    stored = machines.read_values()[width]
    report(width, compare(stored, machines.compute(width)[1], close))


def close(expected, found):
    if expected.dtype != found.dtype or expected.shape != found.shape:
        return False
    bound = RTOL * np.abs(expected).max(initial=0)
    return bool(np.all(np.abs(found - expected) <= bound))


def compare(stored, found, same):
    """What is other than stored, as [(case, name of array, what)]."""
    differing = []
    for case in stored | found:
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
