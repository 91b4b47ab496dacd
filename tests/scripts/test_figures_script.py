"""The script of the figures, run as a user runs it, on small data sets made for the test."""

import json
import shutil

import figures
import numpy as np
import pytest
from paper_figures import filter_measures

import minisca
from tests.support import cifar_files, mnist_files, norb_files
from tests.support.script_runs import refusal, run_here, run_script

SCRIPT = "figures.py"
PICTURES = ["1a", "1b", "1c", "2b", "2c", "3", "4", "5a-raw", "5b-whitened"]
LABEL = "bars of two colours"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folders of all three data sets: bars, lines, solids."""
    directory = tmp_path_factory.mktemp("data")
    cifar_files.put_bars(directory / "cifar-10-batches-bin", 20)
    norb_files.put_solids(directory / "smallnorb", 15, 5)
    mnist_files.put_bars(directory / "mnist", 60, 10)
    return directory


@pytest.fixture(scope="module")
def whole_run(data):
    """Every figure, --quick; what was printed, the output directory, the arguments."""
    output = data.parent / "out"
    arguments = ["--quick", "--data-dir", data, "--label", LABEL, "--output", output]
    return run_script(SCRIPT, *arguments), output, arguments


def read(output, name):
    return json.loads((output / f"figure-{name}.json").read_text())


def test_every_figure_is_drawn_and_has_its_numbers_and_its_datas_label_beside_it(whole_run):
    done, output, _ = whole_run
    assert done.returncode == 0, done.stderr
    for name in PICTURES:
        assert (output / f"figure-{name}.png").read_bytes().startswith(b"\x89PNG")
        for record in read(output, name):
            assert record["row"].startswith(f"figure-{name}")
            *phases, total = record["seconds"].values()
            assert phases
            assert total == pytest.approx(sum(phases), abs=0.01)
            assert record["command"].startswith("python scripts/figures.py")
            assert record["settings"]["quick"] is True
            assert (record["data"] == LABEL) == (name[0] in "124")  # of CIFAR's files, not others
            assert all(np.isfinite(loss) for losses in record["losses"] for loss in losses)


def test_the_numbers_are_those_of_the_filters_that_were_saved(whole_run):
    _, output, _ = whole_run
    (record,) = read(output, "2b")
    layer = minisca.SparseConvAutoencoder.load(output / "figure-2b.npz")
    assert layer.sparsity == "none"
    share = filter_measures.delta_share(layer.decoder_filters_)
    np.testing.assert_allclose(record["delta_share"], share, atol=1e-4)
    assert record["deltas"] == (share >= 0.5).sum()


def test_the_accuracies_are_of_three_methods_that_saw_the_same_images(whole_run):
    done, output, _ = whole_run
    records = read(output, "1c")
    assert {record["row"] for record in records} == {
        f"figure-1c-{method}-{n}-{kind}"
        for method in ("winner-take-all", "k-means", "supervised")
        for n in (2, 4)
        for kind in ("raw", "whitened")
    }
    assert {record["settings"]["train_images"] for record in records} == {80}
    assert {record["validation_images"] for record in records} == {20}
    for record in records:
        assert 0 <= record["validation_accuracy_percent"] <= 100
        assert f"{record['validation_accuracy_percent']:.2f}" in done.stdout
    best = max(record["validation_accuracy_percent"] for record in records)
    assert best >= 50  # of four classes: 25 by chance


def test_resuming_measures_the_missing_points_only(whole_run, tmp_path):
    _, output, arguments = whole_run
    shutil.copytree(output, tmp_path, dirs_exist_ok=True)
    records = read(output, "1c")
    (tmp_path / "figure-1c.json").write_text(json.dumps(records[:-1]))
    run_here(figures, "1c", "2c", "3", *arguments[:-1], tmp_path, "--resume")
    for name in ("2c", "3"):
        file = f"figure-{name}.json"
        assert (tmp_path / file).read_bytes() == (output / file).read_bytes()
    again = read(tmp_path, "1c")
    assert again[:-1] == records[:-1]
    assert again[-1]["losses"] == records[-1]["losses"]


def test_a_curve_can_be_asked_for_by_method_and_kind(whole_run, tmp_path):
    _, _, arguments = whole_run
    options = ["--methods", "k-means", "--kinds", "whitened", "--maps", 2]
    run_here(figures, "1c", *arguments[:-1], tmp_path, *options)
    assert [record["row"] for record in read(tmp_path, "1c")] == ["figure-1c-k-means-2-whitened"]


@pytest.fixture(scope="module")
def only_mnist(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("only")
    (directory / "mnist").symlink_to(data / "mnist")
    return directory


def test_a_figure_whose_data_set_is_missing_is_left_out_and_its_files_are_named(
    only_mnist, tmp_path
):
    options = ["--quick", "--data-dir", only_mnist, "--output", tmp_path]
    said = refusal(figures, "5", *options)
    assert "Figure 5 is left out." in said
    assert "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat" in said
    assert not list(tmp_path.iterdir())


def test_of_all_figures_those_without_a_data_set_are_left_out_in_peace(only_mnist, tmp_path):
    """Here without matplotlib, too: that is said first, and there are records and no picture."""
    options = ["--quick", "--data-dir", only_mnist, "--output", tmp_path]
    done = run_script(SCRIPT, *options, without="matplotlib")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("No pictures will be drawn: ")
    for name in ("1a", "1b", "1c", "2b", "2c", "4", "5"):
        assert f"Figure {name} is left out." in done.stdout
    assert "data_batch_1.bin" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} >= {"figure-3.json", "figure-3.npz"}
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["6"], "there is no figure '6'; the figures are 1a, 1b"),
        (["1c", "--maps", "16", "0"], "--maps is 0; it must be at least 1"),
        (["1c", "--methods", "pca"], "--methods: invalid choice: 'pca'"),
        (["--images", "0"], "--images is 0; it must be at least 1"),
        (["--epochs", "-1"], "--epochs is -1; it must be at least 1"),
        (["--seed", "-1"], "--seed is -1; it must be 0 or larger"),
        (["3", "--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_flag_is_named(arguments, message):
    assert message in refusal(figures, *arguments)
