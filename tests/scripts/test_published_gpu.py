"""The GPU's tables hold what its record says; what was not measured has a dash."""

import pytest
from published import gpu

LOOP = {"all": 10, "FFMA": 4, "DFMA": 0, "HMMA": 2, "shared, 16 bytes": 3, "shared, less": 1}
LOOP |= {"global, 16 bytes": 0, "global, less": 2}
KERNEL = {"name": "k", "blocks": 1200, "threads": 64, "registers": 9, "spilled_bytes": 0}
KERNEL |= {"shared_bytes": 2500, "argument_bytes": 3e6, "flops": 2e9, "inner_loop": LOOP}
KERNEL |= {"estimated_seconds": 2e-6}
PROFILE = {"name": "k", "seconds": 3e-6, "sm_percent": 11, "memory_percent": 22}
PROFILE |= {"warps_percent": 33, "grid": [400, 3, 1], "block": [64, 1, 1]}


@pytest.fixture
def record(monkeypatch):
    """Put sections in the record's place: {name: what each of its layers, "L", has}."""

    def put(**sections):
        made = {
            name.replace("_on_", " on ").replace("machine_code", "machine-code"): {
                "layers": [{"layer": "L"} | found]
            }
            for name, found in sections.items()
        }
        monkeypatch.setattr(gpu, "read", lambda name: {"sections": made})

    return put


def test_a_step_stands_beside_the_other_columns_and_pytorchs(record):
    record(
        steps_on_cupy={"median_seconds": {"minisca": 50e-6}},
        steps_on_numba_cuda={"median_seconds": {"minisca": 2e-3}},
        peers={"median_seconds": {"plain, float32": 1e-3, "plain, TF32": 4e-4}},
    )
    ((row),) = gpu.gpu_steps().rows
    assert row == ["L", "50 µs", "2 ms", "1 ms", "400 µs", "20.0 ×", "8.0 ×"]
    record(steps_on_cupy={"median_seconds": {"minisca": 50e-6}})
    assert gpu.gpu_steps().rows == [["L", "50 µs", *["–"] * 5]]


def test_pytorchs_steps_stand_by_precision_the_compiled_ones_among_them(record):
    times = {"plain, float32": 1e-3, "best, float32": 2e-3, "best, TF32": 3e-3}
    record(
        peers={"median_seconds": times, "best_made_of": {"TF32": {"ways": {"encode": "dense"}}}},
        compiled={"median_seconds": {"compiled, TF32": 4e-3, "best compiled, TF32": 5e-3}},
    )
    assert gpu.gpu_peers().rows == [
        ["L", "float32", "1 ms", "–", "–", "2 ms", "–"],
        ["", "TF32", "–", "4 ms", "–", "3 ms", "5 ms"],
    ]
    assert gpu.gpu_ways().rows == [["L", "TF32", "dense"]]


def test_a_kernel_has_its_own_profile_by_name_and_turn(record):
    record(
        machine_code={"kernels": [KERNEL, KERNEL | {"name": "other", "spilled_bytes": 8}, KERNEL]},
        kernels_on_cupy={
            "kernels": [PROFILE, PROFILE | {"grid": [9, 1, 1]}, PROFILE | {"seconds": 5e-6}]
        },
    )
    first, other, second, total = gpu.gpu_kernels().rows
    assert first == [
        *("L", "`k`", "1,200 × 64", "2", "3", "9", "0", "2.5", "4 FFMA + 2 HMMA of 10", "3 of 6"),
        *("2 µs", "3 µs", "11 %", "22 %", "33 %"),
    ]
    assert (second[0], second[11]) == ("", "5 µs")
    assert other[5:7] == ["9", "8"]
    assert other[11:] == ["not yet timed", "", "", ""]
    assert total[-5:] == ["6 µs", "–", "", "", ""]
    record(machine_code={"kernels": [KERNEL]}, kernels_on_cupy={"kernels": [PROFILE]})
    assert gpu.gpu_kernels().rows[-1][-5:-3] == ["2 µs", "3 µs"]


def test_other_kernels_stand_by_layer_and_by_what_they_are_for(record):
    record(machine_code={"kernels": [], "others": {"this": [KERNEL, KERNEL], "that": [KERNEL]}})
    header, rows = gpu.gpu_other_kernels()
    assert [row[:3] for row in rows] == [
        *(["L", "this", "`k`"], ["", "", "`k`"], ["", "", "all"]),
        *(["L", "that", "`k`"], ["", "", "all"]),
    ]
    assert {len(row) for row in rows} == {len(header)}
    assert rows[0][12] == "not yet timed"
    assert rows[2][11:13] == ["4 µs", "–"]


def test_operations_and_encoding_stand_by_layer(record):
    record(
        steps_on_cupy={"phase_seconds": {"encode": [1e-6, 3e-6, 2e-6], "update": [4e-6]}},
        transform_on_cupy={"ratio": 1.125},
    )
    assert gpu.gpu_phases("cupy") == (["`cupy`", "encode", "update"], [["L", "2 µs", "4 µs"]])
    assert gpu.gpu_phases("numba_cuda").rows == []
    assert gpu.gpu_transform().rows == [["L", "1.12", "–"]]
