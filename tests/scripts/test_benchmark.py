"""The benchmark, run as a user runs it, on layers small enough for a test: its form, no timings."""

import importlib.util
import json

import benchmark
import numpy as np
import pytest
from bench import layers
from bench import peer as peers

from minisca.backends import get_backend
from tests.support.script_runs import refusal, run_script

LAYERS = 5
EARLIER = {"kept": True}


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """What some sections printed and wrote with --quick, beside a section of an earlier run."""
    output = tmp_path_factory.mktemp("benchmark")
    path = output / "figures.json"
    path.write_text(json.dumps({"sections": {"cold": EARLIER}}))
    done = run_script(
        "benchmark.py",
        *("steps", "transform", "stream", "large", "classifier", "--quick", "--repetitions", 2),
        *("--output", output, "--json", path),
    )
    assert done.returncode == 0, done.stderr
    sections = json.loads(path.read_text())["sections"]
    assert sections.pop("cold") == EARLIER
    return done.stdout, sections


def test_every_repetition_and_phase_of_every_layer_is_printed_and_written_down(tiny_run):
    printed, sections = tiny_run
    assert set(sections) == {"steps", "transform", "stream", "large", "classifier"}
    for section, calls in (
        ("steps", {"product", "minisca"}),
        ("transform", {"encode_winners", "encode_pooled"}),
    ):
        assert len(sections[section]["layers"]) == LAYERS
        for layer in sections[section]["layers"]:
            assert calls <= set(layer["seconds"]) == set(layer["median_seconds"])
            assert all(len(values) == 2 for values in layer["seconds"].values())
            assert all(value > 0 for value in layer["median_seconds"].values())
    for layer in sections["steps"]["layers"]:
        phases = ["encode", "decode and error", "backward", "update"]
        assert list(layer["phase_seconds"]) == phases
        of_stream = layer["shape"]["channels"] == 1 and layer["images"] == layers.IMAGES["digits"]
        assert printed.count(layer["layer"]) == 4 + of_stream  # steps, phases, notes, transform


def test_a_stream_is_of_first_layers_on_images_without_a_zero(tiny_run):
    printed, sections = tiny_run
    found = sections["stream"]["layers"]
    assert [layer["layer"] for layer in found] == [layer.name for layer in layers.LAYERS[:2]]
    for layer in found:
        assert layer["images"] == layers.IMAGES["normal"]
        assert all(spent > 0 for spent in layer["seconds"]["partial_fit"])
    assert "a batch of a stream, ms" in printed


def test_the_time_of_a_pixel_and_the_memory_of_large_images_are_printed(tiny_run):
    printed, sections = tiny_run
    assert [size["layer"]["size"] for size in sections["large"]["sizes"]] == [16, 32]
    for size in sections["large"]["sizes"]:
        assert {name: len(values) for name, values in size["seconds"].items()} == {
            "step": 2,
            "transform": 2,
        }
        assert all(0 <= n_bytes < 1 << 30 for n_bytes in size["beyond_bytes"].values())
        step = 1e9 * size["median_seconds"]["step"] / (4 * size["layer"]["size"] ** 2)
        assert f" {step:.0f} " in printed


def test_the_classifier_is_fitted_to_every_kind_of_features(tiny_run):
    printed, sections = tiny_run
    kinds = ["float32", "float16", "memory-mapped float16"]
    assert [fit["kind"] for fit in sections["classifier"]["fits"]] == kinds
    for fit in sections["classifier"]["fits"]:
        assert fit["converged"]
        assert fit["evaluations"] >= fit["iterations"] > 1
        assert f"{fit['seconds']:.1f}" in printed
    beside = sections["classifier"]["beside_scikit_learn"]
    losses = {fit["name"]: fit["loss"] for fit in beside["fits"]}
    assert [*losses][:3] == ["LinearSVM", "LinearSVM, float16", "LinearSVM, 20 passes"]
    assert losses["LinearSVM"] < losses["LinearSVM, 20 passes"]
    assert losses["LinearSVM, float16"] == pytest.approx(losses["LinearSVM"], rel=0.01)
    for theirs, ours in (("LinearSVC, primal", "LinearSVM"), ("scikit-learn", "minisca")):
        if theirs in losses:  # it penalises intercepts, or ends sooner
            assert losses[ours] <= losses[theirs] < 1.5 * losses[ours]
    assert ("scikit-learn" in losses) is beside["scikit_learn"]


def test_a_section_names_machine_versions_threads_and_command(tiny_run):
    for section in tiny_run[1].values():
        environment = section["environment"]
        assert environment["machine"]["cpu"]
        assert {"python", "numpy", "numba", "torch", "blas"} <= set(environment["versions"])
        assert environment["threads"]["numba"] >= 1
        assert environment["command"].startswith("python scripts/benchmark.py")


def test_the_peer_computes_the_same_loss_and_gradients(tiny_run):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed: there is no peer to compare with")
    for layer in tiny_run[1]["steps"]["layers"]:
        agreement = layer["agreement"]
        assert set(agreement["relative_differences"]) == {
            *("loss", "encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias")
        }
        for value in agreement["relative_differences"].values():
            assert value <= agreement["tolerance"] < 1e-4
        assert agreement["winners"] > 0
        assert len(layer["seconds"]["pytorch"]) == len(layer["seconds"]["pytorch best"]) == 2
        best = layer["agreement_of_best"]["pytorch best"]
        assert max(best["relative_differences"].values()) <= best["tolerance"]


def test_without_the_peer_the_table_says_so(capsys):
    bench = benchmark.Bench(benchmark.parse_arguments(["--no-peer"]))
    benchmark.print_environment(bench.environment())
    assert "pip install torch" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fastest"], "section is 'fastest'; it must be one of steps"),
        (["--repetitions", "0"], "--repetitions is 0; it must be at least 1"),
        (["--backend", "cuda"], "--backend must be cpu, or one or both of cupy,numba_cuda"),
        (["--backend", "cpu,cupy"], "--backend must be cpu, or one or both of"),
        (["--backend", "cupy", "fastest"], "section is 'fastest'; it must be one of steps"),
        (["--backend", "cupy", "threads"], "section is 'threads', which is the CPU's own: it comp"),
        (["--backend", "numba_cuda", "classifier"], "'classifier', which is the CPU's own: logist"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    assert message in refusal(benchmark, *arguments)


def test_a_peer_that_computes_something_else_is_found_and_stands_beside_its_times():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: there is no peer")
    layer = next(layer for layer in layers.LAYERS if layer.images == "sparse").tiny()
    x, parameters = layers.make_images(layer, None), layers.make_parameters(layer)
    step = layers.Step(get_backend("cpu"), x, parameters)
    peers.check_agreement(step, peers.PeerStep(torch, x, parameters))
    for name in ("encoder_filters", "decoder_filters"):
        others = parameters | {name: parameters[name] * 1.0005}
        with pytest.raises(peers.DisagreementError):
            peers.check_agreement(step, peers.PeerStep(torch, x, others))
        found = peers.agreement_with(step, peers.PeerStep(torch, x, others))
        assert "differ" in found["disagreement"]
        assert found["disagreement"] in peers.agreement_line(found)


def test_winners_may_differ_in_place_where_units_are_equal_and_nowhere_in_value():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: there is no peer")
    units = torch.tensor([[[1.0, 3.0, 3.0], [0.0, 2.0, 1.0]]])

    def differing(value, place):
        values, places = np.array([[value, 2.0]], np.float32), torch.tensor([[place, 1]])
        active = torch.ones(1, 2, dtype=torch.bool)
        return peers._compare_winners(torch, units, values, places, active, 1e-6)

    assert differing(3.0, 1) + differing(3.0, 2) == 1  # PyTorch's is one of the two
    for value, place in ((3.001, 1), (2.999, 2), (1.0, 0)):
        with pytest.raises(peers.DisagreementError, match="a winner's value differs"):
            differing(value, place)
