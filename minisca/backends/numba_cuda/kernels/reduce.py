"""What the threads of a block find together: a sum, the largest number or unit, in one order.

Groups of a block, threads of the same threadIdx.y, find units of their own. Every thread of the
block must call these, and none may have left: they meet at barriers.
"""

from numba import cuda


def _block_reduction(combine):
    """A device function (value, shared) -> all threads' values combined, by halves, in one order.

    `shared` has room for one value a thread.
    """

    @cuda.jit(device=True)
    def reduction(value, shared):
        thread, active = cuda.threadIdx.x, cuda.blockDim.x
        shared[thread] = value
        cuda.syncthreads()
        while active > 1:
            half = (active + 1) // 2
            if thread + half < active:
                shared[thread] = combine(shared[thread], shared[thread + half])
            cuda.syncthreads()
            active = half
        combined = shared[0]
        cuda.syncthreads()  # all have read it before anybody writes to `shared` again
        return combined

    return reduction


@cuda.jit(device=True)
def _add(a, b):
    return a + b


@cuda.jit(device=True)
def _larger(a, b):
    return max(a, b)


block_sum = _block_reduction(_add)
block_max = _block_reduction(_larger)


@cuda.jit(device=True)
def group_winners(values, positions, n_maps):
    """The largest unit of each map, ties to the lowest position, from one candidate a thread.

    Every group has `n_maps` maps of its own. values, positions: in shared memory, the candidate of
    thread t of group g for its map j at (g * n_maps + j) * group_size + t; the winner is left where
    thread 0's was.
    """
    member, group_size = cuda.threadIdx.x, cuda.blockDim.x
    own, active = cuda.threadIdx.y * n_maps * group_size, group_size
    cuda.syncthreads()
    while active > 1:
        half = (active + 1) // 2
        if member + half < active:
            for mine in range(own + member, own + n_maps * group_size, group_size):
                other = mine + half
                if values[other] > values[mine] or (
                    values[other] == values[mine] and positions[other] < positions[mine]
                ):
                    values[mine] = values[other]
                    positions[mine] = positions[other]
        cuda.syncthreads()
        active = half


@cuda.jit(device=True)
def block_winner(value, position, values, positions):
    """The largest of one candidate a thread, ties to the lowest position: value, position."""
    values[cuda.threadIdx.x] = value
    positions[cuda.threadIdx.x] = position
    group_winners(values, positions, 1)
    value, position = values[0], positions[0]
    cuda.syncthreads()  # all have read it before anybody writes to `values` again
    return value, position
