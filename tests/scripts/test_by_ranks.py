"""A command that ranks run together leaves what it leaves on one, and their number."""

import pytest

from tests.support.mnist_files import put_bars
from tests.support.ranks import needs_mpi, start_ranks
from tests.support.script_runs import ROOT, read_records


def run(folder, n):
    """What `reproduce_mnist.py` prints on n ranks, and the one record that it leaves."""
    options = [
        "--rows",
        "16",
        "--quick",
        "--data-dir",
        folder / "data",
        "--output",
        folder / f"{n}",
    ]
    process = start_ranks(n, ROOT / "scripts" / "reproduce_mnist.py", *options)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    (record,) = read_records(folder / f"{n}")
    return said, record


@needs_mpi
@pytest.mark.filterwarnings("ignore")
def test_a_table_is_measured_by_ranks_with_the_same_figures_on_any_number(tmp_path):
    put_bars(tmp_path / "data", 120, 40)
    (_, one), (said, two) = (run(tmp_path, n) for n in (1, 2))
    assert (one["ranks"], two["ranks"]) == (1, 2)
    for name in ("losses", "test_error_percent", "validation_error_percent", "settings"):
        assert one[name] == two[name]
    for kind in ("layers", "classifiers"):
        files = [sorted((tmp_path / n / kind).glob("*.npz")) for n in "12"]
        assert [[path.name for path in found] for found in files] == [[files[0][0].name]] * 2
    for line in ("Backend:", "row 16, seed 0", "Records:"):  # of the first alone
        assert said.count(line) == 1
