"""Every kernel of the Numba CUDA backend compiles for the devices of today, without one of them.

Numba's simulator neither types a kernel nor compiles it; this does. The assembler of NVIDIA's
linker then tells what a kernel needs: nothing in the kernels of a training step may spill.
"""

import importlib
import os
import pkgutil
import re
from types import SimpleNamespace

import numba
import pytest

from tests.support.numba_cuda_kernels import KERNELS, PACKAGE, TRAINING_STEP, find

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")
if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

from cuda.bindings import nvjitlink
from numba import cuda, int32, int64

from minisca.backends.numba_cuda.kernels import direct
from minisca.backends.numba_cuda.runtime import launching

OLDEST, CURRENT = (7, 5), (9, 0)
#: For which the oldest device's PTX of a training step is assembled too.
OTHERS = [(8, 0), (8, 6), (10, 0), (12, 0)]
TYPES = {"float32": numba.float32, "float64": numba.float64}


def signature(name, dtype, words=None):
    """Numba's types of a kernel's arguments: numbers, or C-contiguous arrays."""
    types = {
        "f": TYPES[dtype],
        "d": numba.float64,
        "i": int32,
        "l": int64,
        "h": numba.types.float16,
        "b": numba.types.uint8,
    }
    found = []
    for word in (words or KERNELS[name]).split():
        (kind, rank), _, count = word.partition("x")
        axes = (slice(None),) * (int(rank) - 1) + (slice(None, None, 1),)
        one = types[kind][axes] if rank != "0" else types[kind]
        found.append(numba.types.UniTuple(one, int(count)) if count else one)
    return tuple(found)


@pytest.fixture
def compile_ptx(pretend):
    """compile_ptx(function, types, capability) -> PTX."""

    def compile_ptx(function, types, capability):
        pretend(capability)
        return cuda.compile_ptx(function, types, cc=capability)[0]

    return compile_ptx


COMPILED = [
    pytest.param(name, dtype, capability, id="{}-{}-sm_{}{}".format(name, dtype, *capability))
    for capability in (OLDEST, CURRENT)
    for name in KERNELS
    for dtype in TYPES
    if capability == OLDEST or name in TRAINING_STEP
]


@pytest.mark.parametrize(("name", "dtype", "capability"), COMPILED)
def test_every_kernel_compiles_to_ptx(compile_ptx, name, dtype, capability):
    ptx = compile_ptx(find(name).py_func, signature(name, dtype), capability)
    assert ".target sm_{}{}".format(*capability) in ptx
    assert ".entry" in ptx
    if dtype == "float32" and "d" not in KERNELS[name]:
        arithmetic = r"\b(add|sub|mul|fma|cvt|div|setp|max)\.[a-z0-9.]*f64"
        assert not re.search(arithmetic, ptx), "computes in float64"
    # The assembler takes it: nothing is called that is not there.
    of_all = name in TRAINING_STEP and (capability, dtype) == (OLDEST, "float32")
    others = OTHERS if of_all else ()
    for device in (capability, *others):
        registers, stack, spills = resources(ptx, device)
        print("{:48}{:5}.{}{:10}{:7}{:7}".format(name, *device, registers, stack, spills))
        if name in TRAINING_STEP:
            assert stack == spills == 0
            assert registers * 128 <= 65536  # a block of 128 threads has its registers


@pytest.mark.parametrize("kernel", ["direct_maps", "direct_winners", "direct_pooled"])
def test_three_blocks_of_an_encoder_are_on_a_multiprocessor_at_once(compile_ptx, kernel):
    name = f"kernels.direct.{kernel}"
    ptx = compile_ptx(find(name).py_func, signature(name, "float32"), (9, 0))
    registers, _, _ = resources(ptx, (9, 0))
    assert 3 * launching.THREADS * registers <= 65536


@pytest.mark.parametrize("capability", [(7, 5), (9, 0)], ids=str)
@pytest.mark.parametrize("name", ["linear", "multiply_rows", "square_rows"])
def test_features_in_halves_are_widened_where_they_are_read(compile_ptx, name, capability):
    name = f"kernels.linear.{name}"
    words = KERNELS[name].replace("f2", "h2", 1)
    ptx = compile_ptx(find(name).py_func, signature(name, "float32", words), capability)
    assert re.search(r"\bcvt\.f(32|64)\.f16", ptx)
    assert not re.search(r"\b(add|mul|fma)\.[a-z0-9.]*f16", ptx), "computes in halves"
    _, stack, spills = resources(ptx, capability)
    assert stack == spills == 0


@pytest.mark.parametrize("words", ["h1 f1 f1 l0 l0", "f1 f1 h1 l0 l0", "b1 f1 h1 l0 l0"])
def test_numbers_are_made_halves_and_of_halves_and_bytes(compile_ptx, words):
    ptx = compile_ptx(find("elements._cast").py_func, signature("", "float32", words), (9, 0))
    assert re.search(r"\bcvt\.(rn\.f16\.f32|f32\.f16)", ptx)
    assert not re.search(r"\b(sub|fma)\.[a-z0-9.]*f(16|64)", ptx), "computes in another type"


@pytest.mark.parametrize(("dtype", "wide"), [("float32", "v4.f32"), ("float64", "v2.f64")])
def test_an_encoder_reads_its_weights_several_at_a_time(compile_ptx, dtype, wide):
    name = "kernels.direct.direct_winners"
    ptx = compile_ptx(find(name).py_func, signature(name, dtype), (9, 0))
    assert f"ld.shared.{wide}" in ptx


def test_every_kernel_is_compiled_here():
    package, found = importlib.import_module(PACKAGE), set()
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            is_kernel = hasattr(value, "py_func") and not value.targetoptions.get("device")
            if is_kernel and value.py_func.__module__ == module.name:
                found.add(f"{module.name.removeprefix(f'{PACKAGE}.')}.{name}")
    assert found == set(KERNELS)


def resources(ptx, capability):
    """Registers a thread, bytes of stack and of spills of a kernel, as the assembler reports."""
    options = ["-arch=sm_{}{}".format(*capability), "-Xptxas=-v", "-verbose"]
    linker = nvjitlink.create(len(options), options)
    code = ptx.encode()
    nvjitlink.add_data(linker, nvjitlink.InputType.PTX, code, len(code), "kernel")
    nvjitlink.complete(linker)
    log = bytearray(nvjitlink.get_info_log_size(linker))
    nvjitlink.get_info_log(linker, log)
    nvjitlink.destroy(linker)
    pattern = r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
    stack, stores, loads = map(int, re.search(pattern, log.decode()).groups())
    registers = int(re.search(r"Used (\d+) registers", log.decode()).group(1))
    return registers, stack, stores + loads


def test_the_spill_report_notices_a_kernel_that_needs_memory(compile_ptx):
    """An array of sums that no register file holds, indexed as no compiler can foresee."""

    def kernel(x):
        sums = cuda.local.array(400, numba.float32)
        for i in range(400):
            sums[i] = x[i]
        x[0] = sums[int(x[1])]

    ptx = compile_ptx(kernel, (numba.float32[::1],), (9, 0))
    _, stack, spills = resources(ptx, (9, 0))
    assert stack + spills > 0


def layout(size, k, n_maps, itemsize=4):
    """The layout of a layer of square images."""
    images = SimpleNamespace(shape=(1, 1, size, size), dtype=SimpleNamespace(itemsize=itemsize))
    return direct.make_layout(images, SimpleNamespace(shape=(n_maps, 1, k, k)))


def test_the_paper_layers_fit_into_shared_memory():
    """MNIST, CIFAR-10 and both second layers are convolved by `direct`, in float32 and float64."""
    for itemsize in (4, 8):
        for size, k in ((28, 7), (28, 11), (32, 9), (10, 5), (8, 5)):
            assert layout(size, k, 128, itemsize) is not None


@pytest.mark.parametrize(
    ("size", "k", "group_size", "n_groups"), [(28, 7, 128, 1), (10, 5, 32, 4), (8, 5, 16, 8)]
)
def test_small_maps_have_several_groups_a_block(size, k, group_size, n_groups):
    """Of the paper's layers: a block has its four warps, and no group's members idle by halves."""
    found = layout(size, k, 2048)
    assert (found.group_size, found.n_groups) == (group_size, n_groups)
    assert found.group_size * found.n_groups == launching.THREADS


@pytest.mark.parametrize(("n", "groups"), [(25, (32, 4)), (49, (64, 2)), (121, (128, 1))])
def test_a_block_has_as_many_groups_as_it_has_threads_for(n, groups):
    """Of the taps of the paper's filters: as many slots a block correlates at once."""
    assert launching.groups_for(n) == groups


def test_no_group_is_without_maps_and_none_is_beyond_shared_memory(monkeypatch):
    assert layout(10, 5, 9).n_groups == 2
    whole = layout(10, 5, 2048)
    monkeypatch.setattr(launching, "SHARED_BYTES", whole.n_bytes - 1)
    assert layout(10, 5, 2048).n_groups == whole.n_groups - 1
    monkeypatch.setattr(launching, "SHARED_BYTES", 0)
    assert layout(10, 5, 2048) is None
