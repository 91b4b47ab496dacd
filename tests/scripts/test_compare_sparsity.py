"""The comparison of sparsity rules: its measures, and the script as a user runs it."""

import json

import compare_sparsity
import numpy as np
import pytest
from paper_figures import filter_measures as measures
from scipy.signal import correlate2d

import minisca
from minisca.datasets import DatasetNotFoundError
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.mnist_files import put_bars
from tests.support.script_runs import refusal, run_here, run_script

VARIANTS = ["winner-take-all", "top-2", "top-4", "top-8", "k-largest", "none", "tied", "lifetime"]


# Measures -------------------------------------------------------------------------------------


def test_a_delta_has_all_its_energy_in_one_pixel_and_a_flat_filter_as_little_as_can_be():
    filters = np.zeros((3, 2, 5, 5))
    filters[0, :, 1, 3] = 3, -4
    filters[1] = 7
    np.testing.assert_allclose(measures.delta_share(filters), [1, 1 / 25, 0])


def test_sharpness_of_a_delta_is_4_of_noise_nearly_and_of_an_edge_less():
    filters = np.zeros((3, 1, 9, 9))
    filters[0, 0, 4, 4] = -2
    filters[1] = np.random.default_rng(0).standard_normal((9, 9))
    filters[2, 0, :, :5], filters[2, 0, :, 5:] = 1, -1
    found = measures.sharpness(filters)
    assert found[0] == pytest.approx(4)
    assert found[1] == pytest.approx(4, abs=0.5)
    # from outside to 1 and to -1 and the step of 2 in each row; the columns' two ends
    assert found[2] == pytest.approx((9 * (1 + 4 + 1) + 9 * 2) / 81)


def test_steepness_of_a_delta_is_1_and_that_of_a_ramp_a_share_of_its_range():
    filters = np.zeros((3, 1, 9, 9))
    filters[0, 0, 4, 4] = -2
    filters[1, 0, 1:8, 1:8] = 3  # a large spot is as crisp as a small one
    filters[2, 0] = np.minimum(np.arange(9), np.arange(9)[::-1]) / 8  # by 1/8 up to 1/2, down again
    filters[2, 0, :, [0, -1]] = 0
    filters[2, 0] *= np.minimum(np.arange(1, 10), np.arange(1, 10)[::-1])[:, None] / 5
    found = measures.steepness(filters)
    np.testing.assert_allclose(found[:2], 1)
    assert found[2] == pytest.approx(1 / 4)
    np.testing.assert_allclose(measures.steepness(np.zeros((1, 2, 3, 3))), 0)


def test_shifted_correlations_are_those_of_a_loop_over_pairs():
    filters = np.random.default_rng(1).standard_normal((4, 3, 5, 5))
    found = measures.shifted_correlations(filters)
    for i, j in np.ndindex(4, 4):
        if i == j:
            assert found[i, j] == 0
            continue
        total = sum(correlate2d(a, b) for a, b in zip(filters[i], filters[j], strict=True))
        norms = np.linalg.norm(filters[i]) * np.linalg.norm(filters[j])
        assert found[i, j] == pytest.approx(total.max() / norms, rel=1e-9)


def test_a_shifted_copy_is_a_repetition_and_one_of_the_other_sign_is_not():
    filters = np.zeros((4, 1, 7, 7))
    filters[0, 0, 1:4, 1:4] = np.random.default_rng(2).standard_normal((3, 3))
    filters[1, 0, 3:6, 2:5] = 5 * filters[0, 0, 1:4, 1:4]
    filters[2] = -filters[0]
    filters[3, 0, 3] = 1
    correlations = measures.shifted_correlations(filters)
    assert correlations[0, 1] == pytest.approx(1)
    assert measures.repeated(filters) == 2
    assert measures.repeated(filters[1:]) == 0


# The script -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """A directory of IDX files: 50 images of an upright or a lying bar, two classes."""
    return put_bars(tmp_path_factory.mktemp("bars"), 50, 2, side=12, classes=2)


@pytest.fixture(scope="module")
def small_run(bars, tmp_path_factory):
    """4 maps, one epoch, whitened, two seeds: what was printed, the records, the arguments."""
    output = tmp_path_factory.mktemp("sparsity")
    arguments = ["--maps", 4, "--epochs", 1, "--quick", "--data-dir", bars, "--seeds", 3, 5]
    arguments += ["--whitened", "--output", output]
    done = run_script("compare_sparsity.py", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((output / "results.json").read_text()), arguments


def row_of(printed, name):
    (line,) = (line for line in printed.splitlines() if line.startswith(f"{name} "))
    return line


def test_every_rule_leaves_a_record_a_seed_and_one_row_of_their_means(small_run):
    printed, records, _ = small_run
    expected = [(f"sparsity-{name}", seed) for seed in (3, 5) for name in VARIANTS]
    assert [(record["row"], record["seed"]) for record in records] == expected
    data = f"{records[0]['data'].partition(',')[0]}, 40 training images, whitened"
    for record in records:
        assert record["data"] == data
        assert len(record["usage"]) == len(record["delta_share"]) == 4
        assert record["dead_maps"] == sum(usage < 0.001 for usage in record["usage"])
        assert 0 <= record["validation_error_percent"] <= 100
        assert record["reconstruction_error"] > 0
        assert record["command"].startswith("python scripts/compare_sparsity.py")
    for one, other in zip(records[:8], records[8:], strict=True):
        mean = (one["validation_error_percent"] + other["validation_error_percent"]) / 2
        assert f"{mean:.2f} %" in row_of(printed, one["row"].removeprefix("sparsity-"))


def test_rules_differ_in_nothing_but_the_rule_and_the_rate_where_more_survive(small_run):
    printed, records, _ = small_run
    settings = {r["row"].removeprefix("sparsity-"): r["settings"]["layers"][0] for r in records}
    rule = {"sparsity", "n_active", "tied", "lifetime"}
    for name, found in settings.items():
        differing = {key for key in found if found[key] != settings["winner-take-all"][key]}
        dense = name.startswith("top-") or name in ("none", "k-largest")
        assert differing <= rule | ({"learning_rate"} if dense else set())
    rates = {name: found["learning_rate"] for name, found in settings.items()}
    assert rates["winner-take-all"] == rates["tied"] == rates["lifetime"] == 0.1
    assert (rates["top-2"], rates["top-8"], rates["none"]) == (0.05, 0.0125, 0.003)
    assert settings["k-largest"]["n_active"] == 4
    assert "at its default but the learning rate" in printed
    assert row_of(printed, "none").split()[1] == "0.003"


def test_the_recorded_errors_are_those_of_the_saved_layers(small_run, bars):
    _, records, arguments = small_run
    halves = minisca.datasets.load_mnist(bars).validation_split()
    (train, labels), (validation, truth) = halves
    whitener = ZCA().fit(contrast_normalise(train))
    train, validation = (whitener.transform(contrast_normalise(x)) for x in (train, validation))
    for record in records:
        name = f"{record['row'].removeprefix('sparsity-')}-seed{record['seed']}-whitened.npz"
        layer = minisca.SparseConvAutoencoder.load(arguments[-1] / "layers" / name)
        assert record["reconstruction_error"] == pytest.approx(-layer.score(validation))
        np.testing.assert_allclose(record["usage"], layer.usage(train), atol=1e-5)
        classifier = minisca.LogisticRegression().fit(layer.transform(train), labels)
        accuracy = classifier.score(layer.transform(validation), truth)
        assert record["validation_accuracy_percent"] == round(100 * accuracy, 4)


def test_the_picture_is_written_and_resuming_measures_nothing_again(small_run):
    _, _, arguments = small_run
    picture, results = arguments[-1] / "pictures" / "whitened.png", arguments[-1] / "results.json"
    assert picture.read_bytes().startswith(b"\x89PNG")
    before = results.read_bytes()
    done = run_script("compare_sparsity.py", *arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert results.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--maps", "0"], "--maps is 0; it must be at least 1"),
        (["--images", "-3"], "--images is -3; it must be at least 1"),
        (["--epochs", "0"], "--epochs is 0; it must be at least 1"),
        (["--seeds", "0", "-1"], "--seeds has -1; it must be 0 or larger"),
    ],
)
def test_a_wrong_flag_is_named(arguments, message):
    assert message in refusal(compare_sparsity, *arguments)


def test_a_folder_without_data_is_named():
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        run_here(compare_sparsity, "--data-dir", "nowhere")
