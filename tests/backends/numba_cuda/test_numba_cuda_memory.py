"""The Numba CUDA backend's memory is given again, and a training step allocates none.

Without a device: Numba's arrays stand on addresses that nobody reads, and no kernel is started.
"""

import gc
import os
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.cases import Case

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install minisca[numba-cuda]")
if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    pytest.skip("the simulator's memory is the host's", allow_module_level=True)

from minisca.backends import numba_cuda
from minisca.backends.numba_cuda import elements
from minisca.backends.numba_cuda.kernels import survivors
from minisca.backends.numba_cuda.runtime import launching, machine, memory
from minisca.sparsity import make_sparsity
from minisca.training.objective import loss_and_gradients
from minisca.training.optim import SGD

CASE = Case(3, 2, 4, 5, 4, 3)
RULES = [
    *(make_sparsity("winner-take-all"), make_sparsity("winner-take-all", lifetime=0.5)),
    *(make_sparsity("top-n", 2), make_sparsity("k-largest", 3), make_sparsity("none")),
]
SINGLE = np.dtype("float32")


class Context:
    """A device of so many bytes, that refuses what is beyond."""

    def __init__(self, n_bytes=1 << 30):
        self.left, self.allocations, self.at = n_bytes, 0, 1 << 20

    def memalloc(self, n_bytes):
        if n_bytes > self.left:
            raise machine.CudaAPIError(2, "CUDA_ERROR_OUT_OF_MEMORY")
        self.allocations += 1
        self.left -= n_bytes
        self.at += 1 << 20
        return Memory(self, n_bytes)


class Memory(SimpleNamespace):
    def __init__(self, context, n_bytes):
        super().__init__(context=context, device_pointer=context.at, n_bytes=n_bytes)

    def __del__(self):
        self.context.left += self.n_bytes


@pytest.fixture
def context(monkeypatch):
    context = Context()
    monkeypatch.setattr("numba.cuda.cudadrv.devices._runtime.ensure_context", nullcontext)
    monkeypatch.setattr("numba.cuda.cudadrv.devices.get_context", lambda: context)
    monkeypatch.setattr(memory.cuda, "current_context", lambda: context)
    monkeypatch.setattr(memory, "_pool", memory._Pool())
    monkeypatch.setattr(machine, "require", lambda: None)
    survivors.one_slot_a_map.cache_clear()  # it keeps arrays
    yield context
    survivors.one_slot_a_map.cache_clear()


def address(array):
    return int(array.gpu_data.device_pointer)


def test_memory_is_given_again_when_neither_an_array_nor_a_view_is_left(context):
    first = memory.new_array((4, 6), SINGLE)
    where, using, others = address(first), [first, first[1:3], first.reshape(24)], []
    del first
    while using:
        others.append(memory.new_array((24,), SINGLE))
        assert address(others[-1]) != where
        del using[0]
        gc.collect()
    assert address(memory.new_array((24,), SINGLE)) == where


def test_arrays_that_are_there_at_once_share_no_memory(context):
    arrays = [memory.new_array((3, 2), SINGLE) for _ in range(5)]
    assert len(set(map(address, arrays))) == 5
    del arrays
    arrays = [memory.new_array((6,), SINGLE) for _ in range(5)]
    assert len(set(map(address, arrays))) == context.allocations == 5


def test_what_nobody_uses_makes_room_when_there_is_none(context):
    context.left = 100
    memory.new_array((20,), SINGLE)
    assert context.left == 20
    assert memory.free_bytes() == 80
    kept = memory.new_array((25,), SINGLE)
    assert memory.free_bytes() == 0
    with pytest.raises(machine.CudaAPIError):
        memory.new_array((25,), SINGLE)
    assert kept.size == 25


def test_an_array_without_numbers_has_no_memory(context):
    assert memory.new_array((3, 0), SINGLE).shape == (3, 0)
    assert context.allocations == 0


@pytest.mark.parametrize("sparsity", RULES, ids=lambda rule: "-".join(map(str, rule)))
def test_a_training_step_allocates_nothing_after_the_first(context, monkeypatch, sparsity):
    """Whatever the rule, and where an epoch ends with a smaller batch."""
    monkeypatch.setattr(launching, "_start", lambda *_: None)
    filters = (CASE.m, CASE.c, CASE.k, CASE.k)
    shapes = {"encoder_filters": filters, "encoder_bias": (CASE.m,)}
    shapes |= {"decoder_filters": filters, "decoder_bias": (CASE.c,)}
    parameters, velocities = (
        {name: memory.new_array(shape, SINGLE) for name, shape in shapes.items()} for _ in range(2)
    )
    images = memory.new_array((9, CASE.c, CASE.h, CASE.w), SINGLE)
    losses = memory.new_array((1,), np.dtype("float64"))
    whole, last = (memory.new_array((size,), np.dtype("int64")) for size in (5, 2))
    optimiser = SGD(numba_cuda, parameters, 0.9, velocities)

    def step(rows):
        x = numba_cuda.gather(images, rows)
        loss, gradients = loss_and_gradients(numba_cuda, sparsity, parameters, x)
        optimiser.step(gradients, 0.1)
        numba_cuda.add_up_(losses, *loss)

    def allocations_of(*batches):
        before = context.allocations
        for rows in batches:
            step(rows)
        return context.allocations - before

    assert allocations_of(whole) > 8
    assert allocations_of(whole, whole) == 0
    allocations_of(last, whole)  # what is kept for the last batch's shape took memory of a step's
    assert allocations_of(last, whole, last, whole) == 0


def test_a_kernel_is_compiled_once_for_arguments_of_its_types(context, pretend, monkeypatch):
    pretend((9, 0))
    context.device = SimpleNamespace(compute_capability=(9, 0), id=0)
    monkeypatch.setattr("numba.cuda.dispatcher._Kernel.bind", lambda self: None)
    monkeypatch.setattr(launching, "_kernels", {})

    def found(dtype, size):
        array = memory.new_array((size,), np.dtype(dtype))
        return launching._specialised(elements._scale, (array, array, np.dtype(dtype).type(2)))

    single = found("float32", 3)
    assert found("float32", 5) is single
    assert found("float64", 3) is not single
    for kernel, dtype in ((single, "float32"), (found("float64", 3), "float64")):
        (types,) = kernel.overloads
        assert [str(getattr(kind, "dtype", kind)) for kind in types] == [dtype] * 3
