"""Fixtures of the tests of classifiers."""

import pytest

from minisca.classifiers import feature_blocks
from tests.support import interrupted_fits


@pytest.fixture
def small_blocks_in_one_thread(monkeypatch):
    """BLAS in one thread: for products as small as these its threads mostly wait for each other."""
    monkeypatch.setattr(
        feature_blocks, "BLOCK_BYTES", interrupted_fits.ROWS * interrupted_fits.WIDTH * 4
    )
    with pytest.importorskip("threadpoolctl").threadpool_limits(1, "blas"):
        yield


@pytest.fixture
def path(tmp_path):
    return tmp_path / "classifier.npz"
