"""The made set of stereo pairs: small NORB's files to the byte, and pictures that are of bodies."""

from itertools import combinations, product

import make_norb_like as script
import numpy as np
import pytest
from norb_like.bodies import make_body
from norb_like.views import LAMPS, camera, draw_pair, facing, look

from minisca.datasets import load_norb
from tests.support.norb_files import INSTANCES, NAMES, header
from tests.support.script_runs import refusal, run_here

N = 60
SHAPES = {"dat": ("uint8", (N, 2, 96, 96)), "cat": ("int32", (N,)), "info": ("int32", (N, 4))}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a small set."""
    output = tmp_path_factory.mktemp("made")
    run_here(script, "--pairs", N, "--output", output)
    return output


@pytest.fixture(scope="module")
def data(made):
    return load_norb(made, download=False)


def test_the_files_have_small_norbs_names_headers_and_sizes(made):
    files = {path.name: path.read_bytes() for path in (made / "smallnorb").iterdir()}
    assert set(files) == set(NAMES.values())
    for role, name in NAMES.items():
        dtype, shape = SHAPES[role.partition("_")[2]]
        start = header(dtype, shape)
        assert files[name].startswith(start)
        assert len(files[name]) == len(start) + np.dtype(dtype).itemsize * np.prod(shape)


def test_the_loader_reads_it_and_does_not_take_it_for_small_norb(data):
    assert data.name != "small NORB"
    for half in ("train", "test"):
        np.testing.assert_array_equal(getattr(data, f"{half}_labels"), np.arange(N) % 5)
        assert set(getattr(data, f"{half}_info")[:, 0]) <= set(INSTANCES[half])


@pytest.mark.parametrize("half", ["train", "test"])
def test_a_whole_half_has_each_view_of_each_of_its_bodies_once(half):
    labels, infos = script.ordered(half, np.random.default_rng(0))
    found = sorted(zip(labels.tolist(), *infos.T.tolist(), strict=True))
    expected = product(range(5), sorted(INSTANCES[half]), range(9), range(0, 36, 2), range(6))
    assert found == list(expected)
    assert len(found) == 24_300


def test_a_seed_gives_the_same_pairs_again_however_many_and_another_gives_others(data):
    pairs, labels, infos = script.make_half("train", 0, 7)
    np.testing.assert_array_equal(pairs, data.train_images[:7])
    np.testing.assert_array_equal(labels, data.train_labels[:7])
    np.testing.assert_array_equal(infos, data.train_info[:7])
    assert not np.array_equal(pairs, script.make_half("train", 1, 7)[0])


def test_no_two_bodies_are_alike():
    bodies = [make_body(*which, seed=0) for which in product(range(5), range(10))]
    for one, other in combinations(bodies, 2):
        assert one.axes.shape != other.axes.shape or np.abs(one.axes - other.axes).max() > 0.01


def test_a_body_covers_a_part_of_the_image_that_lies_in_its_inner_two_thirds():
    for which in product(range(5), (0, 4)):
        body = make_body(*which, seed=0)
        for elevation, turn in ((30, 0), (70, 250)):
            is_body = look(body, camera(elevation, turn), 96).is_body
            assert 0.03 < is_body.mean() < 0.3
            assert not is_body[:16].any()
            assert not is_body[:, :16].any()
            assert not is_body[-16:].any()
            assert not is_body[:, -16:].any()


def test_lighting_camera_azimuth_and_elevation_each_change_the_picture():
    body = make_body(0, 0, seed=0)
    pictures = draw_pair(body, 40, 60, range(len(LAMPS)))
    views = [*pictures.reshape(-1, 96, 96)]
    views += [*draw_pair(body, 40, 80, [0])[0], *draw_pair(body, 45, 60, [0])[0]]
    for one, other in combinations(views, 2):
        assert (np.abs(one - other) > 8).mean() > 0.02


def within(body, points):
    """How far in each solid points (n, 3) lie, (solids, n): below 1 inside, 1 on the surface."""
    local = np.einsum("kab,nkb->kan", body.inverses, points[:, None] - body.centres)
    sizes = [
        [np.linalg.norm(p[:n], axis=0), *np.abs(p[n:])]
        for n, p in zip(body.round_axes, local, strict=True)
    ]
    return np.array([np.max(size, axis=0) for size in sizes])


@pytest.mark.parametrize("category", range(5))
def test_what_is_seen_is_the_nearest_surface_and_what_is_dark_lies_behind_a_solid(category):
    """Beside steps along the rays: to the camera from what is seen, and from there to the lamp."""
    body, size = make_body(category, 2, seed=0), 16
    frame = camera(35, 50)
    points, normals, is_body = surface = look(body, frame, size)
    points, normals = points.reshape(-1, 3), normals.reshape(-1, 3)
    depths = within(body, points).min(axis=0)
    np.testing.assert_allclose(depths[is_body.ravel()], 1, rtol=1e-9)
    np.testing.assert_allclose(points[~is_body.ravel(), 2], body.floor, rtol=1e-9)
    steps = np.linspace(0.003, 3, 1000)[:, None]

    def hidden(direction):
        """Whether a solid is met on the way, by more than a step may miss."""
        return np.array([within(body, p + steps * direction).min() < 0.99 for p in points])

    assert not hidden(frame[2]).any()
    lamp = camera(40, -30)[2]
    lit, expected = facing(body, surface, lamp).ravel(), normals @ lamp
    dark = hidden(lamp)
    assert (dark & (expected > 0)).any()
    agree = np.abs(lit - np.where(dark, 0, expected.clip(0))) < 1e-9
    assert agree.mean() > 0.99  # of some, a solid is met between two steps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "0"], "--pairs is 0; it must be at least 1"),
        (["--seed", "-1"], "--seed is -1; it must be 0 or larger"),
    ],
)
def test_a_wrong_flag_is_named(arguments, message):
    assert message in refusal(script, *arguments)
