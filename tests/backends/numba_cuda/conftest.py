"""Compiling for a device that is not there."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def pretend(monkeypatch):
    """pretend(capability): let Numba find a device of that compute capability."""

    def pretend(capability):
        device = SimpleNamespace(compute_capability=capability)
        monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)

    return pretend
