"""Ranks in one process, each a thread, with mpi4py's calls as `MPI` makes them.

One of them computes at a time: the next does where that one waits for the others. So any number of
ranks can be tried on any machine, in the time that one process takes for the work of all.
"""

import pickle
import threading
from types import SimpleNamespace

import numpy as np

from minisca.communicators import MPI, Solo

SECONDS = 120


class World:
    """What ranks share: a place for what each tells, and the turn to compute."""

    def __init__(self, size):
        self.told = [None] * size
        self.turn, self.barrier = threading.Lock(), threading.Barrier(size, timeout=SECONDS)

    def exchange(self, rank, value):
        """The values of all ranks."""
        self.told[rank] = value
        self.turn.release()
        try:
            self.barrier.wait()
            found = list(self.told)
            self.barrier.wait()
        finally:
            self.turn.acquire()
        return found


class Calls:
    """A communicator's methods, of one rank. What is sent is copied as it is."""

    def __init__(self, world, rank):
        self.world, self.rank = world, rank

    def allgather(self, value):
        return [pickle.loads(sent) for sent in self.world.exchange(self.rank, pickle.dumps(value))]

    def bcast(self, value):
        return self.allgather(value)[0]

    def allreduce(self, value, operation):
        return operation(self.allgather(value))

    def Allgatherv(self, sent, received):  # noqa: N802
        array, lengths = received
        parts = self.world.exchange(self.rank, sent.copy())
        assert [part.size for part in parts] == list(lengths)
        self._fill(array, parts)

    def Alltoallv(self, sent, received):  # noqa: N802
        array, lengths = received
        told = self.world.exchange(self.rank, (np.array(sent[0]).reshape(-1), sent[1]))
        parts = [np.split(values, np.cumsum(counts))[self.rank] for values, counts in told]
        assert [part.size for part in parts] == list(lengths)
        self._fill(array, parts)

    @staticmethod
    def _fill(array, parts):
        assert array.flags.c_contiguous
        assert {part.dtype for part in parts} == {array.dtype}
        array.reshape(-1)[:] = np.concatenate([part.reshape(-1) for part in parts])


class Rank(MPI):
    """`MPI` of a thread."""

    def __init__(self, world, rank, split="auto", blocks=8):
        Solo.__init__(self, split, blocks)
        self.rank, self.size = rank, len(world.told)
        self._all, self._mpi = Calls(world, rank), SimpleNamespace(MAX=max)


def in_threads(n, function):
    """What function(communicator) returns on each of n ranks; what the first raises is raised."""
    world, found, raised = World(n), [None] * n, []

    def run(rank):
        with world.turn:
            try:
                found[rank] = function(Rank(world, rank))
            except Exception as error:
                raised.append(error)
                world.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
    return found
