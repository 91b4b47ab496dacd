"""The benchmark's section `scale`: what ranks measure, and what is made of it."""

import json
import sys
from types import SimpleNamespace

import pytest
from bench import scale, scale_rank

from tests.support.ranks import needs_mpi

BENCH = SimpleNamespace(tiny=True, repetitions=3)


def asked(**more):
    return {"layer": 0, "tiny": True, "of": None, "repetitions": 3, **more}


@pytest.mark.parametrize(
    "what",
    [{"split": "plain"}, {"split": "maps", "of": 2}, {"split": "images", "of": 4}],
    ids=str,
)
def test_a_process_or_a_share_of_ranks_that_are_not_there_is_measured(what, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["scale_rank.py", json.dumps(asked(**what))])
    scale_rank.main()
    found = json.loads(capsys.readouterr().out)
    assert len(found["seconds"]) == 3
    assert min(found["seconds"]) > 0
    assert found["exchange_seconds"] == [0, 0, 0]


@needs_mpi
def test_ranks_tell_how_long_they_exchanged():
    found = scale.run_ranks(asked(split="maps"), 2, 1)
    for seconds, exchanging in zip(found["seconds"], found["exchange_seconds"], strict=True):
        assert 0 < exchanging < seconds


def test_efficiency_is_that_against_one_rank_and_an_estimate_is_named_so(monkeypatch, capsys):
    def run_ranks(asked, ranks, threads):
        return {"seconds": [0.08 / ranks + 0.01 * (ranks - 1)] * 3, "exchange_seconds": [0.01] * 3}

    monkeypatch.setattr(scale, "run_ranks", run_ranks)
    result = scale.measure_scale(BENCH, None)
    (layer,) = result["layers"].values()
    rows = {(row[""], row["ranks"]): row for row in scale.measured_rows(layer)}
    assert rows["maps split", 2]["efficiency"] == f"{0.08 / (2 * 0.05):.2f}"
    assert rows["plain, 2 threads", 1]["efficiency"] is None
    scale.report_scale(result)
    assert "An estimate, from one rank's share measured alone" in capsys.readouterr().out


def test_an_exchange_takes_the_time_of_its_bytes_and_messages():
    # of 8 MB over 4 ranks each sends 2 MB to three others, twice
    assert scale.exchange_seconds(8e6, 4, 10e9, 20e-6) == pytest.approx(6 * (16e6 / 10e9 + 20e-6))
