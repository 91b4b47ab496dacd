"""What the comparisons print and keep of several seeds, and what is measured of filters."""

import re

import compare_encodings
import compare_sparsity
import numpy as np
from paper_figures import filter_measures

from tests.support.script_runs import run_here


def test_of_several_seeds_the_means_are_printed_and_no_model_is_another_seeds(
    monkeypatch, tmp_path
):
    given = []

    def measure(run, results, fitted, encoding, n_maps):
        given.append((run.arguments.seed, encoding, n_maps, list(fitted)))
        fitted[run.arguments.seed] = True
        for place, pooling in enumerate(compare_encodings.L2):
            percent = 10 * run.arguments.seed + n_maps + place
            yield pooling, {"row": "r", "validation_accuracy_percent": float(percent)}

    monkeypatch.setattr(compare_encodings, "measure", measure)
    options = ["--seeds", 2, 5, "--maps", 3, 4, "--output", tmp_path]
    printed = run_here(compare_encodings, *options).splitlines()
    assert [call[:3] for call in given] == [
        (seed, encoding, n)
        for seed in (2, 5)
        for encoding in compare_encodings.ENCODINGS
        for n in (3, 4)
    ]
    assert all(set(fitted) <= {seed} for seed, *_, fitted in given)
    (header,) = (line for line in printed if line.startswith("validation accuracy"))
    columns = [f"{n} maps, {pooling}" for n in (3, 4) for pooling in ("quadrants", "maximum")]
    assert re.split(" {2,}", header)[1:] == columns
    for encoding in compare_encodings.ENCODINGS:
        (line,) = (line for line in printed if line.startswith(f"{encoding}  "))
        assert line.split()[-8::2] == ["38.00", "39.00", "39.00", "40.00"]  # of 20 and 50, and n


def test_a_rules_line_has_means_every_seeds_error_and_the_time_of_all():
    def record(n):
        settings = {"layers": [{"learning_rate": 0.05, "n_maps": 16}]}
        names = ("delta_share", "sharpness", "steepness")
        found = {f"median_{name}": n + k / 8 for k, name in enumerate(names)}
        found |= {"reconstruction_error": 10.0 * n, "dead_maps": n, "repeated_filters": 2 * n}
        found |= {"living_filters": 16 - n, "validation_error_percent": n / 2}
        return found | {"seconds": {"total": 100.0 * n}, "settings": settings}

    found = compare_sparsity.table_row("top-2", [record(1), record(3)])
    assert found == {
        **{"rule": "top-2", "rate": "0.05", "reconstruction": "20.00", "dead maps": "2 of 16"},
        **{"delta share": "2.00", "sharpness": "2.12", "steepness": "2.25", "repeated": "4 of 14"},
        **{"validation error": "1.00 %", "seeds": "0.50, 1.50", "time": "400 s"},
    }


def test_filters_are_described_by_those_of_living_maps_and_deltas_by_all():
    filters = np.zeros((4, 1, 5, 5))
    filters[0, 0, 2, 2] = 1  # a delta, dead
    filters[1, 0, 1:4, 1:4] = 1
    filters[2, 0, :3, :3] = 2  # the same at another place
    filters[3, 0, 0, 0] = -1  # a delta
    found = filter_measures.describe(filters, np.array([0.0009, 0.001, 0.5, 1.0]))
    assert (found["dead_maps"], found["living_filters"]) == (1, 3)
    assert found["deltas"] == 2
    assert found["delta_share"] == [1, 0.1111, 0.1111, 1]
    assert found["median_delta_share"] == 1 / 9
    spot = 12 / 9  # of its energy, between its rim and what is around
    assert found["median_sharpness"] == spot
    assert found["median_steepness"] == 1
    assert found["repeated_filters"] == 2
    dead = filter_measures.describe(filters[:1], np.zeros(1))
    assert (dead["median_delta_share"], dead["repeated_filters"], dead["dead_maps"]) == (1, 0, 1)
