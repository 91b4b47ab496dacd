"""Convolution in the transform domain is the direct one, up to a bound on its rounding."""

import numpy as np
import pytest

import reference
from minisca.backends import cpu
from minisca.backends.cpu.kernels.choice import choose_convolution, costs

# images, channels, maps, filter width, height, width
SHAPES = [
    (3, 2, 5, 3, 4, 6),
    (8, 1, 1, 5, 1, 1),
    (13, 4, 40, 5, 10, 10),
    (2, 3, 33, 7, 5, 4),
    (30, 1, 3, 1, 3, 2),
    (13, 150, 3, 3, 3, 4),  # channels in several parts, the last tile of images ragged
]


def draw(shape, dtype):
    n, channels, n_maps, k, height, width = shape
    random = np.random.default_rng(sum(shape))
    x = random.standard_normal((n, channels, height, width))
    filters = random.standard_normal((n_maps, channels, k, k))
    bias = random.standard_normal(n_maps)
    return x.astype(dtype), filters.astype(dtype), bias.astype(dtype)


def bound(x, filters, bias):
    """Largest rounding error of each pre-activation, (n, m).

    With u the unit roundoff and norms over one channel's image and filter: a frequency of the image
    is a sum of h w products, off by at most u h w |x|_1 <= u (h w)^1.5 |x|_2, one of a filter by
    u k^3 |P|_2. By Cauchy-Schwarz and Parseval the mean over frequencies of the product of the
    magnitudes is at most |P|_2 |x|_2. The 2 c products of a frequency and the sum back over all of
    them add as many roundings each, and real and imaginary part together are at most sqrt(2) of the
    magnitude. The bias adds one rounding of its own.
    """
    unit = np.finfo(x.dtype).eps / 2
    (channels, height, width), k = x.shape[1:], filters.shape[2]
    frequencies = (height + k // 2) * (width + k // 2)
    roundings = (height * width) ** 1.5 + k**3 + 2 * channels + 2 * frequencies
    norms_x = np.sqrt(np.square(x, dtype=np.float64).sum(axis=(2, 3)))
    norms_filters = np.sqrt(np.square(filters, dtype=np.float64).sum(axis=(2, 3)))
    magnitudes = norms_x @ norms_filters.T + abs(bias)
    return np.sqrt(2) * unit * roundings * magnitudes


@pytest.mark.parametrize("shape", SHAPES)
def test_winners_and_pooled_maps_are_the_references_up_to_the_bound(shape, dtype, monkeypatch):
    """Wherever the bound separates the largest unit from the next, its position too."""
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    x, filters, bias = draw(shape, dtype)
    activations = reference.relu(reference.conv2d(x, filters, bias))
    error = bound(x, filters, bias)

    values, positions = cpu.encode_winners(x, filters, bias)
    maps = activations.reshape(*values.shape, -1)
    assert (abs(values - maps.max(axis=2)) <= error).all()
    best = np.sort(maps, axis=2)
    second = best[..., -2] if maps.shape[2] > 1 else np.zeros_like(error)
    separated = best[..., -1] - second > 2 * error
    assert separated.any()
    assert (positions == maps.argmax(axis=2))[separated].all()

    for pooling in ((3, 2, "centred"), (3, 2, "corner")):
        pooled = cpu.encode_pooled(x, filters, bias, *pooling)
        expected, _ = reference.max_pool(activations, *pooling)
        assert (abs(pooled - expected) <= error[..., None, None]).all()

    # doubled units are as far off, twice; the bias is not doubled
    doubled = cpu.encode_pooled(x, filters, bias, 3, 2, factors=np.full_like(x[:, 0], 2))
    expected = reference.encode_pooled(x, 2 * filters, bias, 3, 2)
    assert (abs(doubled - expected) <= 2 * error[..., None, None]).all()


def test_the_choice_follows_the_cost_of_each_shape(monkeypatch):
    monkeypatch.delenv("MINISCA_CONVOLUTION", raising=False)

    def choice(n, channels, side, n_maps, k):
        x = np.broadcast_to(np.float32(0), (n, channels, side, side))
        return choose_convolution(x, np.broadcast_to(x[0, 0, 0, 0], (n_maps, channels, k, k)))

    assert choice(100, 1, 28, 128, 7) == "direct"  # MNIST, first layer
    assert choice(100, 3, 32, 512, 9) == "direct"  # CIFAR-10, first layer
    assert choice(100, 128, 10, 2048, 5) == "transform"  # MNIST, second layer
    assert choice(100, 512, 8, 4096, 5) == "transform"  # CIFAR-10, second layer
    assert choice(1, 128, 10, 2048, 5) == "direct"  # one image does not pay for the filters


def test_the_second_layer_of_mnist_takes_74_complex_products_for_2500_real_ones():
    direct, transformed = costs(1000, 2048, 128, 5, (10, 10))
    assert direct == 1000 * 2048 * 128 * 2500
    assert 4 * 74 < transformed / (1000 * 2048 * 128) < 1.5 * 4 * 74


def test_the_choice_can_be_overridden_and_a_wrong_one_is_named(monkeypatch):
    x, filters, bias = draw(SHAPES[0], "float32")
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    assert choose_convolution(x, filters) == "transform"
    monkeypatch.setenv("MINISCA_CONVOLUTION", "winograd")
    with pytest.raises(ValueError, match="MINISCA_CONVOLUTION is 'winograd'; it must be one of"):
        cpu.encode_winners(x, filters, bias)
