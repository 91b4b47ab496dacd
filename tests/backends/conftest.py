"""Every backend of a device that runs here."""

import pytest

from tests.support.backends import DEVICES


@pytest.fixture(params=DEVICES)
def device(request):
    """The name of a backend that has a device."""
    return request.param
