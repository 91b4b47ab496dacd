"""Data sets that need more memory than there is are refused by name."""

import gzip
import subprocess
import sys

import pytest

from minisca.datasets import cifar
from tests.support import mnist_files, norb_files

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")

LIMITED = """
import resource, sys
from minisca import datasets

pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (48 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        getattr(datasets, name)(path)
    except datasets.DatasetError as error:
        print(error)
"""


def bomb(path, header, n_bytes):
    """A gzip file of a header and so many zeros, in members of 8 MiB."""
    size = 8 << 20
    path.write_bytes(gzip.compress(header) + gzip.compress(bytes(size)) * (n_bytes // size))
    return path


def test_what_needs_more_memory_than_there_is_is_refused_by_name(tmp_path):
    """Bombs, and files that fit as bytes but not as float32."""
    idx = mnist_files.header("uint8", (16, 8 << 20))
    matrix = norb_files.header("uint8", (16, 8 << 20))
    digits = mnist_files.put(tmp_path / "digits", mnist_files.noise(0, (1 << 10, 1 << 10), 16, 4))
    (tmp_path / "pictures").mkdir()
    for name in cifar.FILES:
        (tmp_path / "pictures" / name).write_bytes(bytes(cifar.RECORD * 2000))
    cases = [
        ("read_idx", bomb(tmp_path / "a.gz", idx, 128 << 20)),
        ("read_norb_matrix", bomb(tmp_path / "b.gz", matrix, 128 << 20)),
        ("load_mnist", digits),
        ("load_cifar10", tmp_path / "pictures"),
    ]
    command = [sys.executable, "-c", LIMITED, *(str(each) for case in cases for each in case)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(cases)
    for (_, path), line in zip(cases, lines, strict=True):
        assert str(path) in line
        assert "needs more memory than there is" in line
