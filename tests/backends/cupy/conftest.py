"""The emulator in place of a device, and the orders in which it runs kernels."""

import pytest

from minisca.backends.cupy.kernels import survivors
from minisca.backends.cupy.runtime import machine
from tests.support.cuda_emulator import ORDERS, order
from tests.support.emulated_device import Emulator


@pytest.fixture(params=ORDERS)
def in_order(request):
    """The test in one of the orders in which threads and blocks can run."""
    with order(request.param, seed=1):
        yield request.param


@pytest.fixture
def emulator(monkeypatch):
    """A device of its own, with nothing kept from before, and nothing after."""
    monkeypatch.setattr(machine, "platform", Emulator())
    yield
    survivors._one_slot_a_map.cache_clear()
