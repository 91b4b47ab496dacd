"""The tables' commands with --backend: all of a row on the device, beside the CPU's figures."""

import numpy as np
import pytest
from common.records import Stopwatch
from tables import images, report, rows, run
from tables.rows import Row, extended, planned

from minisca import LinearSVM, LogisticRegression, SoftmaxSGD
from minisca.backends import get_backend
from tests.support.backends import DEVICES
from tests.support.experiments import command, made_images, measured, table

LAYER = {"n_maps": 2, "filter_width": 3, "n_epochs": 1, "verbose": False, "pool_stride": 2}
over_devices = pytest.mark.parametrize("device", DEVICES)


def row_of(classifier, **options):
    return Row(layers=(LAYER, LAYER), classifier=classifier, **options)


def planned_on(device, row):
    return planned(row, 0, 512, command("", backend=device))


@over_devices
def test_a_row_is_planned_for_the_device_its_iterations_too(device):
    on_cpu = planned_on("cpu", row_of(LinearSVM(max_iter=20)))
    assert on_cpu.classifier.get_params() == LinearSVM(max_iter=20).get_params()
    assert not on_cpu.stays_on_device
    row = planned_on(device, row_of(LinearSVM(max_iter=20)))
    assert (row.classifier.backend, row.classifier.max_iter) == (device, rows.DEVICE_ITERATIONS)
    assert row.stays_on_device
    assert [layer["backend"] for layer in row.layers] == [device] * 2
    logistic = planned_on(device, row_of(LogisticRegression(max_iter=120))).classifier
    assert (logistic.backend, logistic.max_iter) == (device, 120)
    for made in (
        row_of(SoftmaxSGD()),
        row_of(LinearSVM(), scaling="per-map"),
        extended(row_of(LinearSVM()), {"concatenate": True}),
    ):
        assert not planned_on(device, made).stays_on_device


@over_devices
def test_a_row_runs_on_the_device_and_its_record_stands_beside_the_cpus(
    device, tmp_path, monkeypatch
):
    monkeypatch.setattr(rows, "DEVICE_ITERATIONS", 2)
    monkeypatch.setattr(run, "device_name", lambda name: None if name == "cpu" else "A GPU")
    seen, fit = [], LinearSVM.fit

    def noted(self, X, y, **options):
        seen.append(X)
        return fit(self, X, y, **options)

    monkeypatch.setattr(LinearSVM, "fit", noted)
    given = {"16": row_of(LinearSVM(max_iter=2, verbose=False))}
    measured(given, command(tmp_path))
    assert all(isinstance(each, np.ndarray) for each in seen)
    seen.clear()
    run.run_table(table(given), given, made_images(), command(tmp_path, backend=device))
    assert [get_backend(device).holds(each) for each in seen] == [True] * 2
    results = run.Results(tmp_path, resume=True)
    there, here = sorted(results.records, key=lambda record: record["backend"] == "cpu")
    assert (there["backend"], here["backend"]) == (device, "cpu")
    assert there["machine"]["device"] == "A GPU"
    assert there["seconds"].keys() == {"train", "encode", "classify", "total"}
    header, lines = report.results_table(table(given), results.records)
    assert header[-1] == "where"
    assert [line[-1] for line in lines] == sorted(["cpu", f"{device}, A GPU"])
    run.run_table(
        table(given), given, made_images(), command(tmp_path, backend=device, resume=True)
    )
    assert len(run.Results(tmp_path, resume=True).records) == 2


@over_devices
def test_images_are_prepared_on_the_device(device, tmp_path):
    rng = np.random.default_rng(0)
    data = made_images()._replace(train=rng.random((9, 1, 3, 3)), test=rng.random((4, 1, 3, 3)))
    right = images.prepare(data, "whitened", tmp_path)
    found = images.prepare(data, "whitened", tmp_path, backend=device)
    np.testing.assert_allclose(found.train, right.train, atol=1e-4)
    np.testing.assert_allclose(found.test, right.test, atol=1e-4)


def test_the_clock_is_read_when_the_device_is_done():
    calls = []
    watch = Stopwatch(lambda: calls.append("waited"))
    with watch("train"):
        calls.append("trained")
    assert calls == ["waited", "trained", "waited"]
    assert watch.seconds.keys() == {"train"}
