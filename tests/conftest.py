"""Fixtures: the backends under test, each test's id saying which one it ran on."""

import pytest

import reference
from minisca.backends import get_backend

BACKENDS = ["cpu"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    """A backend's module, with every operation in it."""
    return get_backend(request.param)


@pytest.fixture(params=["reference", *BACKENDS])
def operations(request):
    """The reference, then every backend: for claims that hold for the definition as well."""
    return reference if request.param == "reference" else get_backend(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param
