"""Every kernel of the CuPy backend becomes machine code, for old and new GPUs; none spills.

Needs CuPy with NVRTC, but no device. Run with `-rP` to see the table of registers, shared memory
and spills that the assembler reports.
"""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from bench.compiled import compile_text, import_nvrtc

from minisca.backends.cupy import sgd
from minisca.backends.cupy.kernels import (
    direct,
    direct_tensor,
    paste,
    patches,
    slices,
    staged,
    tensor,
    tiles,
)
from minisca.backends.cupy.runtime import launching, machine

try:
    import_nvrtc()
except ImportError as error:
    pytest.skip(f"no CuPy with NVRTC here: {error}", allow_module_level=True)

ARCHITECTURES = (75, 90, 120)

#: Channels, side, maps and filter width of the paper's first layers: MNIST, CIFAR-10, NORB.
FIRST_LAYERS = [(1, 28, 128, 7), (3, 32, 512, 9), (1, 32, 128, 9)]
SECOND_LAYERS = [(128, 10, 2048, 5), (512, 8, 4096, 5)]
#: Whose filters take several rounds of taps; in float32 for 9.0 alone.
WIDE_SECOND_LAYERS = [(64, 10, 256, 7), (64, 8, 256, 9)]

#: Filter width, strip and group of second layers: MNIST, CIFAR-10, and of others.
STAGED = [(5, 5, 64), (5, 8, 64), (3, 7, 64), (7, 4, 128)]

FLOAT_ALONE = {
    *("halve_filters", "halve_images", "make_columns", "propose", "decide", "decide_crowds"),
    *("halve_patches", "tensor_winners"),
}
#: Threads of a block, the most that a kernel is launched with where that is not launching.THREADS.
MOST_THREADS = {
    **dict.fromkeys(("paste", "paste_and_subtract"), paste.THREADS),
    **dict.fromkeys(("halve_filters", "halve_images", "halve_patches"), tensor.HALVING_THREADS),
    **{"sum_up": 1024, "decide": 512},
}
OF_ALL_LAYERS = {paste.FILE, patches.FILE}
OF_SLICES = OF_ALL_LAYERS | {patches.FILE_OF_ENTRIES, patches.FILE_OF_UPDATES}
REGISTERS = 65536  # of a multiprocessor: a block that needs more cannot run


#: For tensor cores, float32 alone.
OF_TENSOR_CORES = {
    "halves.cu": [launching.kernel("halves.cu", "", "float32")],
    "proposals.cu": [tile.kernel() for tile in tensor.TILES[:3]],
    "decisions.cu": [
        tensor.Deciding(images, maps, stages, 0, 0).kernel("", k, width)
        for images, maps, stages, k, width in (
            (32, 1, 4, 3, 8),
            (128, 1, 2, 5, 10),
            (128, 2, 3, 5, 8),
        )
    ],
    "direct_halves.cu": [direct_tensor.kernel_of_halves(k) for k in (9, 7)],
    "direct_tensor.cu": [
        direct_tensor.TILES[i].kernel(k) for i, k in ((5, 7), (0, 9), (1, 9), (4, 9))
    ],
}


def compilations(dtype, architecture):
    """Every text with the options that it is compiled with, except for unusual filter widths.

    Of all layers' options in float32 for 9.0; elsewhere of the first of each list above.
    """
    some = slice(None) if (architecture, dtype) == (90, "float32") else slice(1)
    for file in sorted(
        entry.name for entry in launching.FOLDER.iterdir() if entry.name.endswith(".cu")
    ):
        if file == tiles.FILE:
            yield from ((file, tile.kernel("", dtype).options) for tile in tiles.TILES[some])
        elif file in OF_TENSOR_CORES:
            if dtype == "float32":
                yield from ((file, made.options) for made in OF_TENSOR_CORES[file][some])
        elif file == direct.FILE:
            found = options_of_first_layers(FIRST_LAYERS[some], dtype)
            yield from ((file, options) for options in found)
        elif file in OF_SLICES:
            layers = SECOND_LAYERS[some] + WIDE_SECOND_LAYERS * (some == slice(None))
            layers += FIRST_LAYERS[some] * (file in OF_ALL_LAYERS)
            yield from ((file, options) for options in options_of_slices(file, layers, dtype))
        elif file == staged.FILE:
            found = options_of_second_layers(STAGED[some], dtype)
            yield from ((file, options) for options in found)
        else:
            yield file, launching.options(dtype)
        if file == sgd.FILE:
            yield file, launching.options(dtype, RATES_ON_DEVICE=1)
        if file == "linear.cu" and dtype == "float32":
            yield file, launching.options(dtype, HALVES=1)
        if file == "items.cu":
            yield file, launching.options(dtype, ITEM="unsigned short")
            if dtype == "float32":
                yield file, launching.options(dtype, ITEM="unsigned char", TO_HALVES=1)


def options_of_first_layers(layers, dtype):
    found = []
    for channels, side, m, k in layers:
        x = np.empty((1, channels, side, side), dtype)
        layout = direct.make_layout(x, np.empty((m, channels, k, k), dtype))
        found.append(launching.options(dtype, FILTER_WIDTH=k, STRIP=layout.strip))
    return sorted(set(found))


def options_of_slices(file, layers, dtype):
    found = set()
    for channels, side, m, k in layers:
        layout = slices.make_layout((100, channels, side, side), k, dtype)
        for in_rounds in (False, True):
            macros = {"IN_ROUNDS": int(in_rounds)}
            if file == paste.FILE:
                own = paste.make_plan(layout, 100, m).own
                macros["OWN"] = paste.own_in_rounds(layout, own) if in_rounds else own
            if file == patches.FILE_OF_ENTRIES:
                macros = {}
            if file != patches.FILE_OF_UPDATES or patches.has_room(layout, in_rounds):
                found.add(layout.kernel(file, "", **macros).options)
    return sorted(found)


def options_of_second_layers(layers, dtype):
    for k, strip, group in layers:
        layout = staged.Layout(strip, group, 0, 0, 0)
        yield launching.options(dtype, **staged.macros(layout, k))


def show(architecture, file, options, kernel):
    macros = " ".join(option[2:] for option in options if option.startswith("-D"))
    print(
        f"{architecture / 10:4} {file:15} {kernel.name:18} {kernel.registers:>3} registers "
        f"{kernel.shared_bytes:>5} shared {kernel.spilled:>3} spilled  {macros}"
    )


def compile_kernels(file, options, architecture):
    """What the compiler says of the kernels of kernels/`file`."""
    return compile_text(launching.source(file), options, architecture, file)[0]


def test_cupy_has_the_names_that_the_backend_uses():
    cupy = pytest.importorskip("cupy")
    for name in ("asarray", "asnumpy", "empty", "zeros", "RawKernel"):
        assert callable(getattr(cupy, name))
    assert hasattr(cupy.RawKernel, "max_dynamic_shared_size_bytes")
    assert hasattr(cupy.cuda.runtime, "cudaDevAttrMaxSharedMemoryPerBlockOptin")
    assert machine.CuPy.failures.func(SimpleNamespace(xp=cupy))
    assert callable(cupy.get_default_memory_pool().free_bytes)
    assert callable(cupy.cuda.runtime.memGetInfo)


@pytest.mark.parametrize(
    ("architecture", "real"),
    [*((architecture, "float32") for architecture in ARCHITECTURES), (90, "float64")],
)
def test_every_kernel_compiles_fits_a_block_and_does_not_spill(monkeypatch, architecture, real):
    monkeypatch.setattr(machine, "platform", SimpleNamespace(shared_limit=96 << 10))
    names = set()
    for file, options in compilations(real, architecture):
        for kernel in compile_kernels(file, options, architecture):
            show(architecture, file, options, kernel)
            names.add(kernel.name)
            threads = MOST_THREADS.get(kernel.name, launching.THREADS)
            assert kernel.registers * threads <= REGISTERS
            if real == "float32":
                assert kernel.spilled == 0, f"{kernel.name} spills: {options}"
    assert names == declared_kernels() - (set() if real == "float32" else FLOAT_ALONE)


def declared_kernels():
    text = "".join(entry.read_text() for entry in launching.FOLDER.iterdir())
    heads = re.findall(r'extern "C" __global__ ([^{;]*)\{', text)
    return {re.search(r"\b(?!__)(\w+)\s*\(\s*(?=const|REAL|int)", head)[1] for head in heads}


def test_the_report_notices_a_kernel_that_spills(monkeypatch):
    """Half a thousand sums at once, in a kernel that may have 32 registers."""
    text = """
        extern "C" __global__ void __launch_bounds__(1024, 2) greedy(float* x, int n) {
            float sums[500] = {};
            for (int i = 0; i < n; ++i)
                #pragma unroll
                for (int j = 0; j < 500; ++j) sums[j] += x[i + j] * x[i];
            #pragma unroll
            for (int j = 0; j < 500; ++j) x[j] = sums[j];
        }"""
    monkeypatch.setattr(launching, "source", lambda file: text)
    (kernel,) = compile_kernels("greedy.cu", (), 90)
    assert (kernel.name, kernel.spilled > 0) == ("greedy", True)


def test_a_text_that_is_no_cuda_is_refused_with_the_compilers_words(monkeypatch):
    monkeypatch.setattr(launching, "source", lambda file: "__global__ void k( {}")
    with pytest.raises(RuntimeError, match="error"):
        compile_kernels("broken.cu", (), 90)
