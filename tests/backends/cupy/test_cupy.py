"""The CuPy backend's own claims: how work is cut up changes no result, and what cannot be is said.

On a machine without a GPU its kernels run in the emulator, which also reports races, unwritten
shared memory and accesses out of bounds in every test here.
"""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import reference
from minisca.backends import cupy
from minisca.backends.cupy.kernels import (
    convolution,
    direct,
    slices,
    staged,
    sums,
    survivors,
    tiles,
)
from minisca.backends.cupy.runtime import launching, machine
from minisca.backends.cupy.runtime.arrays import zeros
from tests.support import cases
from tests.support.backends import EMULATED
from tests.support.cases import CALLS, Case, arguments, as_dtype, call
from tests.support.cuda_emulator import COMPILER, OPT_IN_LIMIT, ORDERS, RawKernel, order
from tests.support.emulated_device import Emulator
from tests.support.helpers import assert_within, rounding_bound

pytestmark = [
    pytest.mark.emulated if EMULATED else pytest.mark.gpu,
    pytest.mark.skipif(
        not cupy.is_available(), reason="no CUDA device, and no g++ for the emulator"
    ),
]
needs_emulator = pytest.mark.skipif(not EMULATED, reason="a device has one order of its own")

RELU = launching.kernel("winners.cu", "relu", "float64")
ODD = Case(3, 2, 9, 11, 19, 3)  # nothing is a multiple of anything


def results_of(name, case, dtype):
    """What the operation returned or changed, on the host."""
    args = as_dtype(arguments(name, case), dtype)
    return [cupy.to_host(result) for result in cases.results_of(cupy, name, args)]


def assert_same_bits(results, others):
    for result, other in zip(results, others, strict=True):
        np.testing.assert_array_equal(result, other)


@needs_emulator
@pytest.mark.parametrize("name", CALLS)
def test_the_order_of_threads_and_blocks_changes_no_bit(name, dtype):
    in_order = []
    for which in ORDERS:
        with order(which, seed=3):
            in_order.append(results_of(name, ODD, dtype))
    for other in in_order[1:]:
        assert_same_bits(in_order[0], other)


def conv2d_and_winners(x, filters, bias):
    maps = cupy.to_host(cupy.conv2d(x, filters, bias))
    return maps, *map(cupy.to_host, cupy.encode_winners(x, filters, bias))


def leave_to_tiles(monkeypatch):
    for other in (direct, staged):
        monkeypatch.setattr(other, "make_layout", lambda *_, **__: None)


@pytest.mark.parametrize("tile", tiles.TILES, ids=lambda tile: "x".join(map(str, tile)))
def test_every_tile_of_a_product_computes_the_convolution_of_the_reference(
    monkeypatch, tile, dtype
):
    """One tile is more than the maps and positions of the first case, less than the second's."""
    leave_to_tiles(monkeypatch)
    monkeypatch.setattr(tiles, "choose_tile", lambda *_: tile)
    for case in (ODD, Case(1, 1, 13, 21, 130, 3)):
        args = x, filters, bias = as_dtype(arguments("conv2d", case), dtype)
        maps, values, positions = conv2d_and_winners(*args)
        sizes = reference.conv2d(np.abs(x), np.abs(filters), np.abs(bias))
        bound = rounding_bound(case.c * case.k**2 + 1, sizes, dtype)
        assert_within(maps, reference.conv2d(*args), bound)
        assert_same_bits((values, positions), reference.winner_take_all(maps))


@pytest.mark.parametrize("tile", [None, *tiles.TILES], ids=str)
def test_no_place_beyond_the_map_wins_however_low_its_units_are(monkeypatch, tile, dtype):
    """There nothing is multiplied, and the bias is more than every unit."""
    if tile is not None:
        leave_to_tiles(monkeypatch)
        monkeypatch.setattr(tiles, "choose_tile", lambda *_: tile)
    x, filters = np.ones((2, 1, 3, 5), dtype), -np.ones((5, 1, 3, 3), dtype)
    _, values, positions = conv2d_and_winners(x, filters, np.full(5, 20, dtype))
    np.testing.assert_array_equal(values, 20 - 4)  # in the corners four taps meet the image
    np.testing.assert_array_equal(positions, 0)


@pytest.mark.parametrize("width", [8, 14, 12, 3, 33])
def test_a_strip_of_any_length_computes_the_bits_of_a_product(monkeypatch, width, dtype):
    args = as_dtype(arguments("conv2d", Case(2, 3, 5, width, 19, 5)), dtype)
    assert direct.make_layout(*args[:2]) is not None
    fused = conv2d_and_winners(*args)
    pooled = cupy.to_host(cupy.encode_pooled(*args, 3, 2))
    leave_to_tiles(monkeypatch)
    assert_same_bits(fused, conv2d_and_winners(*args))
    assert_same_bits([pooled], [cupy.to_host(cupy.encode_pooled(*args, 3, 2))])


def test_an_image_of_more_strips_than_a_block_has_threads_takes_several_rounds(dtype):
    args = as_dtype(arguments("conv2d", Case(1, 1, 70, 37, 3, 3)), dtype)
    layout = direct.make_layout(*args[:2])
    assert layout.group_size * layout.strip < 70 * 37
    maps, values, positions = conv2d_and_winners(*args)
    assert_same_bits((values, positions), reference.winner_take_all(maps))


@pytest.mark.parametrize("limit", [48 << 10, 6 << 10, 4 << 10, 1 << 10])
def test_a_block_never_asks_for_more_shared_memory_than_there_is(monkeypatch, limit, dtype):
    x, filters, bias = as_dtype(arguments("conv2d", Case(2, 1, 16, 16, 40, 5)), dtype)
    right = cupy.to_host(cupy.encode_winners(x, filters, bias)[0])
    asked = []

    class Less(Emulator if EMULATED else machine.CuPy):
        shared_limit = limit

        def raw_kernel(self, code, name, options):
            kernel = super().raw_kernel(code, name, options)
            asked.append(kernel)
            return kernel

    monkeypatch.setattr(machine, "platform", Less())
    layout = direct.make_layout(x, filters)
    assert layout is None or limit > 1 << 10  # a layer without room is left to tiles
    assert layout is None or layout.shared_bytes + direct.STATIC_BYTES <= limit
    np.testing.assert_array_equal(cupy.to_host(cupy.encode_winners(x, filters, bias)[0]), right)
    assert asked


@pytest.mark.parametrize(("image_width", "strip", "k"), [(28, 7, 7), (32, 8, 9)])  # the paper's
def test_few_strips_of_a_warp_meet_in_a_bank_of_shared_memory(image_width, strip, k):
    pitch, of_row = direct.choose_pitch(image_width, strip, k), image_width // strip
    assert pitch >= image_width + k - 1
    banks = [(lane // of_row * pitch + lane % of_row * strip) % 32 for lane in range(32)]
    assert max(banks.count(bank) for bank in banks) <= 2


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100, 1000])
@pytest.mark.parametrize("blocks", [1, 100, 5000])
@pytest.mark.parametrize("most", [None, 3])
def test_pieces_cover_every_image_and_none_is_empty(n, blocks, most):
    images_of_piece, pieces = sums.cut(n, blocks, most)
    assert (pieces - 1) * images_of_piece < n <= pieces * images_of_piece
    assert most is None or images_of_piece <= most


@pytest.mark.parametrize("name", ["conv2d_backward", "winners_backward", "winners_backward, maps"])
def test_one_piece_and_many_agree_up_to_rounding(monkeypatch, name):
    """In whole numbers: every sum is exact, so they agree to the last bit."""
    case = Case(11, 2, 5, 6, 3, 3)
    args = [np.rint(a) if np.asarray(a).dtype.kind == "f" else a for a in arguments(name, case)]

    def run():
        return [cupy.to_host(result) for result in call(cupy, name, as_dtype(args, "float64"))]

    in_pieces = {}
    for least in (1, 4, 100):
        monkeypatch.setattr(sums, "LEAST_IMAGES", least)
        in_pieces[least] = run()
    assert sums.cut(11, 1) == (11, 1)
    assert_same_bits(in_pieces[1], in_pieces[100])
    assert_same_bits(in_pieces[4], in_pieces[100])


@pytest.mark.parametrize(
    "name", ["encode_top_n", "encode_k_largest", "encode_pooled", "encode_pooled, factors"]
)
def test_chunks_of_images_change_no_bit(monkeypatch, name, dtype):
    whole = results_of(name, ODD, dtype)
    monkeypatch.setattr(convolution, "MAP_BYTES", 1)
    leave_to_tiles(monkeypatch)
    args = as_dtype(arguments("conv2d", ODD), dtype)
    assert len(list(convolution.map_chunks(*map(cupy.to_device, args)))) == 3
    assert_same_bits(whole, results_of(name, ODD, dtype))


@pytest.mark.parametrize("size", [(40, 70), (33, 5), (1, 100)])
def test_an_image_larger_than_a_tile_is_decoded_tile_by_tile(monkeypatch, size, dtype):
    monkeypatch.setattr(slices, "make_layout", lambda *_: None)
    case = Case(2, 2, *size, 21, 7)
    assert max(size) > survivors.TILE
    args = as_dtype(arguments("decode_winners", case), dtype)
    sizes = reference.decode_winners(*(np.abs(a) for a in args[:4]), size)
    (images,) = results_of("decode_winners", case, dtype)
    bound = rounding_bound(case.m + 1, sizes, dtype)
    assert_within(images, reference.decode_winners(*args), bound)


# What is said when it cannot be done ------------------------------------------------------


def test_importing_the_backend_imports_no_cupy():
    program = "import sys, minisca.backends.cupy; assert 'cupy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


class RefusalError(Exception):
    """Any of CuPy's exceptions."""


def like_cupy(**more):
    """A module with CuPy's names, as far as the backend uses them, that computes with NumPy."""
    attributes = {"MaxSharedMemoryPerBlockOptin": OPT_IN_LIMIT}
    cuda = SimpleNamespace(
        is_available=lambda: True,
        Device=lambda: SimpleNamespace(attributes=attributes, compute_capability="90"),
        runtime=SimpleNamespace(CUDARuntimeError=RefusalError, memGetInfo=lambda: (900, 2000)),
        driver=SimpleNamespace(CUDADriverError=RefusalError),
        memory=SimpleNamespace(OutOfMemoryError=RefusalError),
    )
    names = {name: getattr(np, name) for name in ("asarray", "empty", "ndarray", "zeros")}
    names |= {"asnumpy": np.array, "RawKernel": RawKernel, "cuda": cuda}
    pool = SimpleNamespace(free_bytes=lambda: 100)
    return SimpleNamespace(**names | {"get_default_memory_pool": lambda: pool} | more)


@pytest.fixture
def use_cupy(monkeypatch):
    """use_cupy(name=...): let the backend find one like CuPy, with those names changed."""

    def use(**more):
        monkeypatch.setitem(sys.modules, "cupy", like_cupy(**more))
        monkeypatch.setattr(machine, "platform", machine.CuPy())

    return use


@needs_emulator
def test_arrays_kernels_and_limits_come_from_cupy(use_cupy, dtype):
    right = results_of("encode_winners", ODD, dtype)
    made = []

    def raw_kernel(*args):
        made.append(RawKernel(*args))
        return made[-1]

    use_cupy(RawKernel=raw_kernel)
    assert_same_bits(results_of("encode_winners", ODD, dtype), right)
    assert [kernel.name for kernel in made] == ["direct_winners"]
    assert machine.platform.shared_limit == OPT_IN_LIMIT
    np.testing.assert_array_equal(machine.platform.to_host(np.arange(3)), np.arange(3))


def test_memory_and_launches_that_cupy_refuses_are_explained(use_cupy):
    def refuse(*_, **__):
        raise RefusalError("CUDA_ERROR_OF_SOME_KIND")

    use_cupy(empty=refuse, RawKernel=lambda *_: refuse)
    with pytest.raises(MemoryError, match=r"\(100, 5, 5\).*10000 bytes.*at most 10 instead of 100"):
        cupy.empty((100, 5, 5), np.float32)
    with pytest.raises(RuntimeError, match=r"kernel relu on 4 blocks of 32.*OF_SOME_KIND"):
        launching.launch(RELU, 4, 32)


def test_a_launch_that_the_device_refuses_is_named():
    args = zeros(1, np.float64), zeros(1, np.float64), np.int64(1)
    with pytest.raises(RuntimeError, match=r"kernel relu on 1 blocks of 2048 threads.* failed"):
        launching.launch(RELU, 1, 2048, *args)


def test_a_grid_beyond_the_limit_is_refused_by_asking_for_fewer_images():
    with pytest.raises(ValueError, match="fewer images at a time"):
        launching.launch(RELU, 2**31, 32)


def test_more_weights_or_places_than_kernels_count_are_refused():
    class Shape:  # what has a shape and no memory
        def __init__(self, *shape):
            self.shape, self.dtype = shape, np.dtype("float32")

    few = Shape(1, 1, 3, 3)
    many_weights = Shape(1, 2**29, 3, 3), Shape(1, 2**29, 3, 3)
    large_maps = Shape(1, 1, 2**16, 2**15), few
    for images, filters in (many_weights, large_maps):
        with pytest.raises(ValueError, match=r"is more than the 2147482624 places .* weights"):
            tiles.convolve(images, filters, None, None)
        with pytest.raises(ValueError, match=r"is more than the 2147482624 places"):
            tiles.correlate(images, images, 3)


def test_the_emulator_stands_in_where_there_is_no_device():
    assert (not machine.CuPy().is_available() and COMPILER is not None) == EMULATED
