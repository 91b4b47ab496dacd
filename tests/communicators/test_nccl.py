"""NCCL's calls: what ranks send, receive and gather, against a stand-in of threads that checks it.

No device is needed: arrays of the host stand for those of devices, and a rank is a thread.
"""

import ctypes
import queue
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from minisca.communicators import Solo
from minisca.communicators.nccl import NCCL
from tests.communicators.test_tree import tree

TYPES = {7: np.float32, 8: np.float64}
SECONDS = 20


class World:
    """What all ranks' communicators share: messages under way, by sender and receiver."""

    def __init__(self, size):
        self.size = size
        self.messages = {(a, b): queue.Queue() for a in range(size) for b in range(size)}
        self.gathered, self.barrier = {}, threading.Barrier(size, timeout=SECONDS)


class StandIn:
    """`cupy.cuda.nccl` and a communicator of it, of one rank."""

    NCCL_FLOAT32, NCCL_FLOAT64 = 7, 8  # and below names of CuPy's, too

    def __init__(self, world, rank):
        self.world, self.rank, self.calls = world, rank, []
        self._group = None

    def groupStart(self):  # noqa: N802
        assert self._group is None
        self._group = []

    def groupEnd(self):  # noqa: N802
        for kind, address, count, number, peer in self._group:
            if kind == "send":
                found = ctypes.string_at(address, count * np.dtype(TYPES[number]).itemsize)
                self.world.messages[self.rank, peer].put((count, number, found))
        for kind, address, count, number, peer in self._group:
            if kind == "recv":
                sent = self.world.messages[peer, self.rank].get(timeout=SECONDS)
                assert sent[:2] == (count, number)
                ctypes.memmove(address, sent[2], len(sent[2]))
        self._group = None

    def send(self, address, count, number, peer, stream):
        assert count > 0
        assert stream == "stream"
        self._group.append(("send", address, count, number, peer))

    def recv(self, address, count, number, peer, stream):
        assert count > 0
        assert stream == "stream"
        self._group.append(("recv", address, count, number, peer))

    def allGather(self, sent, received, count, number, stream):  # noqa: N802
        assert self._group is None
        assert stream == "stream"
        n_bytes = count * np.dtype(TYPES[number]).itemsize
        self.world.gathered[self.rank] = count, number, ctypes.string_at(sent, n_bytes)
        self.world.barrier.wait()
        for rank in range(self.world.size):
            theirs = self.world.gathered[rank]
            assert theirs[:2] == (count, number)
            ctypes.memmove(received + rank * n_bytes, theirs[2], n_bytes)
        self.world.barrier.wait()


class OnDevice(np.ndarray):
    """An array of the host that says where it is, as those of a device do."""

    @property
    def __cuda_array_interface__(self):
        assert self.flags.c_contiguous
        return {"data": (self.ctypes.data, False)}


def on_device(array):
    return np.array(array).view(OnDevice)


def add_(array, other):
    assert isinstance(array, OnDevice)
    assert isinstance(other, OnDevice)
    array += other


BACKEND = SimpleNamespace(
    __name__="minisca.backends.cupy",
    add_=add_,
    empty=lambda shape, dtype: np.full(shape, np.nan, dtype).view(OnDevice),
)


class Rank(NCCL):
    """A rank with neither MPI nor a device."""

    def __init__(self, world, rank):
        Solo.__init__(self)
        self.rank, self.size = rank, world.size
        self._nccl = self._devices = StandIn(world, rank)
        self._stream = lambda: "stream"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("size", "n_blocks"), [(2, 8), (3, 8), (3, 7), (5, 5), (4, 3)])
def test_ranks_sum_on_their_devices_as_one_process_does(size, n_blocks, dtype):
    draw = np.random.default_rng(size)
    shapes = (3, 5), (2,), (1,)  # fewer numbers than ranks too
    blocks = [
        [draw.standard_normal(shape).astype(dtype) for shape in shapes] for _ in range(n_blocks)
    ]
    like = tuple(on_device(array) for array in blocks[0])
    world, found, failed = World(size), {}, []

    def run(number):
        rank = Rank(world, number)
        share = rank.share(n_blocks)
        own = (tuple(map(on_device, blocks[i])) for i in range(share.start, share.stop))
        try:
            found[number] = rank.sum_blocks(BACKEND, own, n_blocks, like)
        except Exception as error:  # of a thread: told below
            failed.append(error)
            world.barrier.abort()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for number in range(size):
        for place, total in enumerate(found[number]):
            expected = tree([block[place] for block in blocks])
            np.testing.assert_array_equal(np.asarray(total), expected)
            assert total.dtype == dtype
    assert all(messages.empty() for messages in world.messages.values())
