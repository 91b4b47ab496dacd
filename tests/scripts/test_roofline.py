"""The page on what a device should reach is made of the backend's own launches, and up to date."""

from types import SimpleNamespace

import numpy as np
import pytest

from minisca.backends.cupy import device
from tests.support.script_runs import ROOT, import_script


@pytest.fixture
def roofline(monkeypatch):
    return import_script(monkeypatch, "roofline")


@pytest.fixture
def layers(roofline):
    """Those of the page, by name."""
    return {layer.name: layer for layer in roofline.LAYERS if f"## {layer.name}\n" in text()}


def text():
    return (ROOT / "reference" / "roofline.md").read_text(encoding="utf-8")


def rows(name):
    """The cells of a layer's table."""
    part = text().split(f"## {name}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_pages_tables_are_those_of_the_code(roofline, layers):
    assert len(layers) == 2
    for name, layer in layers.items():
        launches = roofline.record_step(layer, roofline.SHARED_OF_BLOCK)
        expected = [roofline.computed_cells(launch, layer) for launch in launches]
        assert [row[: len(expected[0])] for row in rows(name)] == expected, (
            "python scripts/roofline.py --record"
        )


def test_a_step_is_recorded_without_a_device_and_leaves_the_backend_as_it_was(roofline, layers):
    before = device.platform
    first, second = (
        {launch.name for launch in roofline.record_step(layer, 227 << 10)}
        for layer in layers.values()
    )
    assert device.platform is before
    shared = {"gather", "decode", "subtract_and_sum", "correlate_errors", "add_patches"}
    shared |= {"sum_channels", "sum_pieces", "sgd_momentum"}
    assert first == shared | {"direct_winners"}
    assert second == shared | {"convolve_winners"}


def test_no_launch_asks_for_more_than_a_device_has(roofline, layers):
    for layer in layers.values():
        for launch in roofline.record_step(layer, roofline.SHARED_OF_BLOCK):
            assert 1 <= launch.threads <= 1024
            assert 1 <= launch.blocks < 2**31
            assert launch.shared_bytes <= roofline.SHARED_OF_BLOCK


def test_bounds_are_what_they_are_for_a_launch_that_one_can_do_in_the_head(roofline, monkeypatch):
    values, gradient, velocity = (np.zeros(1000, np.float32) for _ in range(3))
    four = (values, gradient, velocity, np.float32(0.1), np.int64(1000)) * 4
    launch = import_script(monkeypatch, "launches").Launch(
        "sgd.cu", "sgd_momentum", (), 4, 256, 0, (*four, np.float32(0.9), np.int64(1000))
    )
    work, moved, bound, seconds = roofline.bounds_of(launch, roofline.LAYERS[0])
    assert work.flops == 4000
    assert moved == 5 * 4000
    assert (bound, seconds) == ("memory", 20000 / 3.35e12)


def test_a_patch_is_fetched_in_whole_sectors_by_lines_or_as_one_span(roofline, layers):
    first, second = layers.values()
    assert (first.width, first.size, second.width, second.size) == (7, 28, 5, 10)
    # counted: over the eight places of a sector at which a line of seven or a span can begin
    lines = np.mean([len({(at + i) // 8 for i in range(7)}) for at in range(8)])
    assert roofline._patch(first) == 7 * 32 * lines
    span = np.mean([len({(at + i) // 8 for i in range(4 * 10 + 5)}) for at in range(8)])
    assert roofline._patch(second) == 32 * span


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "share", "limit"),
    [
        (256, 32, 0, 1, "registers"),
        (256, 128, 0, 0.25, "registers"),
        (128, 16, 112 << 10, 0.125, "shared memory"),
        (32, 16, 0, 0.5, "blocks"),
        (1024, 16, 0, 1, "warps"),
    ],
)
def test_occupancy_is_what_the_limits_of_a_multiprocessor_leave(
    roofline, threads, registers, shared, share, limit
):
    launch = SimpleNamespace(threads=threads, shared_bytes=shared)
    kernel = SimpleNamespace(registers=registers, shared_bytes=0)
    assert roofline.occupancy(launch, kernel) == (share, limit)


def test_the_compilers_columns_are_there_for_every_launch(layers):
    for name in layers:
        for row in rows(name):
            registers, shared, occupancy = row[-3:]
            assert 16 <= int(registers) <= 255
            assert int(shared.replace(",", "")) <= 227 << 10
            assert 0 < int(occupancy.split("%")[0]) <= 100
