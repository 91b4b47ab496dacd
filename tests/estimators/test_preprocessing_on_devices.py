"""Contrast, whitening and clustering where a backend computes: the CPU's, up to rounding."""

import numpy as np
import pytest

from minisca.backends import get_backend
from minisca.baselines import TriangleKMeans, kmeans
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.backends import DEVICES
from tests.support.layers import images

over_devices = pytest.mark.parametrize("device", DEVICES)


def few():
    return images(n=9, channels=2, height=3, width=3)


@over_devices
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_contrast_is_normalised_there(device, dtype):
    x = np.clip(60 * few() + 90, 0, 255).astype(dtype)
    right, backend = contrast_normalise(x), get_backend(device)
    found = contrast_normalise(x, backend=device)
    np.testing.assert_allclose(found, right, atol=1e-6)
    assert found.dtype == np.float32
    there = contrast_normalise(backend.to_device(x), backend=device, to="device")
    assert backend.holds(there)
    np.testing.assert_array_equal(backend.to_host(there), found)


@over_devices
def test_images_are_whitened_there(device):
    x, backend = few(), get_backend(device)
    here, there = ZCA().fit(x), ZCA(backend=device).fit(backend.to_device(x))
    for name in ("mean_", "eigenvalues_", "whitening_", "dewhitening_"):
        found, right = getattr(there, name), getattr(here, name)
        np.testing.assert_allclose(found, right, rtol=1e-6, atol=1e-12, err_msg=name)
    right = here.transform(x)
    np.testing.assert_allclose(there.transform(x), right, atol=1e-5)
    whitened = there.transform(backend.to_device(x), to="device")
    assert backend.holds(whitened)
    np.testing.assert_array_equal(backend.to_host(whitened), there.transform(x))
    np.testing.assert_allclose(there.inverse_transform(whitened), x, atol=1e-5)


@over_devices
def test_points_are_clustered_there(device):
    points = images(n=30, height=3, width=3).reshape(30, 9)
    (found, costs), (right, right_costs) = (
        kmeans(points, 4, 2, random_state=0, backend=name) for name in (device, "cpu")
    )
    np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(costs, right_costs, rtol=1e-5)
    options = {"patch_width": 2, "n_iterations": 1, "n_patches": 12, "verbose": False}
    there, here = (
        TriangleKMeans(3, random_state=0, backend=name, **options).fit(few())
        for name in (device, "cpu")
    )
    np.testing.assert_allclose(there.centres_, here.centres_, rtol=1e-4, atol=1e-5)


@over_devices
def test_bad_images_there_are_named(device):
    x = few()
    x[4, 1, 2, 0] = np.inf
    there = get_backend(device).to_device(x)
    for call in (lambda of: contrast_normalise(of, backend=device), ZCA(backend=device).fit):
        with pytest.raises(ValueError, match="X has the value inf in image 4"):
            call(there)
    with pytest.raises(TypeError, match=r"X is a .* of a device .* backend='cpu'"):
        contrast_normalise(there)
    with pytest.raises(ValueError, match="backend is 'gpu'; it must be one of"):
        ZCA(backend="gpu").fit(few())
