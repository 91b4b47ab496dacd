"""The orders in which the emulator runs kernels."""

import pytest

from tests.support.cuda_emulator import ORDERS, order


@pytest.fixture(params=ORDERS)
def in_order(request):
    """The test in one of the orders in which threads and blocks can run."""
    with order(request.param, seed=1):
        yield request.param
