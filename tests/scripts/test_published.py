"""The published tables hold what the records say, recomputed here."""

import json

import numpy as np
import pytest
import update_results
from published import page as pages
from published import speed, studies, tables

from tests.support.script_runs import ROOT

MEASURED = ROOT / "reference" / "measured"


def test_table_1_has_every_recorded_seed_and_their_mean_and_deviation():
    records = json.loads((MEASURED / "mnist.json").read_text())
    rows = {tuple(row[:2]): row[2:4] for row in tables.table_1_by_seed().rows}
    short = {row[0]: row[2:] for row in tables.table_1().rows}
    for row, name in tables.TABLE_1.items():
        for place, (classifier, end) in enumerate(
            (("logistic regression", "-logistic"), ("linear SVM", ""))
        ):
            found = [r for r in records if r["row"] == row + end]
            found.sort(key=lambda r: r["seed"])
            errors = [r["test_error_percent"] for r in found]
            mean, seeds = rows[name, classifier]
            assert seeds == (", ".join(f"{error:.2f}" for error in errors) or "–")
            if len(errors) > 1:
                assert mean == f"{np.mean(errors):.2f} ± {np.std(errors, ddof=1):.2f} %"
                assert short[name][place] == mean


def test_table_2_has_accuracies_of_every_seed_and_the_largest_memory(monkeypatch):
    for record in tables.read("cifar10"):
        assert record["test_accuracy_percent"] == pytest.approx(100 - record["test_error_percent"])
    common = {"validation_accuracy_percent": 71.0, "seconds": {"total": 600.0}}
    made = [
        {"row": row, "seed": seed, "test_accuracy_percent": 70.0 - seed, "peak_memory_gib": memory}
        | common
        for row in tables.TABLE_2
        for seed, memory in ((1, 6.0), (0, 1.25))
    ]
    monkeypatch.setattr(tables, "read", lambda name: made)
    cells = ["69.50 ± 0.71 %", "70.00, 69.00", "71.00 ± 0.00 %", "10 min", "6.0 GiB"]
    rows = tables.table_2().rows
    assert rows[0] == ["512 maps", "72.7 %", *cells]
    assert [row[0] for row in rows] == [*tables.TABLE_2.values()]  # other classifiers: no record
    made[0]["row"] += "-patches-logistic"
    assert tables.table_2().rows[1][0] == "512 maps, never trained: patches, logistic regression"


def test_figure_1c_is_a_table_of_methods_by_maps(monkeypatch):
    points = {"k-means-128-raw": 50.5, "k-means-16-raw": 40.5, "winner-take-all-128-whitened": 60.5}
    made = [
        {"row": f"figure-1c-{row}", "validation_accuracy_percent": value}
        for row, value in points.items()
    ]
    monkeypatch.setattr(tables, "read", lambda name: made)
    header, rows = tables.figure_1c()
    curves = (header.index("winner-take-all, whitened"), header.index("k-means, raw"))
    assert [row[0] for row in rows] == ["16", "128"]
    assert [[row[n] for n in curves] for row in rows] == [["–", "40.5 %"], ["60.5 %", "50.5 %"]]
    assert sum(cell != "–" for row in rows for cell in row[1:]) == 3


def test_a_study_is_a_table_of_what_each_value_adds(monkeypatch, tmp_path):
    tried = ((0.05, True, 0.0, None), (0.1, False, -0.03, 0.01), (None, False, 0.2, 0.02))
    names = ("value", "reference", "difference", "standard_error")
    effects = [{"setting": "rate", **dict(zip(names, each, strict=True))} for each in tried]
    made = {"study": "s", "runs": 6, "score": "error", "effects": effects}
    (tmp_path / "studies").mkdir()
    scores = ((0.05, 0.75), (0.1, 9))
    runs = [{"settings": {"rate": rate}, "error": error} for rate, error in scores]
    (tmp_path / "studies" / "s.jsonl").write_text("\n".join(map(json.dumps, runs)))
    monkeypatch.setattr(studies, "read", lambda name: made)
    monkeypatch.setattr(studies, "MEASURED", tmp_path)
    start = "0.75 (runs: 6; standard error of a difference: 0.02)"
    assert studies.study("s").rows == [
        ["[s](measured/study-s.json)", "nothing", "", start],
        ["", "`rate`", "0.05", "0.1: −0.03, off: +0.20"],
    ]


def test_the_sparsity_rules_are_a_table_of_means_over_seeds(monkeypatch):
    keys = [key for key, _ in studies.COLUMNS.values()]
    made = [
        {"row": f"sparsity-{rule}", "data": data} | dict.fromkeys(keys, value)
        for rule in studies.SPARSITY
        for data, values in (("d", (2, 4)), ("d, whitened", (5, 6)))
        for value in values
    ]
    monkeypatch.setattr(studies, "read", lambda name: made)
    cells = ["3.00 / 5.50", "3.0 / 5.5", *["3.00 / 5.50"] * 4]
    assert studies.sparsity().rows == [[name, *cells] for name in studies.SPARSITY.values()]


def test_what_was_not_measured_has_a_dash():
    assert tables.errors([]) == ["–"] * 3
    page = (ROOT / "reference" / "report.html").read_text(encoding="utf-8")
    assert page.count("<td>Winner-take-all, 128 maps</td><td>6.6 %</td><td>–</td>") == 1
    assert page.count("<td>Winner-take-all, 128 then 2048 maps</td><td>4.7 %</td><td>–</td>") == 1


def test_a_row_has_its_test_errors_then_its_validation_errors():
    records = [
        {"test_error_percent": t, "validation_error_percent": v}
        for t, v in ((1.0, 5.0), (2.0, 7.0))
    ]
    assert tables.errors(records) == ["1.50 ± 0.71 %", "1.00, 2.00", "6.00 ± 1.41 %"]


def test_speed_is_minisca_beside_pytorch(monkeypatch):
    made = {
        "layer": "L",
        "floor_seconds": 0.002,
        "median_seconds": {"minisca": 0.003, "pytorch": 0.06},
        "multiple_of_floor": {"minisca": 1.5},
    }
    alone = made | {"median_seconds": {"minisca": 4.0}}
    found = {"sections": {"steps": {"layers": [made, alone]}}}
    monkeypatch.setattr(speed, "read", lambda name: found)
    assert speed.steps().rows[0] == ["L", "2 ms", "3 ms", "1.50", "–", "60 ms", "20 ×"]
    assert speed.speed().rows == [["L", "3 ms", "60 ms", "20 ×"], ["L", "4 s", "–", "–"]]
    made["median_seconds"] |= {"pytorch best": 0.007, "pytorch best compiled": 0.006}
    made["best_made_of"] = {"pytorch best": {}, "pytorch best compiled": {}}
    first, second = speed.speed().rows
    assert first == ["L", "3 ms", "60 ms", "20 ×", "6 ms", "2.0 ×"]
    assert second == ["L", "4 s", *["–"] * 4]


def test_a_layers_other_figures_stand_in_the_column_that_names_them(monkeypatch):
    def section(**figures):
        return {"layers": [{"layer": "L"} | figures]}

    made = {"steps": section(), "transform": section(ratio=0.5), "threads": section(speed_up=1.75)}
    made["cold"] = section(median_cold_seconds=30.0, median_warm_seconds=0.25)
    made["memory"] = section(runs=[{"beyond_bytes": 3e6}, {"beyond_bytes": 2e6}])
    monkeypatch.setattr(speed, "read", lambda name: {"sections": made})
    assert speed.by_layer().rows == [["L", "0.50", "1.75 ×", "30.0 s", "0.25 s", "3 MB"]]


def test_the_classifiers_stand_beside_scikit_learns(monkeypatch):
    fit = {"objective": "SVM", "name": "LinearSVC", "seconds": 8.24, "beyond_bytes": 613e6}
    beside = {"rows": 6000, "features": 640, "fits": [fit | {"loss": 0.01172, "error": 0.0365}]}
    made = {"sections": {"classifier": {"beside_scikit_learn": beside}}}
    monkeypatch.setattr(speed, "read", lambda name: made)
    table = speed.classifier_peers()
    assert table.header[0] == "6,000 × 640 features"
    assert table.rows == [["SVM", "LinearSVC", "8.2 s", "613 MB", "0.0117", "3.65%"]]


def test_a_stream_a_busy_machine_and_whole_rows_have_their_tables(monkeypatch):
    stream = {"median_seconds": {"partial_fit": 0.00123}, "multiple_of_floor": {"partial_fit": 1.5}}
    stream = {"layers": [stream | {"layer": "A", "floor_seconds": 8e-4}]}
    beside = {"0": {"median_seconds": {"1": 0.01, "2": 0.006}}}
    busy = {"threads": 2, "layers": [{"layer": "A", "beside": beside}]}
    records = [
        {"row": "mnist-16", "seconds": {"train": 25.7, "total": 26.0}},
        {"row": "cifar-512", "seconds": {"prepare": 1, "train": 2, "total": 3}},
    ]
    made = {"benchmark": {"sections": {"stream": stream, "busy": busy}}, "end-to-end": records}
    monkeypatch.setattr(speed, "read", made.get)
    assert speed.stream().rows == [["A", "0.8 ms", "1.23 ms", "1.50", "–"]]
    assert speed.aim("MNIST layer 1, 16 maps", 1) == "3.00"
    assert speed.busy().rows == [["A", "0", "10 ms", "6 ms", "0.60"]]
    table = speed.end_to_end()
    assert table.header == ["row", "prepare", "train", "together"]
    assert table.rows == [
        ["mnist-16", "–", "26 s", "26 s"],
        ["cifar-512", "1 s", "2 s", "3 s"],
    ]


def test_how_a_step_grows_is_beside_how_its_arithmetic_does(monkeypatch):
    axes = {
        name: {
            "slope_of_larger_half": n + 0.25,
            "slope_of_floor": n,
            "points": [{"at": 1}, {"at": 9}],
        }
        for n, name in enumerate(speed.GROWING)
    }
    made = {"sections": {"growth": {"axes": axes}}}
    monkeypatch.setattr(speed, "read", lambda name: made)
    rows = [[words, "1 to 9", f"{n}.25", str(n)] for n, words in enumerate(speed.GROWING.values())]
    assert speed.growth().rows == rows


def test_encodings_stand_under_the_pooling_and_the_maps_that_they_had(monkeypatch):
    kinds, found = [*tables.ENCODINGS], {}
    for n, kind in enumerate(kinds):
        for k, column in enumerate(("quadrants-64", "maximum-64", "quadrants-256", "maximum-256")):
            found[f"encoding-{kind}-{column}"] = f"{n}{k}"
    monkeypatch.setattr(tables, "accuracies", lambda name: found)
    header, rows = tables.encodings()
    assert header[1:] == [f"{n} maps, {p}" for n in (64, 256) for p in ("quadrants", "8 × 8")]
    assert rows == [
        [name, *(f"{n}{k}" for k in range(4))] for n, name in enumerate(tables.ENCODINGS.values())
    ]


def test_the_papers_tables_quote_its_methods_before_its_own_rows():
    paper = tables.paper()
    for heading, name, rows, form in pages.TABLES:
        section = pages._paper_table(heading, name, rows, form)
        quoted = paper["compared"][name]["methods"]
        assert [row[0] for row in section.rows[: len(quoted)]] == [m["name"] for m in quoted]
        ours = {row[0]: row[1] for row in section.rows[len(quoted) :]}
        for row, words in rows.items():  # there may be others, of other classifiers, say
            assert ours[f"Winner-take-all, {words}"] == form.format(
                paper["experiments"][row]["value"]
            )


def test_check_fails_on_a_stale_page_and_changes_nothing(monkeypatch, tmp_path):
    page, report = tmp_path / "p.md", tmp_path / "r.html"
    monkeypatch.setattr(update_results, "PAGES", [page])
    monkeypatch.setattr(update_results, "REPORT", report)
    monkeypatch.setattr(update_results, "updated", str.upper)
    monkeypatch.setattr(update_results, "write_page", lambda path: path.write_text("new"))
    page.write_text("old")

    def run(*options):
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["update_results.py", *options])
            return update_results.main()

    assert run("--check") == "stale: p.md, r.html; run python scripts/update_results.py"
    assert page.read_text() == "old"
    assert not report.exists()
    assert run() == 0
    assert (page.read_text(), report.read_text()) == ("OLD", "new")
    assert run("--check") == 0
