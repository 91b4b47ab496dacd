"""What the host spends on a step: next to nothing where it is replayed."""

import json

from tests.support.script_runs import run_script


def test_the_host_spends_next_to_nothing_on_a_step_that_is_replayed(tmp_path):
    """Kernel by kernel it spends many times as much, with as many launches as a step has."""
    done = run_script("benchmark.py", "host", "--quick", "--no-peer", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    sections = json.loads((tmp_path / "benchmark.json").read_text())["sections"]
    for layer in sections["host"]["layers"]:
        assert 3 < layer["launches"] < 20
        seconds = layer["median_seconds"]
        assert seconds["replayed"] < min(40e-6, seconds["launched"] / 5)
        assert done.stdout.count(layer["layer"]) == 1
    assert "host, µs a step" in done.stdout
