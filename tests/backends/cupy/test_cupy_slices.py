"""Decoding and gradients by slices of the channels compute what the plain kernels compute.

In whole numbers every sum is exact: whatever the order, they agree to the last bit.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from minisca.backends import cupy
from minisca.backends.cupy.kernels import paste, patches, slices
from minisca.backends.cupy.runtime import launching, machine
from tests.support.backends import EMULATED
from tests.support.cases import Case, arguments, as_dtype, call
from tests.support.emulated_device import Emulator

pytestmark = [
    pytest.mark.emulated if EMULATED else pytest.mark.gpu,
    pytest.mark.skipif(
        not cupy.is_available(), reason="no CUDA device, and no g++ for the emulator"
    ),
]

#: Slices of 1 to 4 channels, whole or not; filters of one to four rounds of taps; images for more
#: than one warp, and maps for more than one walk of each.
CASES = [
    Case(11, 1, 5, 6, 37, 3),
    Case(11, 9, 6, 5, 37, 5),
    Case(3, 3, 7, 4, 5, 9),
    Case(7, 6, 3, 5, 3, 7),
    Case(2, 5, 4, 9, 5, 11),
    Case(13, 2, 4, 4, 3, 5),
    Case(40, 2, 3, 4, 1, 3),
]
NAMES = ["decode_winners", "decode_winners, maps", "winners_backward", "winners_backward, maps"]


def results_of(name, case, dtype):
    args = [np.rint(a) if np.asarray(a).dtype.kind == "f" else a for a in arguments(name, case)]
    results = call(cupy, name, as_dtype(args, dtype))
    return [cupy.to_host(a) for a in (results if isinstance(results, tuple) else (results,))]


@pytest.mark.parametrize("blocks", [1, slices.BLOCKS])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_slices_and_plain_kernels_agree_to_the_last_bit(monkeypatch, name, case, blocks, dtype):
    monkeypatch.setattr(slices, "BLOCKS", blocks)
    sliced = results_of(name, case, dtype)
    monkeypatch.setattr(slices, "make_layout", lambda *_: None)
    for result, right in zip(sliced, results_of(name, case, dtype), strict=True):
        np.testing.assert_array_equal(result, right)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_decoder_that_subtracts_is_the_decoder_and_the_residual(case, dtype):
    values, positions, filters, bias, size = as_dtype(arguments("decode_winners", case), dtype)
    x = np.random.default_rng(3).standard_normal((case.n, case.c, *size)).astype(dtype)
    x_hat = cupy.decode_winners(values, positions, filters, bias, size)
    parts, error = cupy.decoded_residual(values, positions, filters, bias, x, case.n)
    right_parts, right_error = cupy.residual(x_hat, x, case.n)
    np.testing.assert_array_equal(cupy.to_host(error), cupy.to_host(right_error))
    loss, right = (cupy.to_host(some).sum() for some in (parts, right_parts))
    np.testing.assert_allclose(loss, right, rtol=1e-13)


@pytest.fixture
def asked(monkeypatch):
    """Of every launch so far the kernel's name and its bytes of shared memory."""
    launches = []

    def launch(kernel, *args, shared_bytes=0):
        launches.append((kernel.name, shared_bytes))
        launching.launch(kernel, *args, shared_bytes=shared_bytes)

    for module in (paste, patches):
        monkeypatch.setattr(module, "launch", launch)
    return launches


def use_device(monkeypatch, limit):
    """Go on with a device whose blocks have `limit` bytes of shared memory."""

    class Other(Emulator if EMULATED else machine.CuPy):
        shared_limit = limit

    monkeypatch.setattr(machine, "platform", Other())


#: One slice and two; more images and shares of the maps than fit into 64 KB.
LARGE = [Case(18, 1, 28, 29, 21, 7), Case(17, 8, 14, 13, 21, 5)]


@pytest.mark.parametrize("case", LARGE, ids=str)
def test_the_memory_of_a_block_changes_no_bit(monkeypatch, asked, case, dtype):
    """Of one device all comes at once, of the other in rounds."""
    monkeypatch.setattr(slices, "BLOCKS", 1)
    monkeypatch.setattr(slices, "SHARED_BYTES", most := 98 << 10)
    found = []
    for limit in (99 << 10, slices.LEAST_SHARED_BYTES):
        use_device(monkeypatch, limit)
        asked.clear()
        found.append([])
        for name in NAMES:
            results = call(cupy, name, as_dtype(arguments(name, case), dtype))
            found[-1] += results if isinstance(results, tuple) else [results]
        x = as_dtype(arguments("winners_backward", case), dtype)[0]
        *code, _ = as_dtype(arguments("decode_winners", case), dtype)
        found[-1] += cupy.decoded_residual(*code, x, case.n)
        needed = max(shared_bytes for _, shared_bytes in asked)
        assert slices.LEAST_SHARED_BYTES < needed <= most or limit == slices.LEAST_SHARED_BYTES
        assert needed <= limit
    assert {"paste", "paste_and_subtract"} < {name for name, _ in asked}
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(cupy.to_host(one), cupy.to_host(other))


#: Images of one piece, and whether there are registers for a step in rounds: not for wide filters.
ONE_PIECE = [(Case(17, 8, 14, 13, 21, 5), True), (Case(13, 8, 14, 14, 5, 7), False)]


@pytest.mark.parametrize("name", ["winners_update_", "winners_update_, maps"])
@pytest.mark.parametrize(("case", "in_rounds"), ONE_PIECE, ids=str)
def test_walks_that_update_do_what_gradients_and_an_update_do(
    monkeypatch, asked, case, in_rounds, name, dtype
):
    """To the bit, if all images come at once and in rounds."""
    monkeypatch.setattr(slices, "BLOCKS", 1)
    monkeypatch.setattr(slices, "SHARED_BYTES", 98 << 10)
    for limit, updates in ((99 << 10, True), (slices.LEAST_SHARED_BYTES, in_rounds)):
        use_device(monkeypatch, limit)
        found, right = (as_dtype(arguments(name, case), dtype) for _ in range(2))
        *code, encoder, _, decoder, _ = right[:8]
        parameters, velocities = list(right[4:8]), list(right[8:12])
        gradients = cupy.winners_backward(*code, encoder, decoder, *right[14:])
        step = cupy.to_device(right[12]), right[13]
        cupy.sgd_momentum_(parameters, list(gradients), velocities, *step)
        asked.clear()
        cupy.winners_update_(*found)
        launched = {kernel.removesuffix("_and_update") for kernel, _ in asked}
        assert launched == {"walk_error", "sum_deltas", "walk_images"}
        assert all(kernel.endswith("_and_update") == updates for kernel, _ in asked)
        for one, other in zip(found[4:12], right[4:12], strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_device_of_less_memory_than_any_gets_the_plain_kernels(monkeypatch, asked, dtype):
    case = CASES[0]
    right = [results_of(name, case, dtype) for name in NAMES]
    use_device(monkeypatch, slices.LEAST_SHARED_BYTES - 1)
    asked.clear()
    for name, results in zip(NAMES, right, strict=True):
        for result, expected in zip(results_of(name, case, dtype), results, strict=True):
            np.testing.assert_array_equal(result, expected)
    assert not asked


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("size", "k"), [(28, 7), (32, 9), (10, 5), (8, 5), (4, 3), (9, 11)])
def test_pixels_under_neighbouring_taps_lie_in_different_banks(size, k, channels, dtype):
    layout = slices.make_layout((1, channels, size, size), k, dtype)
    if layout is None:
        pytest.skip("not by slices")
    lane_bytes = layout.lane_channels * layout.itemsize
    at_once = lane_bytes if lane_bytes & (lane_bytes - 1) == 0 else layout.itemsize
    taps = np.arange(k * k)
    starts = (taps // k * layout.pitch + taps % k) * lane_bytes
    for first in range(0, k * k, 128 // at_once):
        some = starts[first : first + 128 // at_once]
        assert len(set(some // at_once % (128 // at_once))) == len(some)


@pytest.mark.parametrize(("size", "k"), [(28, 7), (32, 9), (10, 5), (1, 1), (2, 5)])
def test_a_filter_that_juts_out_reaches_none_of_the_images_pixels(size, k):
    """What kernels/slices.cuh lets through lies under the filter, or between two rows."""
    layout = slices.make_layout((1, 1, size, size), k, "float32")
    taps = np.arange(k * k)
    offsets = taps // k * layout.pitch + taps % k
    for position in range(size * size):
        y, x = position // size - k // 2, position % size - k // 2
        at = y * layout.pitch + x + offsets
        inside = (at >= 0) & (at < size * layout.pitch)
        rows, columns = at[inside] // layout.pitch, at[inside] % layout.pitch
        met = set(zip(rows[columns < size], columns[columns < size], strict=True))
        ys, xs = y + taps // k, x + taps % k
        under = (ys >= 0) & (ys < size) & (xs >= 0) & (xs < size)
        assert met == set(zip(ys[under], xs[under], strict=True))


@pytest.mark.parametrize("shape", [(100, 1, 28, 28), (100, 3, 32, 32), (100, 128, 10, 10)])
@pytest.mark.parametrize(("m", "k"), [(16, 7), (512, 9), (2048, 5)])
@pytest.mark.parametrize("limit", [64 << 10, 99 << 10, 227 << 10])
def test_what_comes_at_once_fits_and_nothing_else_depends_on_the_device(
    monkeypatch, shape, m, k, limit
):
    monkeypatch.setattr(machine, "platform", SimpleNamespace(shared_limit=limit))
    layout = slices.make_layout(shape, k, "float32")
    plan = paste.make_plan(layout, shape[0], m)
    some = plan.at_once(layout, limit)
    assert max(plan.n_threads, some.n_threads) <= paste.THREADS
    assert plan.shared_bytes(layout) <= slices.SHARED_BYTES
    assert some.shared_bytes(layout) <= limit
    cut = patches.make_cut(layout, shape[0], m)
    assert 1 <= cut.at_once <= cut.of_piece <= shape[0]
    assert 1 <= cut.of_block <= m
    assert cut.shared_bytes <= limit
    monkeypatch.setattr(machine, "platform", SimpleNamespace(shared_limit=1 << 30))
    assert slices.make_layout(shape, k, "float32") == layout
    assert patches.make_cut(layout, shape[0], m)[:3] == cut[:3]
