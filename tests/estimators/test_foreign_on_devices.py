"""Arrays of the device that another library made are used where they lie, as CuPy's own are."""

import numpy as np
import pytest

import minisca
from minisca.backends import get_backend
from minisca.patches import draw_patches
from tests.support.backends import EMULATED
from tests.support.emulated_device import OthersArray
from tests.support.layers import few, small

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(not EMULATED, reason="the emulator stands in for no device here"),
]


def layer(**settings):
    return small(n_epochs=1, dtype="float32", backend="cupy", **settings)


def theirs(array):
    return OthersArray(np.ascontiguousarray(array))


def test_images_that_lie_there_are_learned_from_and_encoded():
    x = few().astype(np.float32)
    ours = layer().fit(x)
    found = layer().fit(theirs(x), validation_images=theirs(x[:3]))
    np.testing.assert_array_equal(found.encoder_filters_, ours.encoder_filters_)
    np.testing.assert_array_equal(found.transform(theirs(x)), ours.transform(x))
    stack = minisca.Stack([layer()]).fit(theirs(x))
    np.testing.assert_array_equal(stack.transform(theirs(x)), ours.transform(x))


def test_images_of_cupys_stay_on_the_device():
    x = few().astype(np.float32)
    ours = layer().fit(x)
    there = get_backend("cupy").to_device(x)
    found = layer().fit(there)
    np.testing.assert_array_equal(found.encoder_filters_, ours.encoder_filters_)
    np.testing.assert_array_equal(found.transform(there), ours.transform(x))


def test_features_fill_what_lies_there():
    fitted = layer().fit(x := few().astype(np.float32))
    expected = fitted.transform(x)
    memory = np.zeros_like(expected)
    out = theirs(memory)
    assert fitted.transform(x, out=out) is out
    np.testing.assert_array_equal(out.memory, expected)
    out.__cuda_array_interface__["strides"] = (8, 4, 2, 1)
    with pytest.raises(ValueError, match="out is not C-contiguous"):
        fitted.transform(x, out=out)


def test_features_and_labels_that_lie_there_are_learned_from():
    x, y = few().astype(np.float32), np.array([0, 1, 2, 0, 1, 2, 0])
    one, other = (minisca.LinearSVM(max_iter=2, verbose=False, backend="cupy") for _ in range(2))
    one.fit(x, y)
    other.fit(theirs(x), theirs(y))
    np.testing.assert_array_equal(other.coef_, one.coef_)
    assert other.score(theirs(x), theirs(y)) == one.score(x, y)


def test_what_computes_on_the_host_alone_refuses_cupys_arrays_by_name():
    there = get_backend("cupy").to_device(few().astype(np.float32))
    with pytest.raises(TypeError, match="images is an array of a device; here it must be one of"):
        draw_patches(there, 3, 2)
    with pytest.raises(TypeError, match="X is an array of a device; here it must be one of"):
        minisca.baselines.KSparseAutoencoder(4, 2, 2, n_epochs=1).fit(there)


def test_where_another_backend_computes_they_are_refused_by_name():
    x = few().astype(np.float32)
    with pytest.raises(TypeError, match=r"X is a .*OthersArray of a device .* backend='cpu'"):
        small(n_epochs=1).fit(theirs(x))
    with pytest.raises(TypeError, match=r"y is a .*OthersArray of a device .* backend='cpu'"):
        minisca.LinearSVM(verbose=False).fit(x, theirs(np.zeros(7, int)))
    with pytest.raises(TypeError, match=r"X is a .*OthersArray of a device .* backend='cpu'"):
        minisca.Stack([small(n_epochs=1)]).fit(theirs(x))
