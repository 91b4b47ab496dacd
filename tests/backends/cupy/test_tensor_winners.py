"""Winners by the tensor cores are the plain kernels', to the bit, whatever the numbers."""

import numpy as np
import pytest

from minisca.backends import cupy
from minisca.backends.cupy.kernels import direct_tensor, tensor
from minisca.backends.cupy.runtime import launching, machine
from tests.support.backends import EMULATED
from tests.support.cuda_emulator import ORDERS, order

pytestmark = [
    pytest.mark.emulated if EMULATED else pytest.mark.gpu,
    pytest.mark.skipif(
        not cupy.is_available() or machine.platform.compute_capability < 80,
        reason="no device with tensor cores that multiply m16n8k16, and no g++ for the emulator",
    ),
]

#: n, c, h, w, m, k: of many channels, then of few. No side is a multiple of a tile's.
MANY = [(3, 70, 5, 6, 20, 3), (3, 40, 10, 10, 9, 5), (33, 32, 2, 3, 130, 3)]
FEW = [(2, 1, 17, 18, 20, 7), (2, 3, 16, 16, 40, 5), (1, 3, 20, 16, 130, 9)]


@pytest.fixture(autouse=True)
def layers_of_any_size(monkeypatch):
    for way, names in (
        (tensor, ("FEWEST_MAPS",)),
        (direct_tensor, ("FEWEST_MAPS", "FEWEST_TAPS", "FEWEST_PLACES")),
    ):
        way._layout.cache_clear()
        for name in names:
            monkeypatch.setattr(way, name, 1)
    yield
    tensor._layout.cache_clear()
    direct_tensor._layout.cache_clear()


def layer(shape, kind="normal", seed=0):
    """Images, filters and biases of a layer (n, c, h, w, m, k); NumPy's, float32."""
    n, c, h, w, m, k = shape
    random = np.random.default_rng(seed)
    x, filters = random.standard_normal((n, c, h, w)), random.standard_normal((m, c, k, k)) / 100
    bias = random.standard_normal(m) / 100
    if kind == "sparse":  # whole regions are empty, and some patches
        x = np.abs(x) * (random.random(x.shape) > 0.9)
        x[..., : w // 2] = 0
    if kind == "ties":  # few different patches: many units are equal
        x = np.broadcast_to(random.integers(0, 2, (n, 1, 1, w)), x.shape)
    if kind == "constant":
        x, filters[0], bias[:4] = np.ones_like(x), 0, (1, 0, -1, 1e-30)
    if kind == "near ties":  # patches that halves do not tell apart, fp32 does
        x = x[..., :1, :1] * (1 + 1e-4 * x)
    if kind == "no numbers":
        x[0, -1, 1, 1], x[-1, 0, 2, 2] = np.inf, np.nan
        filters[3, 0, 1, 1], filters[1, -1, 0, 0], bias[4:6] = np.nan, -np.inf, (np.inf, np.nan)
    if kind == "small halves":  # of one image, or filter, from 2^-20 to 1
        x, filters = (a * 2.0 ** random.integers(-20, 1, a.shape) for a in (x, filters))
    if kind == "tiny":
        x, filters, bias = x * 1e-25, filters * 1e-12, bias * 1e-38
    if kind == "huge":  # fp32 overflows
        x, filters = x * 1e30, filters * 1e10
    with np.errstate(over="ignore", under="ignore"):
        return [np.ascontiguousarray(a, np.float32) for a in (x, filters, bias)]


KINDS = [
    *("normal", "sparse", "ties", "constant", "near ties", "no numbers", "small halves"),
    *("tiny", "huge"),
]


def winners(args):
    return [cupy.to_host(result) for result in cupy.encode_winners(*args)]


def plain_winners(monkeypatch, args):
    with monkeypatch.context() as patch:
        for way in (tensor, direct_tensor):
            patch.setattr(way, "make_layout", lambda *_: None)
        return winners(args)


def assert_same(results, others):
    for result, other in zip(results, others, strict=True):
        np.testing.assert_array_equal(result, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("way", "shape"), [(tensor, MANY[0]), (direct_tensor, FEW[1])])
def test_winners_are_the_plain_kernels_to_the_bit(monkeypatch, way, shape, kind):
    args = layer(shape, kind)
    assert way.make_layout(*args[:2]) is not None
    assert_same(winners(args), plain_winners(monkeypatch, args))


@pytest.mark.parametrize("kind", ["normal", "sparse"])
@pytest.mark.parametrize("shape", MANY[1:] + FEW[::2], ids=str)
def test_layers_of_any_shape_have_the_plain_kernels_winners(monkeypatch, shape, kind):
    args = layer(shape, kind, seed=1)
    assert_same(winners(args), plain_winners(monkeypatch, args))


@pytest.mark.parametrize(("shape", "ways"), [(MANY[1], tensor), (FEW[1], direct_tensor)])
def test_every_tile_finds_the_winners(monkeypatch, shape, ways):
    args = layer(shape, "sparse", seed=2)
    right = plain_winners(monkeypatch, args)
    for tile in ways.TILES[:: 3 if ways is tensor else 2]:
        monkeypatch.setattr(ways, "TILES", (tile,))
        if ways.make_layout(*args[:2]) is not None:
            assert_same(winners(args), right)


@pytest.mark.parametrize(("images", "maps", "stages"), [(32, 2, 2), (64, 1, 3)])
def test_decisions_are_cut_up_in_any_way(monkeypatch, images, maps, stages):
    args = layer((70, 32, 2, 3, 11, 3), "sparse", seed=4)
    n_numbers = stages * 22 * images + 4 * maps * 12
    deciding = tensor.Deciding(images, maps, stages, 4, 4 * (n_numbers + 6))
    monkeypatch.setattr(tensor, "choose_deciding", lambda *_: deciding)
    assert tensor.make_layout(*args[:2]).deciding is deciding
    assert_same(winners(args), plain_winners(monkeypatch, args))


@pytest.mark.skipif(not EMULATED, reason="a device has one order of its own")
@pytest.mark.parametrize("shape", [MANY[1], FEW[1]], ids=str)
def test_the_order_of_threads_and_blocks_changes_no_winner(shape):
    args, found = layer(shape, "sparse", seed=3), []
    for which in ORDERS:
        with order(which, seed=3):
            found.append(winners(args))
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


@pytest.mark.parametrize("shape", [MANY[0], FEW[1]], ids=str)
def test_without_the_bound_near_ties_are_decided_wrongly(monkeypatch, shape):
    """So the tests above would notice a bound that is too small."""
    args = layer(shape, "near ties")
    right = plain_winners(monkeypatch, args)
    text = launching.source

    def no_bound(file):
        found = text(file).replace("return of_filter.a * of_patch.a", "return 0; //")
        return found.replace("kPartial = 1.3e-7f", "kPartial = 0")

    assert no_bound("halves.cuh").count("return 0; //") == 1
    monkeypatch.setattr(launching, "source", no_bound)
    launching._compiled.cache_clear()
    found = winners(args)
    launching._compiled.cache_clear()
    assert not np.array_equal(found[1], right[1])


def test_what_does_not_fit_is_left_to_the_plain_kernels(monkeypatch):
    for way, shape in ((tensor, MANY[0]), (direct_tensor, FEW[1])):
        x, filters, _ = layer(shape)
        assert way.make_layout(x, filters) is not None
        assert way.make_layout(x.astype(np.float64), filters.astype(np.float64)) is None
        assert way.make_layout(x, filters[..., :1, :1]) is None
        for what, limit in (("compute_capability", 75), ("shared_limit", 16 << 10)):
            with monkeypatch.context() as patch:
                patch.setattr(machine.platform, what, limit)
                assert way.make_layout(x, filters) is None
    assert tensor.make_layout(np.empty((1, 64, 17, 16), "f"), np.empty((9, 64, 3, 3), "f")) is None
