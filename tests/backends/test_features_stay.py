"""Images and features that stay on a device, from layer to layer and into a classifier's fit.

Wherever they are, what is learned from them has the same bits.
"""

import gc
import weakref

import numpy as np
import pytest

from minisca import LinearSVM, Stack, keeping
from minisca.backends import get_backend
from minisca.training import batches
from tests.support.backends import EMULATED
from tests.support.interrupted_fits import learned as learned_by
from tests.support.layers import assert_same_state, few, small


def untrained(device, **options):
    return small(n_epochs=0, init_scale=1, backend=device, **options).fit(few())


def bytes_of(images):
    return np.clip(40 * images + 100, 0, 255).astype(np.uint8)


def test_features_stay_where_they_are_computed_and_are_the_same(device):
    backend, layer = get_backend(device), untrained(device)
    right = layer.transform(few())
    there = layer.transform(few(), to="device")
    assert backend.holds(there)
    np.testing.assert_array_equal(backend.to_host(there), right, strict=True)
    halves = layer.transform(backend.to_device(few()), to="device", dtype="float16")
    np.testing.assert_array_equal(backend.to_host(halves), right.astype("float16"), strict=True)
    np.testing.assert_array_equal(layer.transform(few(), dtype="float16"), right.astype("float16"))
    rows = backend.empty((7, right[0].size), "float16")
    assert layer.set_params(flat=True).transform(few(), out=rows) is rows
    np.testing.assert_array_equal(backend.to_host(rows), right.reshape(7, -1).astype("float16"))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
def test_images_of_a_device_train_what_those_of_the_host_do(device, dtype, monkeypatch):
    images = bytes_of(few()) if dtype == "uint8" else few().astype(dtype)
    there, options = get_backend(device).to_device(images), {"backend": device, "n_epochs": 1}
    options["centre"] = dtype == "uint8"
    right = small(**options).fit(images.astype("float64"))
    assert_same_state(small(**options).fit(images), right)
    assert_same_state(small(**options).fit(there), right)
    monkeypatch.setattr(batches, "SHARE", 0)  # a batch at a time
    assert_same_state(small(**options).fit(images), right)
    assert_same_state(small(**options).fit(there), right)
    assert right.score(there) == right.score(images)


@pytest.mark.emulated
@pytest.mark.skipif(not EMULATED, reason="counted in the emulator")
def test_images_of_bytes_cross_over_as_bytes_and_nothing_comes_back():
    counts, layer = get_backend("cupy").runtime.machine.platform.transfers, untrained("cupy")
    images, crossed = bytes_of(few()), []
    for each in (images, images.astype("float64")):
        counts.clear()
        layer.transform(each, to="device")
        crossed.append(counts["bytes in"])
        assert counts["out"] == 0
    assert crossed[1] - crossed[0] == 7 * images.size


def two_layers(device, **options):
    sizes = {"n_epochs": 1, "backend": device, "pool_stride": 1}
    return Stack([small(**sizes), small(**sizes, centre=True, n_maps=2)], **options)


def test_a_stack_keeps_features_on_the_device_it_shares(device, monkeypatch):
    kept, keep = [], keeping.keep

    def noted(*args):
        kept.append(keep(*args))
        return kept[-1]

    monkeypatch.setattr(keeping, "keep", noted)
    stack = two_layers(device).fit(few())
    backend = get_backend(device)
    assert [backend.holds(each) for each in kept] == [True]
    first, second = stack.layers_
    features = first.transform(few())
    assert_same_state(
        small(n_epochs=1, backend=device, pool_stride=1, centre=True, n_maps=2).fit(features),
        second,
    )
    right = second.transform(features)
    np.testing.assert_array_equal(stack.transform(few()), right)
    there = stack.transform(backend.to_device(few()), to="device", dtype="float16")
    np.testing.assert_array_equal(backend.to_host(there), right.astype("float16"), strict=True)


def test_a_stack_keeps_features_in_halves_where_that_is_asked(device, monkeypatch):
    kept, keep = [], keeping.keep
    monkeypatch.setattr(keeping, "keep", lambda *args: kept.append(args[2]) or keep(*args))
    first, second = two_layers(device).fit(few(), features_dtype="float16").layers_
    assert kept == ["float16"]
    options = {"n_epochs": 1, "backend": device, "pool_stride": 1, "centre": True, "n_maps": 2}
    assert_same_state(small(**options).fit(first.transform(few(), dtype="float16")), second)


def test_a_fit_frees_images_and_features_an_interrupted_one_too(device, monkeypatch, request):
    backend, made = get_backend(device), []
    empty = backend.empty

    def noted(*args):
        array = empty(*args)
        made.append(weakref.ref(array))
        return array

    def stop(layer, *_):
        if layer.n_maps == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(backend, "empty", noted)
    gc.disable()  # nothing is kept by a cycle
    request.addfinalizer(gc.enable)
    small(n_epochs=1, backend=device).fit(few())
    assert made
    assert not [array for array in made if array() is not None]
    for fitted in (two_layers(device), small(n_epochs=1, backend=device, n_maps=2)):
        made.clear()
        with pytest.raises(KeyboardInterrupt) as stopped:
            fitted.fit(few(), callbacks=[stop])
        assert stopped.tb is not None  # what is kept of it keeps no array
        assert made
        assert not [array for array in made if array() is not None]


def test_without_room_features_go_to_pinned_memory_or_a_file_which_is_said(device, monkeypatch):
    backend, layer = get_backend(device), untrained(device)
    there, labels = layer.transform(few(), to="device"), np.arange(7) % 2
    right = learned_by(LinearSVM(backend=device, max_iter=1, verbose=False).fit(there, labels))
    n_bytes = there.size * 8
    for host, where in ((1 << 30, "pinned memory of the host"), (0, "a scratch file in ")):
        with monkeypatch.context() as patch:
            patch.setattr(backend, "free_bytes", lambda: n_bytes / 2 / keeping.SHARE)
            patch.setattr(keeping, "host_free_bytes", lambda host=host: host)
            with pytest.warns(
                UserWarning, match=f"features of shape .* take {n_bytes} bytes"
            ) as told:
                kept = layer.transform(few(), to="device")
        said = str(told[0].message)
        assert f"has room for {n_bytes / 2:.0f}, 3 of 7 images; in float16 all would fit" in said
        assert where in said
        assert isinstance(kept, np.ndarray)
        np.testing.assert_array_equal(kept, backend.to_host(there))
        fitted = LinearSVM(backend=device, max_iter=1, verbose=False).fit(kept, labels)
        assert learned_by(fitted) == right


class Foreign:
    """An array of another library's, or of another device."""

    shape, dtype, ndim = (7, 1, 5, 4), np.dtype("float64"), 4
    __cuda_array_interface__ = {"shape": shape}  # noqa: RUF012


def test_bad_arrays_of_a_device_are_refused_by_name(device):
    backend, layer = get_backend(device), untrained(device)
    before = {name: np.copy(array) for name, array in layer.state_.parameters.items()}
    bad = few()
    bad[5, 0, 2, 3] = np.nan
    there = backend.to_device(bad)
    for call in (layer.fit, layer.partial_fit, layer.transform, Stack([layer]).fit):
        with pytest.raises(ValueError, match="X has the value nan in image 5; every pixel must"):
            call(there)
        with pytest.raises(TypeError, match=rf"X is a .*Foreign of a device .* backend='{device}'"):
            call(Foreign())
    with pytest.raises(ValueError, match="validation_images has the value nan in image 5"):
        layer.fit(few(), validation_images=there)
    with pytest.raises(TypeError, match="X has dtype int32; on a device it must be uint8"):
        layer.fit(backend.to_device(np.ones((7, 1, 5, 4), np.int32)))
    with pytest.raises(TypeError, match=r"X is a .* of a device .* backend='cpu'"):
        small(backend="cpu").fit(backend.to_device(few()))
    with pytest.raises(TypeError, match=r"out is a .*Foreign of a device"):
        layer.transform(few(), out=Foreign())
    with pytest.raises(ValueError, match=r"out has shape \(7, 3\); it must be"):
        layer.transform(few(), out=backend.empty((7, 3), "float32"))
    with pytest.raises(ValueError, match="to is 'gpu'; it must be one of 'host', 'device'"):
        layer.transform(few(), to="gpu")
    with pytest.raises(ValueError, match="dtype is 'int8'; it must be one of 'float16'"):
        layer.transform(few(), dtype="int8")
    with pytest.raises(ValueError, match="out is given, which says where features go"):
        layer.transform(few(), out=np.empty(1), to="device")
    for name, array in layer.state_.parameters.items():
        np.testing.assert_array_equal(array, before[name])
