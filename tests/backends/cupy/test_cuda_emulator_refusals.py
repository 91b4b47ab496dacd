"""The emulator of CUDA kernels reports what a GPU leaves undefined, and refuses what one refuses.

Every fault that it promises to see is planted in a small kernel (support/cuda_emulator/faults.cu).
"""

import numpy as np
import pytest

from tests.support.cuda_emulator import (
    COMPILER,
    OPT_IN_LIMIT,
    STATIC_LIMIT,
    CompileError,
    KernelError,
    LaunchError,
    RawKernel,
    order,
)
from tests.support.cuda_emulator.examples import example, faults, faulty

pytestmark = pytest.mark.skipif(
    COMPILER is None, reason="the emulator compiles with g++: none here"
)


def zeros(n, dtype="int32"):
    return np.zeros(n, dtype)


@pytest.mark.parametrize("name", faults()[1])
def test_every_planted_fault_is_reported_in_every_order(in_order, name):
    fault, x = faults()[1][name], np.ones(64, np.float32)
    with pytest.raises(KernelError, match=fault.report) as raised:
        faulty(name)((fault.blocks,), (64,), (x,), shared_mem=256)
    places = tuple(f"kernel {name}, kernel.cu:{line}, block (" for line in fault.lines)
    assert str(raised.value).startswith(places), raised.value
    np.testing.assert_array_equal(x, 1, "a kernel that failed changes nothing")
    example("add")((1,), (64,), (x, x, x, np.int32(64)))
    np.testing.assert_array_equal(x, 2, "the emulator goes on")


def test_a_fault_names_block_and_thread():
    code = """extern "C" __global__ void k(float* x) {
        if (blockIdx.y == 2 && threadIdx.z == 3)
            x[threadIdx.x + 7] = 1;
    }"""
    place = r"^kernel k, kernel.cu:3, block \(0, 2, 0\), thread \(1, 0, 3\): write of 4 bytes"
    with pytest.raises(KernelError, match=place):
        RawKernel(code, "k")((1, 3), (2, 1, 4), (np.zeros(8, np.float32),))


@pytest.mark.parametrize(
    ("grid", "block", "shared_mem"),
    [
        ((0,), (32,), 0),
        ((1, 65536), (32,), 0),
        ((1, 1, 65536), (32,), 0),
        ((2**31,), (32,), 0),
        ((1, 1, 1, 1), (32,), 0),
        ((1,), (0,), 0),
        ((1,), (1025,), 0),
        ((1,), (32, 33), 0),
        ((1,), (1, 1, 65), 0),
        ((1,), (32,), STATIC_LIMIT + 1),
    ],
)
def test_a_launch_that_a_device_refuses_is_refused(grid, block, shared_mem):
    with pytest.raises(LaunchError, match=r"invalid configuration: .*kernel places"):
        example("places")(grid, block, (zeros(1),), shared_mem=shared_mem)


@pytest.mark.parametrize(
    "head",
    [
        "__global__ void __launch_bounds__(128)",
        "__launch_bounds__((1 + 3) * (sizeof(int) == 4 ? 32 : 0), int(2)) __global__ void",
        "__global__ __launch_bounds__(\n128, 2) void",
    ],
)
def test_launch_bounds_are_kept(head):
    kernel = RawKernel(f'extern "C" {head} k(int* x) {{ *x = 1; }}', "k")
    kernel((1,), (1,), (zeros(1),))
    with pytest.raises(LaunchError, match="has 129 threads, more than the 128 that kernel k"):
        kernel((1,), (129,), (zeros(1),))


def test_static_and_dynamic_shared_memory_share_the_limit():
    code = (
        'extern "C" __global__ void k(int* x) { __shared__ int whole[12 << 10];'
        "extern __shared__ int more[]; whole[0] = 1; if (x[0] > 0) more[x[0] - 1] = 1; }"
    )
    kernel = RawKernel(code, "k")
    kernel((1,), (1,), (zeros(1),))
    with pytest.raises(LaunchError, match="49152 bytes of static and 4 of dynamic shared memory"):
        kernel((1,), (1,), (zeros(1),), shared_mem=4)
    kernel.max_dynamic_shared_size_bytes = 50 << 10
    kernel((1,), (1,), (np.full(1, 50 << 8, np.int32),), shared_mem=50 << 10)
    with pytest.raises(LaunchError, match="must be 0 to 51200"):
        kernel((1,), (1,), (zeros(1),), shared_mem=(50 << 10) + 1)
    kernel.max_dynamic_shared_size_bytes = OPT_IN_LIMIT + 1
    with pytest.raises(LaunchError, match="max_dynamic_shared_size_bytes is 101377"):
        kernel((1,), (1,), (zeros(1),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: 1.0}, "argument 0 of kernel add is 1.0 of type .*float; it must be an array"),
        ({0: None}, "argument 0 of kernel add is None"),
        (
            {1: np.zeros(4, "float64")},
            "argument 1 of kernel add is an array of float64; the kernel takes float32",
        ),
        ({2: zeros(8, "float32")[::2]}, "argument 2 of kernel add is not C-contiguous"),
        ({3: 4}, r"argument 3 of kernel add is 4 of type .*int; .* pass numpy.int32\(\.\.\.\)"),
        ({3: 4.0}, "argument 3 of kernel add is 4.0 of type .*float"),
        ({3: np.int64(4)}, "argument 3 of kernel add is .* of type numpy.int64"),
        ({3: np.float32(4)}, "argument 3 of kernel add is .* of type numpy.float32"),
        ({3: zeros(1)}, "argument 3 of kernel add"),
        ({4: np.int32(4)}, "kernel add has 4 parameters, 5 given"),
    ],
)
def test_an_argument_that_is_not_the_parameter_is_refused(change, message):
    right = {i: zeros(4, "float32") for i in range(3)} | {3: np.int32(4)}
    example("add")((1,), (4,), tuple(right.values()))
    with pytest.raises(TypeError, match=message):
        example("add")((1,), (4,), tuple((right | change).values()))


def test_a_read_only_array_may_be_read_but_not_written():
    x, y = zeros(4, "float32"), zeros(4, "float32")
    x.flags.writeable = False
    example("add")((1,), (4,), (x, x, y, np.int32(4)))
    with pytest.raises(ValueError, match="argument 2 is a read-only array"):
        example("add")((1,), (4,), (y, y, x, np.int32(4)))


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("x[0] = y;", (), "kernel.cu:2:.*'y' was not declared"),
        ("x[0] = INFINITY;", (), "kernel.cu:2:.*'INFINITY' was not declared"),
        ("x[0] = __activemask();", (), "name the lanes in a mask"),
        ("__shared__ float y[] = {1};", (), "does not understand"),
        ("} __shared__ int y[4]; void l() {", (), "inside of a function"),
        ("float y; x[0] = y;", (), "kernel.cu:2:.*'y' is used uninitialized"),
        ("float y[40000]; y[int(x[0])] = 1; x[0] = y[3];", (), "frame size of .* is larger"),
        ("x[0] = 1;", ("--gpu-code=sm_90",), r"options .* not know: \['--gpu-code=sm_90'\]"),
        ("} void other() {", (), "no .* void k"),
    ],
)
def test_a_text_that_is_no_kernel_is_refused_with_the_line(code, options, message):
    head = "void j" if "other" in code else "__global__ void k"
    with pytest.raises(CompileError, match=message):
        RawKernel(f'extern "C" {head}(float* x) {{\n{code}\n}}', "k", options)


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="not in tuple"), order("sideways"):
        pass
