"""The CuPy backend's kernels touch nothing out of bounds, in AddressSanitizer's eyes.

They are compiled and run by the emulator (cuda_emulator), which judges accesses itself in all other
tests; AddressSanitizer sees where local and __device__ arrays end as well. That it does, and that
it is told where the arrays of a launch end, is shown by faults planted in small kernels.
"""

import pytest

from minisca.backends.interface import SUPPORT_ROOMS
from tests.support.cases import CALLS
from tests.support.sanitized_kernels import CASES, library, run

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        library() is None, reason="no g++ on Linux with AddressSanitizer's library (libasan)"
    ),
]

# Accesses in functions of their own: the compiler must not see which array it is.
KERNEL = """
#define OUT_OF_SIGHT __device__ __attribute__((noipa))
__device__ float table[5];
OUT_OF_SIGHT void put(float* array, int at) { array[at] = 1; }
OUT_OF_SIGHT float get(const float* array, int at) { return array[at]; }
extern "C" __global__ void k(float* x) {
    extern __shared__ float buffer[];
    __shared__ float line[65];
    float mine[5] = {};
    int i = threadIdx.x;
    if (blockIdx.x != 1) return;
    put(buffer, i), put(line, i), put(mine, i % 5);
    __syncthreads();
    if (i == 9) { BODY; }
    __syncthreads();
    x[i] = mine[i % 5];
}
"""

# What thread 9 does, and AddressSanitizer's name for it. The lengths are odd, so the last element
# shares 8 bytes, AddressSanitizer's unit, with the first one outside.
FAULTS = {
    "local_by_pointer": ("put(mine, 5)", "WRITE", "stack-buffer-overflow"),
    "local_before_the_start": ("put(mine, -1)", "WRITE", "stack-buffer-underflow"),
    "argument_after_the_end": ("put(x, 65)", "WRITE", "use-after-poison"),
    "argument_before_the_start": ("x[0] = get(x, -1)", "READ", "use-after-poison"),
    "argument_by_atomics": ("atomicAdd(x + 65, 1.0f)", "READ", "use-after-poison"),
    "shared_after_the_end": ("put(line, 65)", "WRITE", "use-after-poison"),
    "shared_before_the_start": ("x[0] = get(line, -1)", "READ", "use-after-poison"),
    "dynamic_after_the_end": ("x[0] = get(buffer, 65)", "READ", "use-after-poison"),
    "dynamic_before_the_start": ("put(buffer, -1)", "WRITE", "use-after-poison"),
    "device_variable": ("x[0] = get(table, 5)", "READ", "global-buffer-overflow"),
    "far_away": ("put(x, 1 << 28)", "WRITE", "SEGV"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_access_out_of_bounds_ends_the_process_with_a_report(name):
    body, access, kind = FAULTS[name]
    done = run("kernel", text=KERNEL.replace("BODY", body))
    assert done.returncode == 99, done.stderr
    assert f"ERROR: AddressSanitizer: {kind} on" in done.stderr
    assert access in done.stderr
    assert "kernel.cu" in done.stderr
    assert done.stdout == ""


def test_the_same_kernel_within_its_arrays_is_not_reported():
    inside = "put(mine, 4), put(x, 64), put(line, 64), put(buffer, 64); table[4] = get(x, 64)"
    done = run("kernel", text=KERNEL.replace("BODY", inside))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["1.0"] * 65


def test_every_operation_of_the_backend_runs_without_a_report():
    done = run("operations")
    assert (done.returncode, done.stderr) == (0, "")
    names, launches = zip(*(line.split(": ") for line in done.stdout.splitlines()), strict=True)
    numbers_and_bytes = "gather"  # of these two kinds, one after the other
    of_all = [*CALLS * len(CASES), numbers_and_bytes, *SUPPORT_ROOMS["elements"]]
    assert list(names) == of_all
    assert all(int(n) > 0 for n in launches)
