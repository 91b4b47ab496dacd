"""The layers that the benchmark measures: their shapes, images, floors and training step."""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

import minisca
from minisca.backends import name_of
from minisca.chunks import ceil_div
from minisca.datasets import SampleWarning
from minisca.progress import progress
from minisca.sparsity import make_sparsity
from minisca.training.batches import Batches, sorted_batches
from minisca.training.objective import as_number, do_step, loss_and_gradients
from minisca.training.optim import SGD
from minisca.training.steps import Steps, Task

#: So small that parameters stay what they are, however often a step is repeated.
LEARNING_RATE = 1e-9
MOMENTUM = 0.9
#: Of `Training`: how many batches there are to pick images from.
EPOCH_BATCHES = 10


@dataclass(frozen=True)
class Layer:
    """A layer's shape, and the batch it is trained on."""

    name: str
    images: str  # which images: see `make_images`
    n_maps: int
    channels: int
    size: int  # of the square images
    width: int  # of the filters
    pool: tuple[int, int] = (5, 3)  # width and stride
    init_scale: float = 0.01
    batch: int = 100

    @property
    def flops(self):
        """Of the encoder's direct convolution of a batch: 2 n m c k^2 h w."""
        return 2 * self.batch * self.n_maps * self.channels * self.width**2 * self.size**2

    def tiny(self):
        """The same kind of layer, small enough for a test."""
        n_maps, channels = max(4, self.n_maps // 512), min(self.channels, 4)
        return replace(self, n_maps=n_maps, channels=channels, batch=5)


LAYERS = (
    Layer("MNIST layer 1, 128 maps", "digits", 128, 1, 28, 7),
    Layer("MNIST layer 1, 16 maps", "digits", 16, 1, 28, 7),
    Layer("CIFAR layer 1, 512 maps", "normal", 512, 3, 32, 9, (5, 4)),
    Layer("MNIST layer 2, 128 to 2048 maps", "digit features", 2048, 128, 10, 5, (3, 2), 0.002),
    Layer("CIFAR layer 2, 512 to 4096 maps", "sparse", 4096, 512, 8, 5, (3, 2), 0.002),
)

#: What the names of images mean, for the report.
IMAGES = {
    "digits": "MNIST's first training images",
    "normal": "Gaussian, as whitened images are",
    "digit features": "such digits, encoded by a briefly trained layer and pooled",
    "sparse": "absolute values of Gaussians, 40 % of them set to 0, as pooled features are",
}


def describe(layer):
    """The layer in plain names and numbers."""
    names = ("batch", "channels", "size", "n_maps", "width")
    return {
        "layer": layer.name,
        "shape": {name: getattr(layer, name) for name in names},
        "images": IMAGES[layer.images],
    }


def load_digits(data_dir=None):
    """MNIST where it is found, else the sample of it that comes with minisca; never a download."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SampleWarning)
        return minisca.datasets.load_mnist(data_dir, download=False)


def make_images(layer, digits):
    """A batch of images (n, c, h, w) float32 for `layer`, the same every time."""
    shape = (layer.batch, layer.channels, layer.size, layer.size)
    random = np.random.default_rng(0)
    if layer.images == "digits":
        return np.ascontiguousarray(digits.train_images[: layer.batch])
    if layer.images == "digit features":
        below = minisca.SparseConvAutoencoder(
            layer.channels, n_epochs=3, random_state=0, verbose=False
        )
        below.fit(digits.train_images[: 20 * layer.batch])
        return below.transform(digits.train_images[: layer.batch])
    images = random.standard_normal(shape, np.float32)
    if layer.images == "sparse":
        images = np.abs(images) * (random.random(shape, np.float32) >= 0.4)
    return images


def make_parameters(layer):
    """Parameters as they are when training begins, when nearly every map has a winner."""
    random = np.random.default_rng(1)
    parameters = blank_parameters(layer)
    for name in ("encoder_filters", "decoder_filters"):
        shape = parameters[name].shape
        parameters[name] = layer.init_scale * random.standard_normal(shape, np.float32)
    return parameters


def blank_parameters(layer):
    """Of the right shapes; nothing more."""
    filters = (layer.n_maps, layer.channels, layer.width, layer.width)
    return {
        "encoder_filters": np.zeros(filters, np.float32),
        "encoder_bias": np.zeros(layer.n_maps, np.float32),
        "decoder_filters": np.zeros(filters, np.float32),
        "decoder_bias": np.zeros(layer.channels, np.float32),
    }


class Step:
    """minisca's training step on images x, NumPy's as the parameters are; it has copies of both.

    start: the parameters as they were given.
    """

    def __init__(self, backend, x, parameters):
        self.backend, self.x, self.start = backend, x, parameters
        self.sparsity = make_sparsity("winner-take-all")
        bring = backend.to_device
        self.images = bring(x)
        self.parameters = {name: bring(value.copy()) for name, value in parameters.items()}
        velocities = {name: bring(np.zeros_like(value)) for name, value in parameters.items()}
        self.optimiser = SGD(backend, self.parameters, MOMENTUM, velocities)
        self.rate = LEARNING_RATE
        if name_of(backend) == "cupy":  # there training has the rates on the device
            self.rate = bring(np.full(len(parameters), LEARNING_RATE, np.float32))

    def __call__(self):
        do_step(self.optimiser, self.sparsity, self.images, self.rate)

    def loss_and_gradients(self):
        what = self.backend, self.sparsity, self.parameters, self.images
        loss, gradients = loss_and_gradients(*what)
        return as_number(self.backend, loss), gradients

    @cached_property
    def computed(self):
        """Values and positions of the winners, the loss and the gradients, on the host."""
        code = map(self.backend.to_host, self.encode())
        loss, gradients = self.loss_and_gradients()
        return *code, loss, {name: self.backend.to_host(g) for name, g in gradients.items()}

    def encode(self, *pool):
        """The code of the images; with the width and stride of a pool, their pooled maps."""
        operation = self.backend.encode_pooled if pool else self.backend.encode_winners
        encoder = self.parameters["encoder_filters"], self.parameters["encoder_bias"]
        return operation(self.images, *encoder, *pool)

    def phases(self):
        """{phase: a call of it}: the operations of a step, each on what the one before it gave."""
        backend, x, parameters = self.backend, self.images, self.parameters
        encoder, decoder = parameters["encoder_filters"], parameters["decoder_filters"]
        code = self.encode()
        decode = (*code, decoder, parameters["decoder_bias"], x, x.shape[0])
        _, error = backend.decoded_residual(*decode)
        backward = (x, error, *code, encoder, decoder)
        gradients = dict(zip(parameters, backend.winners_backward(*backward), strict=True))
        return {
            "encode": self.encode,
            "decode and error": lambda: backend.decoded_residual(*decode),
            "backward": lambda: backend.winners_backward(*backward),
            "update": lambda: self.optimiser.step(gradients, LEARNING_RATE),
        }


class Training:
    """The same step as training does it: from images on the device, of which it picks a batch.

    A call does `count` steps, recorded where the column records them.
    """

    def __init__(self, step, count):
        backend, batch, self.count = step.backend, len(step.x), count
        images = np.tile(step.x, (EPOCH_BATCHES, 1, 1, 1))
        batches = Batches(backend, images, images.dtype)
        task = Task(
            len(images),
            batches.read,
            lambda x, _, rate: do_step(step.optimiser, step.sparsity, x, rate),
            rate=None,
            items=batches.images,
            make_batch=batches.scaled,
        )
        self.steps = Steps(step.optimiser, task)
        random, of_epoch = np.random.default_rng(2), len(images)
        orders = (random.permutation(of_epoch) for _ in range(ceil_div(count, EPOCH_BATCHES)))
        self.rows = [rows for order in orders for rows in sorted_batches(order, batch)][:count]

    def __call__(self):
        rates = [LEARNING_RATE] * self.count
        for _ in self.steps.run(self.rows, rates, 0, progress(False)):
            pass
