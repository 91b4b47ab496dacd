"""Several processes, or ranks, that learn together: who has what part, and what they exchange.

A sum over parts of the work must not depend on how many ranks share them. So the work is cut into
blocks, by the problem alone; neighbouring blocks are added pair by pair, then these sums pair by
pair, up to one (a binary tree). A rank adds what it has of the tree by itself. `Solo` is one
process, which sums in the same tree; `MPI` is one of several, through mpi4py.

`fit(X, communicator=)` of every rank is given the same images and settings, which is checked, and
every rank has all that is learned: to the same bits on any number of ranks, `Solo` included, and as
without a communicator to rounding. Rank 0 draws the seed, calls callbacks, and saves; a file does
not depend on the number of ranks that wrote it.
"""

import copy
import math
import sys
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from minisca.chunks import part_of
from minisca.communicators.agreement import sendable
from minisca.validation import check_choice, check_integer

#: What `split` may be.
SPLITS = ("auto", "maps", "images")


class Node(NamedTuple):
    """A sum in the tree: of blocks from `place * 2**level` on, 2**level of them or those left."""

    level: int
    place: int
    arrays: Any


class Solo:
    """One process that works as ranks do: what it learns has the bits that any number of them has.

    Parameters
    ----------
    split : "auto" (default), "maps" or "images"
        What the ranks share of a training step: the maps, or the images of a batch. "auto" takes
        the one that exchanges less.
    blocks : int, default 8
        Into how many blocks the maps, or a batch's images, are cut: as many ranks can have a part.
        The last bits of what is learned depend on it.
    """

    rank, size = 0, 1

    def __init__(self, split: str = "auto", blocks: int = 8) -> None:
        self.split = check_choice("split", split, SPLITS)
        self.blocks = check_integer("blocks", blocks)

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which speaks and writes for all."""
        return self.rank == 0

    def quiet(self, settings):
        """The settings of an estimator, on all ranks but the first without progress bars."""
        if self.is_first:
            return settings
        settings = copy.copy(settings)
        settings.verbose = False
        return settings

    def share(self, n: int, rank: int | None = None) -> slice:
        """The part of range(n) that a rank has, this one by default."""
        return part_of(n, self.rank if rank is None else rank, self.size)

    def sum_blocks(self, backend, own, n_blocks, like):
        """The sum of n_blocks blocks, each a tuple of arrays of `backend`, on every rank.

        own: yields the blocks of this rank's `share(n_blocks)`, in order; they are changed. like: a
        tuple of arrays, of the shapes and dtypes that a block's have.
        """

        def add_(arrays, others):
            for array, other in zip(arrays, others, strict=True):
                backend.add_(array, other)

        first = self.share(n_blocks).start
        leaves = (Node(0, first + i, arrays) for i, arrays in enumerate(own))
        nodes = folded(leaves, n_blocks, add_)
        return self._completed(backend, nodes, n_blocks, like)

    def _completed(self, backend, nodes, n_blocks, like):
        return nodes[0].arrays

    def gather(self, rows):
        """The rows of all ranks, one after the other, on every rank.

        A rank has a NumPy array of them; None, if it has no rows.
        """
        return rows

    def max(self, value):
        """The largest of the ranks' values."""
        return value

    def tell(self, value):
        """A list of every rank's value, on every rank."""
        return [value]

    def from_first(self, function, *arguments):
        """function(*arguments) as it is on rank 0, on every rank; what it raises is raised on all.

        No other rank goes on before rank 0 is done.
        """
        return function(*arguments)


class MPI(Solo):
    """One of several ranks, each a process, through mpi4py.

    Start them by `mpiexec -n RANKS python -m mpi4py SCRIPT`, so that an exception in one of them
    ends all. Every rank calls the same functions with the same arguments.

    Parameters
    ----------
    communicator : mpi4py.MPI.Intracomm or None
        None for that of all ranks, `mpi4py.MPI.COMM_WORLD`.
    split, blocks : as of `Solo`
    """

    def __init__(self, communicator: Any = None, split: str = "auto", blocks: int = 8) -> None:
        super().__init__(split, blocks)
        try:
            self._mpi = mpi = import_module("mpi4py.MPI")
        except ImportError as error:
            raise ImportError("ranks need mpi4py and an MPI: pip install minisca[mpi]") from error
        self._all = mpi.COMM_WORLD if communicator is None else communicator
        if not isinstance(self._all, mpi.Intracomm) or self._all == mpi.COMM_NULL:
            raise TypeError(f"communicator is {communicator!r}; it must be an mpi4py.MPI.Intracomm")
        self.rank, self.size = self._all.Get_rank(), self._all.Get_size()

    def _completed(self, backend, nodes, n_blocks, like):
        if self.size == 1:
            return nodes[0].arrays
        of_ranks = [self._nodes_of(rank, n_blocks) for rank in range(self.size)]
        found = []
        for place, array in enumerate(like):
            mine = [backend.to_host(node.arrays[place]).reshape(-1) for node in nodes]
            total = self._sum(mine, of_ranks, n_blocks, math.prod(array.shape), array.dtype)
            found.append(backend.to_device(total.reshape(array.shape)))
        return tuple(found)

    def _nodes_of(self, rank, n_blocks):
        """What of the tree a rank has once it has added up its own blocks."""
        share = self.share(n_blocks, rank)
        leaves = (Node(0, i, None) for i in range(share.start, share.stop))
        return folded(leaves, n_blocks, lambda *_: None)

    def _sum(self, mine, of_ranks, n_blocks, length, dtype):
        """The sum of all ranks' nodes: each rank adds up its share of the numbers, and tells it."""
        cuts = [self.share(length, rank) for rank in range(self.size)]
        lengths = [cut.stop - cut.start for cut in cuts]
        own = lengths[self.rank]
        if len(mine) == 1:
            sent = mine[0]
        else:
            parts = [node[cut] for cut in cuts for node in mine]
            sent = np.concatenate(parts) if parts else np.empty(0, dtype)
        received = np.empty((sum(map(len, of_ranks)), own), dtype)
        given = [len(mine) * n for n in lengths]
        taken = [len(nodes) * own for nodes in of_ranks]
        self._all.Alltoallv([sent, given], [received, taken])
        nodes = [node for nodes in of_ranks for node in nodes]
        nodes = (node._replace(arrays=row) for node, row in zip(nodes, received, strict=True))
        root = folded(nodes, n_blocks, lambda row, other: np.add(row, other, out=row))[0].arrays
        total = np.empty(length, dtype)
        self._all.Allgatherv(root, [total, lengths])
        return total

    def gather(self, rows):
        """See `Solo.gather`."""
        kinds = self.tell(None if rows is None else (rows.shape, rows.dtype.str))
        shape, dtype = next(kind for kind in kinds if kind)
        lengths = [kind[0][0] if kind else 0 for kind in kinds]
        rows = np.empty((0, *shape[1:]), dtype) if rows is None else np.ascontiguousarray(rows)
        found = np.empty((sum(lengths), *shape[1:]), dtype)
        row_size = math.prod(shape[1:])
        self._all.Allgatherv(rows, [found, [row_size * n for n in lengths]])
        return found

    def max(self, value):
        """See `Solo.max`."""
        return self._all.allreduce(value, self._mpi.MAX)

    def tell(self, value):
        """See `Solo.tell`."""
        return self._all.allgather(value)

    def from_first(self, function, *arguments):
        """See `Solo.from_first`."""
        made = raised = None
        if self.is_first:
            try:
                made = function(*arguments)
            except Exception as error:
                raised = sendable(error)
        made, raised = self._all.bcast((made, raised))
        if raised is not None:
            raise raised
        return made


def folded(nodes, n_blocks, add_):
    """What is left of the nodes, in order, once all neighbours among them are added up.

    nodes: yields Nodes by rising blocks. add_(arrays, others) adds to the first.
    """
    left = []
    for level, index, arrays in nodes:
        while index:
            if index % 2 and left and left[-1][:2] == (level, index - 1):
                own = left.pop().arrays
                add_(own, arrays)
                arrays = own
            elif index % 2 or (index + 1) << level < n_blocks:
                break  # its neighbour is another rank's, or comes next; else it has none
            level, index = level + 1, index // 2
        left.append(Node(level, index, arrays))
    return left


def as_communicator(given: Any) -> Solo:
    """What was given as `communicator`, as one of minisca's; TypeError for what is none."""
    if isinstance(given, Solo):
        return given
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and isinstance(given, mpi.Comm):
        return MPI(given)
    must = "it must be an mpi4py communicator, or one of minisca.communicators"
    raise TypeError(f"communicator is {given!r}; {must}")
