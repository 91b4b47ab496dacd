"""Checkpoints come back bit for bit, or say which file is wrong and how."""

import zipfile

import numpy as np
import pytest

from minisca.files.checkpoint import (
    CheckpointError,
    load_checkpoint,
    random_state_from_json,
    require,
    save_checkpoint,
)
from tests.support.layers import rewrite

ARRAYS = {
    "float16": np.array([0.1, -0.0, 65504], np.float16),
    "float32": np.random.default_rng(0).standard_normal((3, 2, 5, 5), dtype=np.float32),
    "float64": np.random.default_rng(1).standard_normal((4, 3)).T,
    "int64": np.array([-(2**63), 2**63 - 1]),
    "bool": np.array([True, False]),
    "text": np.array(["zèbre", "a"]),
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 7)),
    "big_endian": np.arange(5, dtype=">f4"),
    "layer1/encoder_filters": np.ones(4),
    **{"file": np.ones(1), "allow_pickle": np.ones(2)},  # names that `numpy.savez` reserves
}
SETTINGS = {"rate": 0.1, "n": 2**70, "name": "tête-à-tête", "none": None, "list": [1, True]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "layer.npz"


def test_arrays_and_settings_come_back_bit_for_bit_and_numpy_reads_the_arrays(path):
    save_checkpoint(path, "layer", ARRAYS, SETTINGS)
    arrays, settings = load_checkpoint(path, "layer")
    assert settings == SETTINGS
    assert list(arrays) == list(ARRAYS)
    with np.load(path, allow_pickle=False) as entries:
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(entries[name], array)
            assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
            assert arrays[name].tobytes() == array.tobytes()


def test_the_path_given_is_the_path_written(tmp_path):
    for name in ("layer", "layer.ckpt", "new/directory/layer.npz"):
        save_checkpoint(str(tmp_path / name), "layer", {}, {})
        assert load_checkpoint(str(tmp_path / name), "layer") == ({}, {})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["layer", "layer.ckpt", "new"]


def test_the_same_contents_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, "layer", ARRAYS, SETTINGS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_numpy_scalars_in_settings_become_numbers(path):
    settings = {"i": np.int64(3), "f": np.float32(0.1), "b": np.bool_(True), "t": (1, 2)}
    save_checkpoint(path, "layer", {}, settings)
    expected = {"i": 3, "f": float(np.float32(0.1)), "b": True, "t": [1, 2]}
    assert load_checkpoint(path, "layer")[1] == expected


# Writing: what is refused leaves the old file ---------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "settings", "error", "message"),
    [
        ({"w": np.array([None])}, {}, TypeError, "array 'w' has dtype object; it must be bool"),
        ({"w": np.array([1.0, np.nan])}, {}, ValueError, "array 'w' has NaN or infinite values"),
        ({"w": np.float16([np.inf])}, {}, ValueError, "array 'w' has NaN or infinite values"),
        ({"minisca": np.ones(1)}, {}, ValueError, "array name is 'minisca'; it must be text"),
        ({"": np.ones(1)}, {}, ValueError, "array name is ''; it must be text, not empty"),
        ({}, {"f": print}, TypeError, "settings hold <built-in function print>"),
        ({}, {"f": float("nan")}, ValueError, "not JSON compliant"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_the_old_file_stays(
    path, arrays, settings, error, message
):
    save_checkpoint(path, "layer", ARRAYS, SETTINGS)
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        save_checkpoint(path, "layer", arrays, settings)
    assert path.read_bytes() == before


# Reading: what is wrong is named -----------------------------------------------------------


def assert_refused(path, *parts):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, "layer")
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_a_missing_file_is_a_file_not_found_error(path):
    with pytest.raises(FileNotFoundError, match=r"layer\.npz"):
        load_checkpoint(path, "layer")


def test_a_checkpoint_cut_at_any_length_is_refused(path):
    save_checkpoint(path, "layer", {"w": np.arange(50.0)}, {"a": 1})
    whole = path.read_bytes()
    for length in (*range(4, len(whole), 41), len(whole) - 1):
        path.write_bytes(whole[:length])
        assert_refused(path, "damaged or cut short", "it must be a whole checkpoint")


def test_a_checkpoint_with_any_byte_changed_is_refused_or_harmless(path):
    arrays, settings = {"w": np.arange(50.0)}, {"a": 1}
    save_checkpoint(path, "layer", arrays, settings)
    whole = path.read_bytes()
    refused = 0
    for place in range(4, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:  # a date or a flag that nobody reads may change
            found, found_settings = load_checkpoint(path, "layer")
        except CheckpointError:
            refused += 1
        else:
            assert found_settings == settings
            assert all(array.tobytes() == arrays["w"].tobytes() for array in found.values())
    assert refused > len(whole) // 3 * 0.75


def add_an_entry_of_text(path):
    save_checkpoint(path, "layer", {}, {})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes.txt", "hello")


def header(text):
    return lambda path: np.savez(path, minisca=np.frombuffer(text, np.uint8))


def changed(header=None, **arrays):
    def write(path):
        save_checkpoint(path, "layer", {"float32": ARRAYS["float32"]}, {})
        rewrite(path, lambda found, _: found.update(arrays), header or {})

    return write


NOT_FINITE = "array 'float32' has NaN or infinite values"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty; it must be a checkpoint saved by minisca"),
        (lambda path: path.write_bytes(b"P5 28 28 255"), "is not a .npz file; it must be a checkp"),
        (lambda path: np.savez(path, w=np.ones(3)), "is a .npz file without a 'minisca' entry"),
        (header(b"\xff{"), "has a header that is not JSON"),
        (header(b"[" * 100_000), "has a header that is not JSON"),
        (header(b"[1]"), "has a header of something else"),
        (header(b'{"format": "minisca checkpoint", "version": 1}'), "has an incomplete header"),
        (  # of no version at all
            header(b'{"format": "minisca checkpoint", "kind": "layer", "settings": {}}'),
            "has format version None; this minisca reads version 1",
        ),
        (add_an_entry_of_text, "damaged or cut short"),
        (  # before it is unpacked
            lambda path: np.savez_compressed(path, minisca=np.zeros(10**6, np.uint8)),
            "an entry is compressed",
        ),
        *(
            (
                changed({"version": found}),
                f"has format version {found!r}; this minisca reads version 1",
            )
            for found in (7, 0, -1, None, True, 1.0, "1")
        ),
        (changed({"kind": ["layer"]}), "says that it holds ['layer']"),
        (changed({"kind": "layer\x1b[2J"}), "says that it holds 'layer\\x1b[2J'"),
        (changed({"kind": "Stack"}), "holds a Stack; it must hold a layer"),
        # a pickle is never opened
        (changed(w=np.array([{"a": 1}], object)), "cannot be loaded when allow_pickle=False"),
        *(
            (changed(float32=np.array([1, value], dtype)), NOT_FINITE)
            for dtype in ("float16", "float32", "float64", "complex64")
            for value in (np.nan, np.inf, -np.inf)
        ),
    ],
)
def test_a_file_of_something_else_is_refused_saying_what_it_is(path, write, message):
    write(path)
    assert_refused(path, message)


# require: what a reader needs ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "names", "dtypes", "message"),
    [
        ({"velocity": ("maps",)}, (), {}, "f.npz lacks the array 'velocity'"),
        ({}, ("n_maps", "rate"), {}, "f.npz lacks the setting 'rate'"),
        ({"bias": (3,)}, (), {}, r"array 'bias' has shape \(16,\); it must be \(3\)"),
        ({"filters": ("m", "m")}, (), {}, r"shape \(16, 4\); it must be \(16, 16\)"),
        ({"filters": (None, 5)}, (), {}, r"shape \(16, 4\); it must be \(any, 5\)"),
        ({"filters": ("m",)}, (), {}, r"shape \(16, 4\); it must be \(m\)"),
        ({"bias": ("m",), "filters": (4, "m")}, (), {}, r"\(16, 4\); it must be \(4, 16\)"),
        ({}, (), {"bias": "float32"}, "f.npz: array 'bias' has dtype float64; it must be float32"),
    ],
)
def test_require_names_what_is_missing_or_does_not_fit(shapes, names, dtypes, message):
    arrays = {"filters": np.ones((16, 4)), "bias": np.ones(16)}
    require("f.npz", arrays, {"filters": ("m", None), "bias": ("m",)}, {"n_maps": 16}, ("n_maps",))
    with pytest.raises(CheckpointError, match=message):
        require("f.npz", arrays, shapes, {"n_maps": 16}, names, dtypes)


# Random state -------------------------------------------------------------------------------


def test_a_generator_goes_on_from_its_state_after_json(path):
    generator = np.random.default_rng(5)
    generator.integers(10, size=3, dtype=np.uint32)  # leaves half a 64-bit draw behind
    save_checkpoint(path, "state", {}, {"random_state": generator.bit_generator.state})
    _, settings = load_checkpoint(path, "state")
    restored = random_state_from_json(settings["random_state"])
    for draw in (lambda g: g.integers(2**31, size=7, dtype=np.uint32), lambda g: g.permutation(99)):
        assert np.array_equal(draw(restored), draw(generator))
    assert restored.bit_generator.state == generator.bit_generator.state


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "random state has the generator None; it must be one of PCG64"),
        ({"bit_generator": "system"}, "random state has the generator 'system'"),
        ({"bit_generator": "PCG64"}, "random state of PCG64 is not complete: KeyError"),
        ({"bit_generator": "PCG64", "state": 3}, "random state of PCG64 is not complete"),
    ],
)
def test_what_is_no_random_state_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        random_state_from_json(data)
