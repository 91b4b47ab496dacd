"""Whatever is done to a file: it loads, or CheckpointError names it, and takes little memory.

`python -m tests.campaigns.damaged_files` does the same to thousands of files of every format.
"""

import random
import tracemalloc
import zipfile

import numpy as np
import pytest

from minisca import CheckpointError, LogisticRegression
from minisca.files import archive, checkpoint
from minisca.files.checkpoint import load_checkpoint, save_checkpoint
from tests.campaigns.damaged_files import judge_checkpoint
from tests.support import damage
from tests.support.saved_files import FITTED, contents


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.npz"


@pytest.mark.parametrize("kind", FITTED)
def test_damaged_files_load_or_are_refused_by_name(path, kind):
    made = FITTED[kind]()
    made.save(path)
    whole, found = path.read_bytes(), []
    for name, change in (damage.BLIND | damage.SEEING).items():
        for number in range(12):
            path.write_bytes(change(whole, random.Random(f"{name} {number}")))
            found.append(judge_checkpoint(made, path, name in damage.BLIND))
    assert found.count("refused") > len(found) / 2


@pytest.mark.parametrize("text", damage.ODD_HEADERS, ids=range(len(damage.ODD_HEADERS)))
@pytest.mark.parametrize("version", [1, 2])
def test_an_odd_header_of_an_array_is_refused(path, text, version):
    data = damage.with_header(damage.npy(np.zeros(4, np.float32)), text)
    if version == 2:  # whose length has four bytes
        data = data[:6] + b"\2\0" + data[8:10] + b"\0\0" + data[10:]
    path.write_bytes(damage.archive([("w.npy", data)]))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, "layer")
    assert str(path) in str(caught.value)


def forms(array):
    """An array's entry as NumPy has written it in every version of the format, and Python 2."""
    data = damage.npy(array)
    (length,) = np.frombuffer(data[8:10], "<u2")
    header, rest = data[10 : 10 + length], data[10 + length :]
    yield data
    for version in (2, 3):
        yield b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(4, "little") + header + rest
    longs = header.replace(b"3, 4)", b"3L, 4L)")
    yield b"\x93NUMPY\1\0" + len(longs).to_bytes(2, "little") + longs + rest


@pytest.mark.parametrize("order", ["C", "F"])
def test_every_form_that_numpy_writes_is_read(path, order):
    array = np.asarray(np.arange(12.0).reshape(3, 4), order=order)
    save_checkpoint(path, "layer", {}, {})
    header = damage.entries(path.read_bytes())
    for data in forms(array):
        path.write_bytes(damage.archive([*header, ("w.npy", data)]))
        arrays, _ = load_checkpoint(path, "layer")
        np.testing.assert_array_equal(arrays["w"], array, strict=True)


def test_a_file_as_those_beyond_2_gib_are_is_read(path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    arrays = {"é": np.arange(50.0), "none": np.zeros((0, 3)), "one": np.array(2)}
    save_checkpoint(path, "layer", arrays, {"a": 1})
    assert b"PK\6\6" in path.read_bytes()
    found, settings = load_checkpoint(path, "layer")
    assert settings == {"a": 1}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


@pytest.mark.parametrize(
    ("n", "names", "message"),
    [
        (3, "w.npy", "its directory has 'w' twice"),
        (1001, "{}.npy", "its directory has 1001 entries in .* at most 1000 and"),
        (30, "a" * 50_000 + "{}.npy", "its directory has 30 entries in 1.* bytes; at most"),
    ],
)
def test_a_directory_of_too_much_is_refused_before_anything_is_read(path, n, names, message):
    data = damage.npy(np.zeros(10))
    path.write_bytes(damage.archive([(names.format(i), data) for i in range(n)]))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path, "layer")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(("place", "kind"), [(10, "<u2"), (12, "<u4"), (16, "<u4"), (20, "<u2")])
def test_every_number_at_the_end_of_a_directory_is_believed_only_if_it_fits(path, place, kind, by):
    """Entries, bytes of the directory, where it begins, and of a comment, which there is not."""
    save_checkpoint(path, "layer", {"w": np.ones(3)}, {})
    data = bytearray(path.read_bytes())
    number = np.frombuffer(data, kind, 1, len(data) - 22 + place)
    number += np.array(by).astype(kind)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        load_checkpoint(path, "layer")


def test_bytes_between_a_directory_and_its_end_are_refused(path):
    save_checkpoint(path, "layer", {"w": np.ones(3)}, {})
    data = path.read_bytes()
    path.write_bytes(data[:-22] + b"?" + data[-22:])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        load_checkpoint(path, "layer")


def test_entries_that_share_their_bytes_are_refused(path):
    """Of 3 MB each, in a file of 3 MB."""
    data = damage.npy(np.zeros(3 << 20, np.uint8))
    whole = bytearray(damage.archive([(f"{n:03}.npy", data) for n in (0, 1)]))
    first, second = (whole.find(b"PK\1\2"), whole.rfind(b"PK\1\2"))
    whole[second + 42 : second + 46] = whole[first + 42 : first + 46]
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="'001' is not where its directory says"):
        load_checkpoint(path, "layer")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_takes_no_more_memory_than_it_has_bytes(path, method):
    """Neither for what a header promises, nor for what 1 KB of compressed bytes would become."""
    shape = "{'descr': '<f8', 'fortran_order': False, 'shape': (100000000,), }"
    small = damage.with_header(damage.npy(np.zeros(4)), shape)
    large = damage.npy(np.zeros(10**7, np.uint8))
    data = small if method == zipfile.ZIP_STORED else large
    path.write_bytes(damage.archive([("w.npy", data)], method))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"800000000|is compressed"):
            load_checkpoint(path, "layer")
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_memory_that_does_not_suffice_names_the_file_and_is_no_damage(path, monkeypatch):
    def full(file):
        raise MemoryError("Unable to allocate 3. GiB")

    save_checkpoint(path, "layer", {"w": np.ones(3)}, {})
    monkeypatch.setattr(checkpoint, "read_arrays", full)
    with pytest.raises(MemoryError, match=r"file\.npz is too large .*: Unable to allocate"):
        load_checkpoint(path, "layer")


def test_an_error_of_the_disk_names_the_file_and_is_no_damage(path, monkeypatch):
    def broken(file):
        raise OSError(5, "Input/output error")

    save_checkpoint(path, "layer", {"w": np.ones(3)}, {})
    monkeypatch.setattr(checkpoint, "read_arrays", broken)
    with pytest.raises(OSError, match=r"Input/output error: '.*file\.npz'"):
        load_checkpoint(path, "layer")


@pytest.mark.parametrize("kind", ["mean_", "coef_"])
def test_what_could_not_be_loaded_is_not_saved(path, kind):
    made = FITTED["logistic" if kind == "coef_" else "zca"]()
    made.save(path)
    before = path.read_bytes()
    setattr(made, kind, getattr(made, kind).astype("float16"))
    with pytest.raises(ValueError, match=f"'{kind[:-1]}' has dtype float16; it must be float"):
        made.save(path)
    assert path.read_bytes() == before


def test_settings_changed_to_what_cannot_be_are_not_saved(path):
    made = FITTED["logistic"]().set_params(l2=-1)
    with pytest.raises(ValueError, match=r"l2 is -1; it must be a number in \[0, inf\)"):
        made.save(path)
    assert not path.exists()


def test_more_arrays_than_are_read_are_not_written(path):
    with pytest.raises(ValueError, match=f"there must be fewer than {archive.MAX_ENTRIES}"):
        save_checkpoint(path, "layer", {f"{n}": np.ones(1) for n in range(1000)}, {})
    with pytest.raises(ValueError, match=r"settings take 20000.. bytes; they must take at most"):
        save_checkpoint(path, "layer", {}, {"a": "x" * 2_000_000})
    most = {f"{n}": np.ones(1) for n in range(archive.MAX_ENTRIES - 1)}
    save_checkpoint(path, "layer", most, {})
    assert load_checkpoint(path, "layer")[0].keys() == most.keys()


def test_labels_of_every_kind_come_back(path):
    X = np.random.default_rng(0).random((12, 5))
    for labels in (["é", "b", "ü"], [False, True, False], np.array([3, -1, 2], ">i4")):
        y = np.resize(labels, 12)
        made = LogisticRegression(max_iter=2, verbose=False).fit(X, y)
        made.save(path)
        assert contents(LogisticRegression.load(path)) == contents(made)
