"""Convolution channel after channel: the bits of the product by tiles, for any shape it takes."""

import numpy as np
import pytest

from minisca.backends import cupy
from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import convolution, direct, staged, tiles
from minisca.backends.cupy.runtime import machine
from tests.support.backends import EMULATED
from tests.support.cases import Case, arguments, as_dtype

pytestmark = [
    pytest.mark.emulated if EMULATED else pytest.mark.gpu,
    pytest.mark.skipif(
        not cupy.is_available(), reason="no CUDA device, and no g++ for the emulator"
    ),
]

#: A strip of each length, alone in its row or with a ragged last one; blocks of 64, 128 and 256
#: threads a map; strips that end within an image, or within the last; more channels than stages.
CASES = {
    "strips of 8": Case(7, 5, 8, 8, 40, 5),
    "strips of 7": Case(2, 2, 5, 13, 9, 3),
    "strips of 5": Case(7, 4, 10, 10, 50, 5),
    "strips of 4": Case(3, 3, 4, 4, 26, 3),
    "one pixel": Case(70, 2, 1, 1, 9, 1),
    "filters wider than images": Case(2, 1, 3, 6, 8, 15),
    "images of more strips than a block has": Case(1, 2, 20, 21, 33, 3),
}


def device_arguments(case, dtype):
    return [cupy.to_device(array) for array in as_dtype(arguments("conv2d", case), dtype)]


def results(case, dtype, function, *shapes_and_dtypes):
    found = [empty(*each) for each in shapes_and_dtypes]
    function(*device_arguments(case, dtype), *found)
    return [cupy.to_host(array) for array in found]


def assert_same_bits(case, dtype):
    x, filters, _ = device_arguments(case, dtype)
    layout = staged.make_layout(x, filters)
    assert layout is not None

    def by_stages(name):
        return lambda *args: getattr(staged, name)(layout, *args)

    maps = ((case.n, case.m, case.h, case.w), dtype)
    code = ((case.n, case.m), dtype), ((case.n, case.m), np.int32)
    for name, wanted in (("convolve", (maps,)), ("convolve_winners", code)):
        right = results(case, dtype, getattr(tiles, name), *wanted)
        for one, other in zip(results(case, dtype, by_stages(name), *wanted), right, strict=True):
            np.testing.assert_array_equal(one, other)
    return layout


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_bits_are_those_of_a_product_by_tiles(case, dtype):
    assert_same_bits(case, dtype)


def test_every_length_of_a_strip_and_every_group_is_met():
    layouts = [
        staged.make_layout(*device_arguments(case, "float32")[:2]) for case in CASES.values()
    ]
    assert {layout.strip for layout in layouts} == set(staged.MAPS_OF_STRIP)
    assert {layout.group_size for layout in layouts} == set(staged.GROUP_SIZES)


def test_where_memory_is_scarce_a_block_has_fewer_maps_or_leaves_the_layer(monkeypatch):
    case, found = CASES["strips of 8"], []
    x, filters, _ = device_arguments(case, "float32")
    for limit in (64 << 10, 40 << 10, 1 << 10):
        monkeypatch.setattr(machine.platform, "shared_limit", limit, raising=False)
        layout = staged.make_layout(x, filters)
        found.append(layout and layout.group_size)
        assert layout is None or 2 * layout.shared_bytes("float32") <= limit
    assert found[0] == 64
    assert found[-1] is None


def test_layers_of_many_channels_go_by_stages_and_no_others(monkeypatch):
    gone = []
    monkeypatch.setattr(staged, "convolve", lambda *_: gone.append("staged"))
    monkeypatch.setattr(tiles, "convolve", lambda *_: gone.append("tiles"))
    monkeypatch.setattr(direct, "run", lambda *_: gone.append("direct"))
    for channels, m, k in ((64, 128, 5), (64, 7, 5), (64, 128, 17), (1, 128, 5)):
        images, filters = np.zeros((1, channels, 8, 8)), np.zeros((m, channels, k, k))
        convolution.convolve(*map(cupy.to_device, (images, filters)), None)
    assert gone == ["staged", "tiles", "tiles", "direct"]


@pytest.mark.parametrize(("side", "width"), [(10, 5), (8, 5), (16, 3), (28, 7)])
def test_few_strips_of_a_warp_meet_in_a_bank_of_shared_memory(side, width):
    x, filters = np.empty((9, 64, side, side), np.float32), np.empty((64, 64, width, width))
    strip, _, pitch, plane, _ = staged.make_layout(x, filters)
    of_row = -(-side // strip)
    assert pitch >= of_row * strip + width - 1
    assert plane >= (side + width - 1) * pitch
    assert plane % 4 == 0
    lanes = np.arange(32)
    image, row = lanes // of_row // side, lanes // of_row % side
    banks = (image * plane + row * pitch + lanes % of_row * strip) % 32
    assert np.bincount(banks).max() <= 2
