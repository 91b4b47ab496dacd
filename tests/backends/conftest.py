"""Every backend of a device that runs here, and the ways for images to get there."""

import pytest

from minisca.training import batches
from tests.support.backends import DEVICES


@pytest.fixture(params=DEVICES)
def device(request):
    """The name of a backend that has a device."""
    return request.param


@pytest.fixture(params=["all at once", "batch by batch"])
def arrival(request, monkeypatch):
    """How the images come to the device."""
    monkeypatch.setattr(batches, "SHARE", 0.5 if request.param == "all at once" else 0)
