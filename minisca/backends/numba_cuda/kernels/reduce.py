"""What the threads of a group find together: a sum, the largest unit of a map, in one order.

A group is the whole block, or its threads of the same threadIdx.y where there are several. Every
thread of the block must call these, and none may have left: they meet at barriers.
"""

from numba import cuda


@cuda.jit(device=True)
def group_sum(value, shared):
    """The sum of the group's values, by halves, in one order.

    `shared` has room for one value a thread of the block.
    """
    member, active = cuda.threadIdx.x, cuda.blockDim.x
    first = cuda.threadIdx.y * cuda.blockDim.x
    mine = first + member
    shared[mine] = value
    cuda.syncthreads()
    while active > 1:
        half = (active + 1) // 2
        if member + half < active:
            shared[mine] = shared[mine] + shared[mine + half]
        cuda.syncthreads()
        active = half
    total = shared[first]
    cuda.syncthreads()  # all have read it before anybody writes to `shared` again
    return total


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
def group_winner(value, position, values, positions):
    """The largest of one candidate a thread, ties to the lowest position: value, position.

    For blocks of one group.
    """
    values[cuda.threadIdx.x] = value
    positions[cuda.threadIdx.x] = position
    group_winners(values, positions, 1)
    value, position = values[0], positions[0]
    cuda.syncthreads()  # all have read it before anybody writes to `values` again
    return value, position
