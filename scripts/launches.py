"""Which kernels a training step of the CuPy backend launches, and how: recorded, nothing computed.

The backend's own Python runs, with NumPy's memory for the device's and kernels that only write
down how they were called. So what is said of a launch is what a device would be told.
"""

from typing import NamedTuple

import numpy as np

from minisca.backends import cupy
from minisca.backends.cupy import device
from minisca.sparsity import make_sparsity
from minisca.training.objective import loss_and_gradients
from minisca.training.optim import SGD


class Launch(NamedTuple):
    """One launch of kernel `name` of kernels/`file`."""

    file: str
    name: str
    options: tuple[str, ...]
    blocks: int
    threads: int
    shared_bytes: int  # dynamic
    args: tuple


class Recorder:
    """What `minisca.backends.cupy.device.CuPy` is, as far as the backend can tell."""

    xp = np
    failures = (), ()
    free_bytes = 0

    def __init__(self, shared_limit):
        self.shared_limit = shared_limit
        self.launches = []
        self.texts = {}

    def to_host(self, array):
        return array

    def raw_kernel(self, code, name, options):
        (file,) = (file for file, text in _sources().items() if text == code)

        def launch(grid, block, args, *, shared_mem=0):
            self.launches.append(
                Launch(file, name, options, grid[0], block[0], shared_mem, args)
            )  # fmt: skip

        return _Kernel(launch)


class _Kernel:
    """A function that, like CuPy's kernels, can be told how much shared memory it may have."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **named):
        self.function(*args, **named)


def _sources():
    folder = device.importlib.resources.files(device.__package__).joinpath("kernels")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".cu"))
    return {name: device.source(name) for name in names}


def record_step(layer, shared_limit):
    """The `Launch`es of a training step of a `bench_layers.Layer`, its images on the device.

    shared_limit: bytes of shared memory that a block of the device may have. Lists that depend on
    shapes alone, made in the first step, are not in it.
    """
    recorder = Recorder(shared_limit)
    usual, device.platform = device.platform, recorder
    try:
        shape = layer.batch, layer.channels, layer.size, layer.size
        filters = layer.n_maps, layer.channels, layer.width, layer.width
        shapes = {
            "encoder_filters": filters,
            "encoder_bias": filters[:1],
            "decoder_filters": filters,
            "decoder_bias": filters[1:2],
        }
        images = np.zeros(shape, np.float32)
        parameters, velocities = (
            {name: np.zeros(sides, np.float32) for name, sides in shapes.items()} for _ in range(2)
        )
        optimiser = SGD(cupy, parameters, 0.9, velocities)
        sparsity = make_sparsity("winner-take-all")
        for _ in range(2):
            recorder.launches.clear()
            x = cupy.gather(images, np.arange(layer.batch))
            _, gradients = loss_and_gradients(cupy, sparsity, parameters, x)
            optimiser.step(gradients, 0.1)
    finally:
        device.platform = usual
    return recorder.launches
