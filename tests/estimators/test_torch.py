"""A layer that goes to PyTorch computes the same features there."""

import sys

import numpy as np
import pytest

import minisca
from tests.support.layers import images, layer

SETTINGS = {
    "plain": {},
    "bias": {"encoding_bias": 0.3},
    "centred": {"centre": True},
    "contrast": {"encoding_contrast": 0.1, "centre": True},
    "tied": {"tied": True},
    "float64": {"dtype": "float64"},
    "flat": {"flat": True},
    "corner": {"pool_origin": "corner"},
    "wide windows": {"pool_width": 5, "pool_stride": 3},
    "gaps between windows": {"pool_width": 1, "pool_stride": 3},
    "one window": {"pool_width": 9, "pool_stride": 20},
}


def assert_same(features, ours):
    """To 1e-5 of the largest, and 1e-12 in float64."""
    found = features.detach().numpy()
    assert found.dtype == ours.dtype
    assert found.shape == ours.shape
    limit = 1e-5 if ours.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, ours, rtol=0, atol=limit * np.abs(ours).max())


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is missing")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_layer_in_pytorch_makes_the_same_features(torch, settings):
    fitted = layer(**settings).fit(x := images(channels=2, height=9, width=7))
    module = fitted.to_torch()
    assert_same(module(torch.from_numpy(x.astype(fitted.dtype))), fitted.transform(x))


@pytest.mark.parametrize("flat", [False, True])
def test_a_stack_in_pytorch_makes_the_same_features(torch, flat):
    layers = [layer(encoding_bias=0.5), layer(n_maps=6, pool_origin="corner")]
    stack = minisca.Stack(layers, centre="above-first", flat=flat).fit(x := images())
    module = stack.to_torch()
    assert isinstance(module, torch.nn.Sequential)
    assert_same(module(torch.from_numpy(x)), stack.transform(x))


def test_a_module_is_its_own_and_can_be_trained_and_saved(torch, tmp_path):
    fitted = layer(centre=True).fit(x := images())
    before = fitted.encoder_filters_.copy()
    module = fitted.to_torch()
    module(torch.from_numpy(x)).sum().backward()
    with torch.no_grad():
        for each in module.parameters():
            each -= 0.1 * each.grad
    np.testing.assert_array_equal(fitted.encoder_filters_, before)
    assert {"filters", "bias", "centre"} == set(module.state_dict())
    torch.save(module.state_dict(), tmp_path / "layer.pt")
    assert "filters=(4, 1, 3, 3)" in repr(module)


@pytest.mark.usefixtures("torch")
def test_what_cannot_go_to_pytorch_says_why(monkeypatch):
    with pytest.raises(minisca.NotFittedError):
        _ = layer().to_torch()
    with pytest.raises(minisca.NotFittedError):
        _ = minisca.Stack([layer()]).to_torch()
    fitted = layer().fit(images())
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "minisca.torch_module", raising=False)
    with pytest.raises(ImportError, match=r"PyTorch is missing: pip install \"minisca\[torch\]"):
        fitted.to_torch()
