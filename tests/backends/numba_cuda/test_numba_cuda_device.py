"""What only the Numba CUDA backend can get wrong; runs on a device, or on the simulated one."""

import numpy as np
import pytest

import reference
from minisca.backends import get_backend
from tests.support.backends import FOUND, SIMULATED
from tests.support.cases import CALLS, Case, arguments, as_dtype, call
from tests.support.helpers import as_tuple, assert_within, rounding_bound
from tests.support.numba_cuda_kernels import KERNELS, PACKAGE

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")

from numba import cuda

from minisca.backends.numba_cuda.kernels import convolution, survivors
from minisca.backends.numba_cuda.runtime import launching, machine, memory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif("numba_cuda" not in FOUND, reason="no CUDA device, or no numba-cuda"),
]
CASE = Case(3, 2, 4, 5, 4, 3)


@pytest.fixture
def numba_cuda():
    return get_backend("numba_cuda")


def on_host(backend, results):
    return [backend.to_host(result) for result in as_tuple(results)]


@pytest.mark.parametrize("name", ["conv2d", "encode_winners", "encode_pooled"])
def test_what_does_not_fit_into_shared_memory_is_computed_all_the_same(
    monkeypatch, numba_cuda, name
):
    args = as_dtype(arguments(name, CASE), "float32")
    tiled = on_host(numba_cuda, call(numba_cuda, name, args))
    monkeypatch.setattr(launching, "SHARED_BYTES", 0)
    monkeypatch.setattr(convolution, "MAP_BYTES", 1)  # an image at a time
    general = on_host(numba_cuda, call(numba_cuda, name, args))
    (sizes,) = as_tuple(call(reference, "conv2d", [np.abs(a) for a in args[:3]]))
    bound = 2 * rounding_bound(CASE.c * CASE.k**2 + 1, sizes.max(), "float32")
    for result, right in zip(general, tiled, strict=True):
        assert_within(result, right, bound if result.dtype == np.float32 else 0)


@pytest.mark.parametrize("threads", [1, 2, 7, 33])
@pytest.mark.parametrize(
    "name",
    ["conv2d", "encode_winners", "encode_pooled", "decode_winners, maps", "winners_backward"],
)
def test_any_number_of_threads_in_a_block_will_do(monkeypatch, numba_cuda, name, threads):
    """Blocks of 33 have several groups, the last one with fewer maps."""
    monkeypatch.setattr(launching, "THREADS", threads)
    args = arguments(name, CASE)
    results = on_host(numba_cuda, call(numba_cuda, name, as_dtype(args, "float64")))
    for result, right in zip(results, as_tuple(call(reference, name, args)), strict=True):
        np.testing.assert_allclose(result, right, rtol=0, atol=1e-12)  # sums of < 100 of size 10


def described(argument):
    """An argument of a kernel as `numba_cuda_kernels` writes it."""
    if isinstance(argument, tuple):
        (kind,) = set(map(described, argument))
        return f"{kind}x{len(argument)}"
    if isinstance(argument, int | np.floating):
        return {int: "l0", np.float32: "f0", np.float64: "d0"}[type(argument)]
    assert argument.is_c_contiguous()
    letters = {"float32": "f", "float64": "d", "int32": "i", "int64": "l"}
    return f"{letters[str(argument.dtype)]}{len(argument.shape)}"


def test_kernels_are_launched_with_the_arguments_that_are_compiled_for(monkeypatch, numba_cuda):
    """The simulator would take any; in float32, with and without room in shared memory."""
    launched, start = {}, launching._start

    def note(kernel, n_blocks, n_threads, shared_bytes, args):
        name = f"{kernel.__module__.removeprefix(f'{PACKAGE}.')}.{kernel.__name__}"
        launched.setdefault(name, set()).add(" ".join(map(described, args)))
        assert shared_bytes <= 48 << 10
        return start(kernel, n_blocks, n_threads, shared_bytes, args)

    monkeypatch.setattr(launching, "_start", note)
    survivors.one_slot_a_map.cache_clear()
    for name in CALLS:
        if "update" not in name:  # two operations in one, and four parameters
            call(numba_cuda, name, as_dtype(arguments(name, CASE), "float32"))
    one = np.ones((3, 4), np.float32)
    numba_cuda.all_finite(one)
    numba_cuda.residual(one, one)
    numba_cuda.add_(*map(numba_cuda.to_device, (one, one)))
    numba_cuda.scaled(one, 2)
    numba_cuda.gather(one[:, :, None, None], np.arange(2))
    numba_cuda.cast(one, "float32", centre=np.ones(4, np.float32))
    monkeypatch.setattr(launching, "SHARED_BYTES", 0)
    numba_cuda.conv2d(*as_dtype(arguments("conv2d", CASE), "float32"))
    assert launched == {name: {types} for name, types in KERNELS.items()}


def test_device_arrays_are_taken_as_they_are(numba_cuda):
    x, filters, bias = as_dtype(arguments("conv2d", CASE), "float32")
    resident = [numba_cuda.to_device(array) for array in (x, filters, bias)]
    assert all(numba_cuda.to_device(array) is array for array in resident)
    maps = numba_cuda.conv2d(*resident)
    assert not isinstance(maps, np.ndarray)
    np.testing.assert_array_equal(
        numba_cuda.to_host(maps), numba_cuda.to_host(numba_cuda.conv2d(x, filters, bias))
    )


def test_what_goes_to_the_device_comes_back_whatever_its_strides(numba_cuda, dtype):
    array = np.arange(60, dtype=dtype).reshape(3, 4, 5).transpose(2, 0, 1)
    np.testing.assert_array_equal(numba_cuda.to_host(numba_cuda.to_device(array)), array)
    assert numba_cuda.to_host(array) is array


def test_momentum_changes_device_arrays_in_place(numba_cuda, dtype):
    args = as_dtype(arguments("sgd_momentum_", CASE), dtype)
    parameter, gradient, velocity = (numba_cuda.to_device(array) for array in args[:3])
    numba_cuda.sgd_momentum_(parameter, gradient, velocity, *args[3:])
    numba_cuda.sgd_momentum_(*args)  # host arrays
    np.testing.assert_array_equal(numba_cuda.to_host(parameter), args[0])
    np.testing.assert_array_equal(numba_cuda.to_host(velocity), args[2])


def test_an_allocation_that_fails_says_what_was_asked_for_and_what_would_fit(
    monkeypatch, numba_cuda
):
    def refuse(*_):
        raise machine.CudaAPIError(2, "CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(memory, "new_array", refuse)
    monkeypatch.setattr(machine, "free_bytes", lambda: 59)
    with pytest.raises(MemoryError, match=r"\(3, 5\).*float32, 60 bytes.*at most 2 instead of 3"):
        numba_cuda.empty((3, 5), "float32")


def test_a_launch_that_fails_says_which(monkeypatch, numba_cuda):
    class Kernel:
        __name__ = "_kernel"

        def specialize(self, *args):
            return self

        def __getitem__(self, configuration):
            raise machine.CudaAPIError(1, "CUDA_ERROR_INVALID_VALUE")

    monkeypatch.setattr(launching, "MAX_BLOCKS", 9)
    with pytest.raises(RuntimeError, match=r"_kernel .* 9 blocks of 5 threads"):
        launching.launch(Kernel(), 10, 5)


@pytest.mark.skipif(not SIMULATED, reason="a device raises nothing in a kernel")
def test_threads_of_the_simulator_meet_at_barriers_and_fail_together():
    """Of 5 threads in a block the first does not come to the barrier; one more fails behind it."""

    @cuda.jit
    def kernel(seen, fails):
        place, step = cuda.threadIdx.x, 0
        if place > 0:
            for step in range(3):
                seen[step, place] = seen[step - 1, 1:].sum() if step else 1
                cuda.syncthreads()
            if place == fails:
                raise ValueError("planted")
            cuda.syncthreads()

    seen = np.zeros((3, 5), np.int64)
    kernel[1, 5](seen, 0)
    assert seen.tolist() == [[0, 1, 1, 1, 1], [0, 4, 4, 4, 4], [0, 16, 16, 16, 16]]
    with pytest.raises(ValueError, match=r"tid=\[3, 0, 0\] .* planted"):
        kernel[1, 5](seen, 3)
