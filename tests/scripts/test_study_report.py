"""What a study reports: effects are what they are said to be."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from studies.measure import Measure
from studies.report import effects, report, seed_spread
from studies.space import GONE, read_space

from tests.support.script_runs import ROOT

MEASURED = ROOT / "reference" / "measured"


def made_up(settings, seed, score):
    return {"settings": settings, "seed": seed, "validation_error_percent": score}


def differences(records, base):
    """{(setting, value): what it adds}."""
    found = effects(records, base, "validation_error_percent")
    return {(entry["setting"], entry["value"]): entry["difference"] for entry in found}


def test_in_a_star_an_effect_is_the_mean_of_paired_differences():
    rng = np.random.default_rng(0)
    base = {"a": 1, "b": 1}
    points = [base, {"a": 2, "b": 1}, {"a": 1, "b": 2}]
    scores = rng.random((3, 4))
    records = [
        made_up(point, seed, scores[place, seed])
        for place, point in enumerate(points)
        for seed in range(4)
    ]
    means = (scores - scores[0]).mean(axis=1)
    expected = {("a", 1): 0, ("a", 2): means[1], ("b", 1): 0, ("b", 2): means[2]}
    assert differences(records, base) == pytest.approx(expected, abs=1e-12)
    found = effects(records, base, "validation_error_percent")
    assert [entry["reference"] for entry in found] == [True, False, True, False]


def test_runs_without_pairs_tell_the_effects_that_made_the_scores():
    rng = np.random.default_rng(1)
    adds = {("a", 2): 0.3, ("b", "x"): -0.2, ("b", None): 0.1}
    records = []
    for _ in range(40):
        point = {"a": int(rng.integers(1, 3)), "b": [None, "w", "x"][rng.integers(3)]}
        seed = int(rng.integers(3))
        score = 1 + 0.05 * seed + sum(adds.get(item, 0) for item in point.items())
        records.append(made_up(point, seed, score))
    expected = {("a", 1): 0, ("b", "w"): 0, **adds}
    assert differences(records, {"a": 1, "b": "w"}) == pytest.approx(expected, abs=1e-9)


def test_effects_that_were_always_changed_together_are_not_told_apart():
    points = [{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 1}, {"a": 1, "b": 1, "c": 2}]
    records = [made_up(point, 0, score) for point, score in zip(points, (1, 3, 2), strict=True)]
    found = differences(records, points[0])
    assert found["a", 2] is found["b", 2] is None
    assert found["c", 2] == pytest.approx(1)


def test_the_spread_of_seeds_is_pooled_within_settings():
    records = [made_up({"a": a}, seed, 10 * a + seed) for a in (1, 2) for seed in (0, 2)]
    score = "validation_error_percent"
    assert seed_spread(records, score) == pytest.approx(np.sqrt(2))
    assert seed_spread(records[::2], score) is None


def test_a_kept_report_has_what_is_common_and_every_run_beside_it(tmp_path):
    records = [
        made_up({"a": a, "c": 5}, seed, 10.0 * a + seed)
        | {"data": "d", "key": "k", "seconds": 1.5, "machine": "m", "command": "study"}
        for a in (1, 2)
        for seed in (0, 2)
    ]
    space = SimpleNamespace(score="validation_error_percent", name="s", base=lambda: {"a": 1})
    kept = [tmp_path / name for name in ("kept.json", "kept.png", "kept.jsonl")]
    report(records, space, tmp_path / "out", kept)
    written, picture, runs = (path.read_bytes() for path in kept)
    assert written == (tmp_path / "out" / "report.json").read_bytes()
    assert picture == (tmp_path / "out" / "report.png").read_bytes()
    assert json.loads(written)["common_settings"] == {"c": 5}
    assert [json.loads(line) for line in runs.splitlines()] == records


@pytest.mark.parametrize(
    "path", sorted((MEASURED / "studies").glob("*.jsonl")), ids=lambda path: path.stem
)
def test_the_kept_reports_are_those_of_the_kept_runs(tmp_path, path):
    """Of values that layers no longer take, too: the file of the study has them no more."""
    kept = json.loads((MEASURED / f"study-{path.stem}.json").read_text())
    space = read_space(ROOT / "scripts" / "studies" / f"{path.stem}.toml")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    own = space.own(records)
    assert own == records
    space = space._replace(score=kept["score"])
    report(own, space, tmp_path, pictures=False)
    assert not (tmp_path / "report.png").exists()
    assert_same(json.loads((tmp_path / "report.json").read_text()), kept)


def assert_same(found, kept):
    """But for the last digits of sums, which every machine rounds in its own way."""
    if isinstance(kept, dict | list):
        assert type(found) is type(kept)
        assert list(found) == list(kept) if isinstance(kept, dict) else len(found) == len(kept)
        for key in kept if isinstance(kept, dict) else range(len(kept)):
            assert_same(found[key], kept[key])
    elif isinstance(kept, float):
        assert found == pytest.approx(kept, rel=1e-9, abs=1e-12)
    else:
        assert found == kept


def test_runs_of_long_ago_have_the_names_of_todays():
    """So that they are gone on from."""
    space = read_space(ROOT / "scripts" / "studies" / "mnist-128-layers.toml")
    lines = (MEASURED / "studies" / "mnist-128-layers.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    measure = Measure(SimpleNamespace(name=records[0]["data"]), space, None, "cpu")
    records = [record for record in records if GONE.items() <= record["settings"].items()]
    assert len(records) > 5
    assert {record["key"] for record in records} <= {measure.key(run) for run in space.runs([0, 1])}
