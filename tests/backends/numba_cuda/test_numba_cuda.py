"""The Numba CUDA backend without a device: the suite in Numba's simulator, and clear refusals.

The simulator is chosen before Numba is imported, so it has a process of its own. Only the smaller
cases run there (`simulated_device` says which): it is thousands of times slower than a device.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minisca.backends import get_backend
from tests.support.backends import FOUND

TESTS = Path(__file__).resolve().parents[2]
SUITE = (
    *("test_against_reference.py", "test_gradients.py", "test_ties.py", "test_identities.py"),
    *("test_contract.py", "test_boundary.py", "test_slots.py"),
    *("backends/numba_cuda/test_numba_cuda_device.py", "backends/test_devices.py"),
    *("backends/test_device_transfers.py", "backends/test_sums.py"),
    *("backends/test_travelling.py", "backends/test_features_stay.py"),
    "scripts/test_bench_device.py",
    *("classifiers/test_on_devices.py", "classifiers/test_placed_lbfgs.py"),
    "estimators/test_preprocessing_on_devices.py",
)

simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def run(*command, **environment):
    """The finished process of a Python command, in the tests' folder, with this import path."""
    path = os.pathsep.join([str(TESTS.parent), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *command],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.skipif(simulated, reason="this is the simulator's own process")
def test_the_suite_passes_in_the_simulator(record_property):
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")
    child = run(
        *("-m", "pytest", "-q", "-p", "tests.support.simulated_device", "-p", "no:cacheprovider"),
        *("-k", "numba_cuda-simulated or test_numba_cuda_device"),
        *(str(TESTS / name) for name in SUITE),
        NUMBA_ENABLE_CUDASIM="1",
    )
    summary = child.stdout.strip().splitlines()[-1]
    print(f"\nin the simulator: {summary}")
    counts = {what: int(n) for n, what in re.findall(r"(\d+) (\w+)", summary)}
    for what in ("passed", "failed", "skipped", "deselected"):
        record_property(what, counts.get(what, 0))
    assert child.returncode == 0, child.stdout + child.stderr
    assert counts["passed"] >= 300, summary
    assert not counts.keys() & {"failed", "error", "errors", "skipped"}, summary


def test_without_numba_cuda_the_import_says_what_to_install():
    child = run(
        "-c",
        "import sys; sys.modules['numba_cuda'] = None\n"
        "from minisca.backends import available_backends, get_backend\n"
        "print(available_backends())\n"
        "get_backend('numba_cuda')",
    )
    assert "'cpu'" in child.stdout
    assert "numba_cuda" not in child.stdout
    assert "ImportError" in child.stderr
    assert "pip install minisca[numba-cuda]" in child.stderr


def test_a_numpy_that_numba_cuda_cannot_compile_with_is_named_at_the_opening():
    """What NumPy 2.5 no longer has, taken from another one."""
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")
    child = run(
        "-c",
        "import numpy\n"
        "vars(numpy).pop('row_stack', None)\n"
        "from minisca import backends\n"
        "backends.has_driver = lambda: True\n"
        "print(backends.available_backends())\n"
        "backends.get_backend('numba_cuda')",
    )
    assert "'cpu'" in child.stdout
    assert "numba_cuda" not in child.stdout
    assert "ImportError" in child.stderr
    assert f"NumPy {np.__version__}" in child.stderr
    assert "pip install minisca[numba-cuda]" in child.stderr


def test_a_kernel_that_cannot_be_compiled_is_not_said_to_be_launched():
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")
    from minisca.backends.numba_cuda.runtime import launching

    class Kernel:
        __name__ = "_kernel"

        def specialize(self, *args):
            return self

        compiles = False

        def __getitem__(self, configuration):
            raise AttributeError("module 'numpy' has no attribute 'row_stack'")

        def typeof_pyval(self, value):
            return type(value)

        def compile(self, types):
            assert types == (int, float)
            if not self.compiles:
                raise AttributeError("no row_stack")

    kernel = Kernel()
    with pytest.raises(RuntimeError, match=r"_kernel cannot be compiled: no row_stack$"):
        launching.launch(kernel, 9, 5, 1, 2.0)
    kernel.compiles = True
    with pytest.raises(RuntimeError, match="_kernel failed on 9 blocks of 5 threads"):
        launching.launch(kernel, 9, 5, 1, 2.0)


def test_without_a_device_using_the_backend_says_so():
    pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")
    if "numba_cuda" in FOUND:
        pytest.skip("there is a CUDA device")
    with pytest.raises(RuntimeError, match=r"'numba_cuda' found no CUDA device.*'cpu' runs"):
        get_backend("numba_cuda")
    from minisca.backends import numba_cuda

    with pytest.raises(RuntimeError, match="found no CUDA device"):
        numba_cuda.relu(np.zeros((1, 1, 2, 2), np.float32))
