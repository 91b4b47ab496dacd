"""What the benchmark measures in processes of their own: memory, first steps."""

from types import SimpleNamespace

import pytest
from bench import children, classifier, cold, large, layers, memory

import minisca
from minisca.classifiers import logistic

LAYER = layers.Layer("made up", "normal", n_maps=3, channels=2, size=5, width=7, batch=4)


class Peak:
    """Memory that grows by 50 MB within the block, 9 MB of them the process's own."""

    beyond, private_beyond = 50_000_000, 9_000_000

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


def test_memory_of_training_is_what_is_beyond_parameters_velocities_and_gradients(monkeypatch):
    monkeypatch.setattr(memory, "PeakMemory", Peak)
    shape = {"channels": 1, "size": 8, "batch": 2, "n_maps": 4, "width": 3}
    found = memory.train({"shape": shape, "images": 4, "init_scale": 0.01, "pool": (3, 2)})
    parameters = 3 * 4 * (2 * 4 * 9 + 4 + 1)
    assert found["parameter_bytes"] == parameters
    assert found["beyond_bytes"] == 50_000_000 - parameters
    assert (found["images"], found["images_bytes"]) == (4, 4 * 4 * 64)


def test_memory_of_large_images_is_beyond_batch_reconstruction_and_features(monkeypatch):
    monkeypatch.setattr(large, "PeakMemory", Peak)
    found = large.measure_size({"side": 16, "repetitions": 1})
    batch, features = 4 * 4 * 3 * 16 * 16, 4 * 4 * 16 * 6 * 6
    assert found["batch_bytes"] == batch
    assert found["beyond_bytes"] == {
        "step": 50_000_000 - 2 * batch,
        "transform": 50_000_000 - features,
    }
    assert found["pixels"] == 4 * 16 * 16


@pytest.mark.parametrize("kind", classifier.KINDS)
def test_memory_of_a_fit_counts_no_pages_of_a_mapped_file(monkeypatch, tmp_path, kind):
    class Fitted:
        n_iter_, converged_, loss_ = 2, True, 0.5

        def __init__(self, **options):
            pass

        def fit(self, features, labels):
            for _ in range(3):
                logistic.loss_and_gradient(features)

    monkeypatch.setattr(classifier, "PeakMemory", Peak)
    monkeypatch.setattr(classifier, "_forbid_a_copy", lambda features: 3)
    monkeypatch.setattr(minisca, "LogisticRegression", Fitted)
    monkeypatch.setattr(logistic, "loss_and_gradient", lambda features: None)
    task = {"rows": 60, "features": 8, "kind": kind, "directory": str(tmp_path)}
    found, mapped = classifier.fit(task), kind.startswith("memory")
    assert found["beyond_bytes"] == (9_000_000 if mapped else 50_000_000)
    assert found["private_limit_bytes"] == (3 if mapped else None)
    assert found["features_bytes"] == 60 * 8 * (4 if kind == "float32" else 2)
    assert (found["evaluations"], found["iterations"]) == (3, 2)  # those before do not count


def test_a_first_process_is_not_counted(monkeypatch):
    tasks = []
    for module in (large, memory):
        monkeypatch.setattr(
            module, "run_child", lambda name, task: tasks.append(task) or len(tasks)
        )
    bench = SimpleNamespace(tiny=True, repetitions=2, layers=lambda names: [LAYER])
    assert large.measure_large(bench, None) == {"sizes": [2, 3]}
    assert [task["side"] for task in tasks] == [16, 16, 32]
    tasks.clear()
    assert memory.measure_memory(bench, None)["layers"][0]["runs"] == [2, 3]
    assert [task["images"] for task in tasks] == [4, 4, 8]


def test_a_child_gets_its_task_and_what_it_says_when_it_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    text = "import json, os, sys\nprint('noise')\nprint(json.dumps([json.loads(sys.argv[1]), "
    text += "os.environ['PLACE']]))\nsys.exit('why' if sys.argv[1] == '3' else 0)"
    (tmp_path / "child.py").write_text(text)
    assert children.run_child("child", {"a": 1}, PLACE="x") == [{"a": 1}, "x"]
    with pytest.raises(RuntimeError, match=r"child failed on 3:\nwhy"):
        children.run_child("child", 3, PLACE="x")


def test_a_cold_process_has_an_empty_folder_and_two_warm_ones_have_what_it_left(monkeypatch):
    given = []

    def child(name, task, **caches):
        given.append(sorted(set(caches.values())))
        seconds = len(given)
        return dict.fromkeys(
            ("import_minisca", "import_numpy", "first_step", "second_step"), seconds
        )

    monkeypatch.setattr(cold, "run_child", child)
    bench = SimpleNamespace(repetitions=2, layers=lambda names: [LAYER])
    found = cold.measure_cold(bench, SimpleNamespace(name="cpu", is_device=False))
    assert given[:2] == [[], []]
    assert [len(folders) for folders in given[2:]] == [1] * 6
    assert given[2] == given[3] == given[4] != given[5] == given[6] == given[7]
    (layer,) = found["layers"]
    assert [run["first_step"] for run in layer["cold"]] == [3, 6]
    assert (layer["median_cold_seconds"], layer["median_warm_seconds"]) == (4.5, 6)
    assert found["median_import_seconds"] == 1.5
