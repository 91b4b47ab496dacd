"""Fixtures: the backends under test, each test's id saying which one it ran on; small blocks."""

import os

os.environ["MINISCA_SPARE_CORES"] = (
    "0"  # a test of several threads has them beside busy workers too
)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: two threads each, to have some, and those that wait must not spin.
    for variable, value in (
        ("NUMBA_NUM_THREADS", "2"),
        ("OMP_WAIT_POLICY", "passive"),
        ("OPENBLAS_THREAD_TIMEOUT", "4"),
    ):
        os.environ.setdefault(variable, value)

import numba
import pytest

import reference
from minisca.classifiers import feature_blocks
from tests.support.backends import BACKENDS, on_host


def pytest_configure(config):
    """Files in their own order, among several workers too: else the longest would begin last."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


#: Folders and files of tests of tiny calls, which would spend their time on meeting other threads.
TINY = {"communicators", "estimators", "baselines", "training", "files"}
TINY |= {"test_feature_files.py", "test_gradients.py", "test_softmax_sgd.py"}


@pytest.fixture(autouse=True, scope="module")
def one_thread(request):
    """One thread for modules of tiny calls."""
    before = numba.get_num_threads()
    numba.set_num_threads(before if TINY.isdisjoint(request.path.parts[-2:]) else 1)
    yield
    numba.set_num_threads(before)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """A backend's module, with every operation in it."""
    return on_host(request.param)


@pytest.fixture(params=["reference", *BACKENDS])
def operations(request):
    """The reference, then every backend: for claims that hold for the definition as well."""
    return reference if request.param == "reference" else on_host(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 10 rows of 12 float64 features."""
    monkeypatch.setattr(feature_blocks, "BLOCK_BYTES", 10 * 12 * 8)
