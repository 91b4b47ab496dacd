"""Ranks that each have a GPU of their own: arrays of the device are exchanged by NCCL, over MPI."""

import math
from importlib import import_module
from typing import Any

from minisca.backends import name_of
from minisca.chunks import ceil_div
from minisca.communicators.ranks import MPI, folded


class NCCL(MPI):
    """As `MPI`, for the backend "cupy": what lies on a device goes from one to the other.

    Each rank takes the GPU of its machine that has its number among the ranks there. What lies on
    the host goes through MPI.

    Parameters
    ----------
    communicator, split, blocks : as of `MPI`
    """

    def __init__(self, communicator: Any = None, split: str = "auto", blocks: int = 8) -> None:
        super().__init__(communicator, split, blocks)
        cuda = import_module("cupy").cuda
        self._nccl = import_module("cupy.cuda.nccl")
        if not self._nccl.available:
            raise ImportError("cupy.cuda.nccl finds no NCCL: pip install nvidia-nccl-cu13")
        own = self._all.Split_type(self._mpi.COMM_TYPE_SHARED).Get_rank()
        cuda.Device(own % cuda.runtime.getDeviceCount()).use()
        self._stream = lambda: cuda.get_current_stream().ptr
        unique = self.from_first(self._nccl.get_unique_id)
        self._devices = self._nccl.NcclCommunicator(self.size, unique, self.rank)

    def _completed(self, backend, nodes, n_blocks, like):
        if self.size == 1 or name_of(backend) != "cupy":
            return super()._completed(backend, nodes, n_blocks, like)
        of_ranks = [self._nodes_of(rank, n_blocks) for rank in range(self.size)]
        found = []
        for place, array in enumerate(like):
            mine = [node.arrays[place].reshape(-1) for node in nodes]
            total = self._sum_there(backend, mine, of_ranks, n_blocks, array)
            found.append(total.reshape(array.shape))
        return tuple(found)

    def _sum_there(self, backend, mine, of_ranks, n_blocks, like):
        """As `MPI._sum`, of arrays like `like`. Each rank has as many numbers, but for the last."""
        n, kind = math.prod(like.shape), _kind(self._nccl, like.dtype)
        length, stream = ceil_div(n, self.size), self._stream()
        cuts = [slice(min(n, r * length), min(n, (r + 1) * length)) for r in range(self.size)]
        received = backend.empty((sum(map(len, of_ranks)), length), str(like.dtype))
        own = cuts[self.rank].stop - cuts[self.rank].start
        row = 0
        self._nccl.groupStart()
        for rank, (cut, nodes) in enumerate(zip(cuts, of_ranks, strict=True)):
            if cut.stop > cut.start:
                for array in mine:
                    count = cut.stop - cut.start
                    self._devices.send(_address(array[cut]), count, kind, rank, stream)
            for _ in nodes if own else ():
                self._devices.recv(_address(received[row]), own, kind, rank, stream)
                row += 1
        self._nccl.groupEnd()
        nodes = (node for nodes in of_ranks for node in nodes)
        rows = (node._replace(arrays=received[i]) for i, node in enumerate(nodes))
        root = folded(rows, n_blocks, backend.add_)[0].arrays
        total = backend.empty((self.size * length,), str(like.dtype))
        self._devices.allGather(_address(root), _address(total), length, kind, stream)
        return total[:n]


def _address(array):
    """Where the device has the first number of a contiguous array."""
    return array.__cuda_array_interface__["data"][0]


def _kind(nccl, dtype):
    """What NCCL calls float32 and float64."""
    return {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}[str(dtype)]
