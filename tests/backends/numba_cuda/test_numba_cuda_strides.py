"""Arrays of the device have the strides of their shape, whatever those of the host's were.

The stride of an axis of length 1 can be anything for NumPy, and not for Numba's device arrays.
"""

import math
import os
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")

from minisca.backends.numba_cuda import device
from minisca.backends.numba_cuda.runtime.strides import arrange, canonical

SHAPES = [(), (1,), (4,), (3, 4, 1, 1), (1, 4, 1, 2), (1, 1), (0, 3), (3, 0, 2)]

simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def other_strides(shape):
    """Strides of an array in C order, and with them 0 and 999 for its axes of length 1."""
    strides = canonical(shape, 4)
    for any_stride in (0, 999):
        sides = zip(shape, strides, strict=True)
        yield tuple(any_stride if side == 1 else stride for side, stride in sides)


@pytest.mark.parametrize("sides", SHAPES)
def test_canonical_strides_are_those_of_a_new_array(sides):
    if math.prod(sides):
        assert canonical(sides, 4) == np.empty(sides, np.float32).strides


@pytest.mark.parametrize("sides", SHAPES)
def test_an_array_of_the_host_arrives_with_the_strides_of_its_shape(monkeypatch, sides):
    arrived = []
    there = SimpleNamespace(copy_to_device=arrived.append)
    monkeypatch.setattr(device, "empty", lambda shape, dtype: there)
    for strides in other_strides(sides):
        memory = np.arange(max(1, math.prod(sides)), dtype=np.float32)
        array = np.ndarray(sides, np.float32, memory, strides=strides)
        device.to_device(array)
        np.testing.assert_array_equal(arrived[-1], array)
        assert arrived[-1].flags.carray
        assert not array.size or arrived[-1].strides == canonical(sides, 4)


@pytest.mark.skipif(simulated, reason="the simulator has NumPy's arrays")
@pytest.mark.parametrize("sides", [sides for sides in SHAPES if math.prod(sides)])
def test_an_array_of_the_device_is_given_the_strides_of_its_shape(sides):
    from numba.cuda.cudadrv.devicearray import DeviceNDArray

    memory = object()
    for strides in other_strides(sides):
        array = DeviceNDArray(sides, strides, np.float32, gpu_data=memory)
        arranged = arrange(array)
        assert arranged.strides == canonical(sides, 4)
        assert arranged.gpu_data is memory
        assert arranged.reshape((math.prod(sides),)).strides == (4,)
        assert arrange(arranged) is arranged


@pytest.mark.skipif(simulated, reason="the simulator has NumPy's arrays")
def test_an_array_of_the_device_in_another_order_is_refused():
    from numba.cuda.cudadrv.devicearray import DeviceNDArray

    for strides in ((4, 8), (16, 4), (0, 4)):
        array = DeviceNDArray((2, 3), strides, np.float32, gpu_data=object())
        with pytest.raises(ValueError, match="not C-contiguous"):
            arrange(array)


@pytest.mark.skipif(simulated, reason="the simulator compiles nothing")
def test_numba_refuses_to_reshape_what_is_arranged_here():
    """If this fails, Numba has learned it, and `arrange` may go."""
    from numba.cuda.cudadrv.devicearray import DeviceNDArray

    array = DeviceNDArray((3, 4, 1), (16, 4, 0), np.float32, gpu_data=object())
    with pytest.raises(NotImplementedError):
        array.reshape((3, 4))
