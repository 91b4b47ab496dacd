"""What the machine code of a step's kernels is read as, and what is estimated from it."""

import re

import benchmark
import pytest
from bench import compiled, launches, machine_code
from bench import run as runs
from bench.compiled import Instruction, counts, inner_loop
from bench.layers import LAYERS

from minisca.backends.cupy.runtime import launching

try:
    compiled.check_compiler()
except ImportError as error:
    pytest.skip(f"no compiler of machine code here: {error}", allow_module_level=True)

TEXT = """
extern "C" __global__ void mixed(const float* __restrict__ x, const float4* y, float* z, int n) {
    __shared__ float4 kept[64];
    kept[threadIdx.x] = y[threadIdx.x];
    __syncthreads();
    float sum = 0;
    #pragma unroll 1
    for (int j = 0; j < n; ++j) {
        z[j] = 0;
        #pragma unroll 1
        for (int i = 0; i < n; ++i) {
            const float4 four = kept[i];
            sum += four.x * x[i] + four.y * four.z * four.w;
        }
    }
    z[threadIdx.x] = sum;
}
"""


def test_the_inner_loop_of_a_kernel_is_found_and_counted():
    (kernel,), code = compiled.compile_text(TEXT, ("-std=c++17",), 90)
    assert (kernel.name, kernel.shared_bytes, kernel.spilled) == ("mixed", 1024, 0)
    (instructions,) = compiled.disassemble(code).values()
    whole, found = counts(instructions), counts(inner_loop(instructions))
    assert whole["stored to shared"] == whole["global, 16 bytes"] == 1
    assert found["shared, 16 bytes"] == found["global, less"] == 1
    assert 3 <= found["FFMA"] <= 4
    for kind in ("stored to shared", "stored to global", "global, 16 bytes", "HMMA", "local"):
        assert found[kind] == 0, kind
    assert found["all"] == sum(number for kind, number in found.items() if kind != "all")


def test_of_loops_the_busiest_of_the_innermost_counts():
    def code(text):
        jumps = re.findall(r"(\w+)(?:>(\d+))?", text)
        return [Instruction(name, int(target) if target else None) for name, target in jumps]

    loops = code("IADD FFMA BRA>1 FFMA FFMA BRA>3 IADD BRA>0 IADD IADD IADD IADD BRA>8")
    assert [i.name for i in inner_loop(loops)] == ["FFMA", "FFMA", "BRA"]
    assert [i.name for i in inner_loop(code("FFMA BRA>3 IADD EXIT BRA>4"))] == []
    # what is loaded in a loop of its own does not hide the products around it
    staged = code("FFMA BRA>0 HMMA LDG BRA>3 BRA>2 IADD IADD BRA>6")
    assert [i.name for i in inner_loop(staged)] == ["HMMA", "LDG", "BRA", "BRA"]
    assert len(inner_loop(code("LDG BRA>0 IADD LDG STG BRA>2"))) == 4
    # nor does a loss, which is summed in double, hide what it is the loss of
    summed = code("FFMA BRA>0 FFMA FFMA DFMA BRA>2")
    assert [i.name for i in inner_loop(summed)] == ["FFMA", "BRA"]


def test_kinds_of_instructions():
    names = "FFMA.FTZ HMMA.16816.F32 HFMA2.MMA LDS.128 LDS.U.64 LDSM.16.M88.4 LDG.E.128.CONSTANT"
    names += " LDG.E LDGSTS.E.BYPASS.128 LDL.LU STL STS.64 STG.E.128 DFMA FADD"
    found = counts([Instruction(name, None) for name in names.split()])
    assert found == {
        **{"all": 15, "FFMA": 1, "DFMA": 1, "HMMA": 1, "shared, 16 bytes": 2, "shared, less": 1},
        **{"stored to shared": 1, "global, 16 bytes": 2, "global, less": 1, "stored to global": 1},
        **{"local": 2, "other": 2},
    }


def test_what_a_step_launches_is_known_without_a_device_and_the_same_at_every_step():
    layer = LAYERS[0]
    found, again = (launches.launches_of(layer) for _ in range(2))
    assert found == again
    names = [launch.name for launch in found]
    assert names[-1] == "sgd_momentum_of_pieces"
    declared = "".join(entry.read_text() for entry in launching.FOLDER.iterdir())
    for launch in found:
        assert f"{launch.name}(" in launch.text
        assert launch.name in declared
        assert launch.blocks >= 1
        assert 32 <= launch.threads <= 1024


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_work_of_a_step_is_a_convolution_and_four_times_the_winners_patches(layer):
    """Decoding, the winners' slopes, and the gradients of two layers of filters.

    Where the tensor cores propose, the winners are computed once more.
    """
    launched = [launch.name for launch in launches.launches_of(layer)]
    assert work_of(launched) == (1, 4 + ("decide" in launched)), launched


def work_of(names):
    work = [machine_code.WORK.get(name, (0, 0)) for name in names]
    return tuple(map(sum, zip(*work, strict=True)))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_kernels_beside_a_steps_are_listed_by_what_they_are_for(layer):
    """Every layer's pooled features; winners where tensor cores find them in a step."""
    others = machine_code.other_launches_of(layer)
    names = {what: [launch.name for launch in found] for what, found in others.items()}
    step = {launch.name for launch in launches.launches_of(layer)}
    assert "pooled features" in names
    assert ("winners without tensor cores" in names) == bool(step & {"tensor_winners", "propose"})
    for what, launched in names.items():
        assert work_of(launched) == (1, 0), what


#: The files of encoders, decoders and gradients, and what of them no layer here asks for: dense
#: maps, images of a code that nothing is subtracted from, and a second layer's gradients alone.
NOT_LISTED = {
    **dict.fromkeys(("direct_tensor", "direct_halves", "halves", "proposals", "decisions"), ()),
    **{"staged": (), "direct": ("direct_maps",), "paste": ("paste",), "patch_updates": ()},
    **{"patches": ("walk_error", "walk_images"), "entries": ("sum_deltas",)},
}


def test_every_kernel_of_encoding_decoding_and_gradients_is_listed():
    names = set()
    for layer in LAYERS:
        for found in (launches.launches_of(layer), *machine_code.other_launches_of(layer).values()):
            names |= {launch.name for launch in found}
    for file, left_out in NOT_LISTED.items():
        assert kernels_in(file) - names == {*left_out}, file


def kernels_in(file):
    text = launching.FOLDER.joinpath(f"{file}.cu").read_text("utf-8")
    return set(
        re.findall(r'extern "C" __global__ void(?: __launch_bounds__\([^)]*\))?\s+(\w+)\(', text)
    )


def test_an_estimate_is_the_longer_of_issuing_and_of_memory():
    loop = dict.fromkeys(counts([]), 0) | {"all": 100, "FFMA": 50}
    start = machine_code.START_SECONDS
    rate = machine_code.SCHEDULERS * machine_code.CLOCK
    flops = 64 * 10**6
    # a million FFMA of warps, two instructions for each
    assert machine_code.estimate(flops, loop, 0) == pytest.approx(start + 2e6 / rate)
    loop |= {"all": 3, "FFMA": 0, "HMMA": 1}  # the tensor cores take longer than the issue
    assert machine_code.estimate(4096 * 10**6, loop, 0) == pytest.approx(start + 4e6 / rate)
    bound = machine_code.estimate(1, loop, 3 * 10**9)
    assert bound == pytest.approx(start + 3e9 / machine_code.BANDWIDTH)


def test_the_command_lists_every_kernel_of_a_step(monkeypatch, tmp_path, capsys):
    """Of one layer: each text takes the compiler seconds."""
    monkeypatch.setattr(runs, "LAYERS", LAYERS[1:2])
    options = ("--no-peer", "--output", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["benchmark.py", "machine-code", *options])
    assert benchmark.main() is None
    printed = capsys.readouterr().out
    names = [launch.name for launch in launches.launches_of(LAYERS[1])]
    for name in (*names, "spilled", "FFMA", "HMMA", "estimated for an H100", "direct_pooled"):
        assert name in printed
    (section,) = benchmark.read_sections(tmp_path / "benchmark.json").values()
    (layer,) = section["layers"]
    assert [kernel["name"] for kernel in layer["kernels"]] == names
    assert [kernel["name"] for kernel in layer["others"]["pooled features"]] == ["direct_pooled"]
    assert max(kernel["spilled_bytes"] for kernel in layer["kernels"]) == 0
    assert max(kernel["inner_loop"]["all"] for kernel in layer["kernels"]) > 50


def test_without_the_disassembler_the_command_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    monkeypatch.setattr("sys.argv", ["benchmark.py", "machine-code", "--output", str(tmp_path)])
    assert benchmark.main() == 1
    assert "pip install nvidia-cuda-nvdisasm" in capsys.readouterr().err
