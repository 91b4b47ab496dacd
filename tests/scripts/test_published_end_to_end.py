"""The way from images to an error rate is counted from what its rows are; none of it is timed."""

import pytest
from published import end_to_end


@pytest.fixture
def record(monkeypatch):
    kernels = [{"argument_bytes": 3.0, "flops": 5.0}, {"argument_bytes": 1.0, "flops": 0.0}]
    layers = {
        layer: {} for ways in end_to_end.WAYS.values() for way in ways for layer in way.layers
    }
    machine_code = {"kernels": kernels, "others": {"pooled features": kernels[:1]}}
    monkeypatch.setattr(end_to_end, "layers_of", lambda _: dict.fromkeys(layers, machine_code))
    times = {"minisca": 1e-3, "encode_pooled": 2e-3}
    monkeypatch.setattr(end_to_end, "medians_of", lambda _: dict.fromkeys(layers, times))


def test_phases_are_as_many_steps_and_batches_as_there_are(record):
    way = end_to_end.WAYS["30 s"][2]
    below, train, encode, classify = end_to_end.phases(way)
    assert below == (way.name, "encode by layer 1", 0, 700 * 3, 700 * 5, 700 * 2e-3)
    assert train == (way.name, "train layer 2", 0, 600 * 4, 600 * 5, 600 * 1e-3)
    assert encode[1:] == ("encode by layer 2", 0, 700 * 3, 700 * 5, 700 * 2e-3)
    times, features = end_to_end.FITS * end_to_end.EVALUATIONS, 60_000 * 2048 * 25
    vector = times * 10 * 2048 * 25
    assert classify[2] == 8 * vector
    assert classify[3] == times * 2 * features * 2 + 120 * 8 * vector  # in halves
    assert classify[4] == times * 4 * features * 10 + 66 * 64 * vector


def test_all_phases_are_summed_beside_the_aim_and_none_is_timed(record):
    table = end_to_end.gpu_end_to_end()
    assert {row[-1] for row in table.rows} == {"not yet timed"}
    assert [row[1] for row in table.rows if row[0] == "all"] == ["aim: 30 s", "aim: 5 minutes"]
    assert [row[0] for row in table.rows if row[0]][:3] == ["16 maps", "128 maps", "128, then 2048"]
