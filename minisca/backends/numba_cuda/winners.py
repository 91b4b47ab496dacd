"""Which units survive, and everything that is computed from the survivors alone.

A block reduces its maps to their winners as it computes them; reconstruction and gradients then
touch one k x k patch a survivor (`kernels.survivors`). Paper section 2.1.
"""

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda.device import empty
from minisca.backends.numba_cuda.kernels import direct, selection, survivors
from minisca.backends.numba_cuda.kernels.convolution import map_chunks
from minisca.backends.numba_cuda.kernels.sums import channel_sums
from minisca.backends.numba_cuda.runtime.arrays import flat, operation
from minisca.backends.numba_cuda.runtime.launching import launch_over


@operation
def relu(maps):
    """See `minisca.backends.interface.Backend.relu`."""
    activations = empty(maps.shape, maps.dtype)
    launch_over(_relu, maps.size, *flat(maps, activations))
    return activations


@cuda.jit
def _relu(maps, activations):
    for i in range(cuda.grid(1), maps.size, cuda.gridsize(1)):
        activations[i] = maps.dtype.type(0) if maps[i] <= 0 else maps[i]  # NaN stays NaN


@operation
def relu_backward(d_activations, maps):
    """See `minisca.backends.interface.Backend.relu_backward`."""
    d_maps = empty(maps.shape, d_activations.dtype)
    launch_over(_relu_backward, maps.size, *flat(d_activations, maps, d_maps))
    return d_maps


@cuda.jit
def _relu_backward(d_activations, maps, d_maps):
    for i in range(cuda.grid(1), maps.size, cuda.gridsize(1)):
        d_maps[i] = d_activations[i] if maps[i] > 0 else d_maps.dtype.type(0)


@operation
def winner_take_all(maps):
    """See `minisca.backends.interface.Backend.winner_take_all`."""
    values = empty(maps.shape[:2], maps.dtype)
    positions = empty(values.shape, np.int32)
    selection.keep_top_n(maps, 1, values, positions)
    return values, positions


@operation
def winner_take_all_backward(d_values, positions, shape):
    """See `minisca.backends.interface.Backend.winner_take_all_backward`."""
    d_maps = empty(shape, d_values.dtype)
    n_rows = d_values.size
    by_map = d_maps.reshape((n_rows, d_maps.size // n_rows))
    launch_over(_put_back, d_maps.size, *flat(d_values, positions), by_map)
    return d_maps


@cuda.jit
def _put_back(d_values, positions, d_maps):
    n_positions = d_maps.shape[1]
    for i in range(cuda.grid(1), d_maps.size, cuda.gridsize(1)):
        row, position = i // n_positions, i % n_positions
        wins = positions[row] == position
        d_maps[row, position] = d_values[row] if wins else d_maps.dtype.type(0)


@operation
def lifetime_sparsity(values, n_survivors):
    """See `minisca.backends.interface.Backend.lifetime_sparsity`."""
    kept = empty(values.shape, values.dtype)
    launch_over(_keep_over_batch, values.size, values, n_survivors, kept)
    return kept


@cuda.jit
def _keep_over_batch(values, n_kept, kept):
    """One thread a value: it counts those of its slot that come before it."""
    n, n_slots = values.shape
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        image, slot = i // n_slots, i % n_slots
        value, rank = values[image, slot], 0
        for other in range(n):
            rival = values[other, slot]
            if rival > value or (rival == value and other < image):
                rank += 1
        kept[image, slot] = value if rank < n_kept else values.dtype.type(0)


@operation
def encode_winners(x, filters, bias):
    """See `minisca.backends.interface.Backend.encode_winners`."""
    n, m = x.shape[0], filters.shape[0]
    values = empty((n, m), x.dtype)
    positions = empty(values.shape, np.int32)
    if (layout := direct.make_layout(x, filters)) is not None:
        direct.run(direct.direct_winners, layout, x, filters, bias, values, positions)
    else:
        for rows, maps in map_chunks(x, filters, bias):
            selection.keep_top_n(maps, 1, values[rows], positions[rows])
    return values, positions


@operation
def encode_top_n(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_top_n`."""
    n, m = x.shape[0], filters.shape[0]
    values = empty((n, m * n_active), x.dtype)
    positions = empty(values.shape, np.int32)
    for rows, maps in map_chunks(x, filters, bias):
        selection.keep_top_n(maps, n_active, values[rows], positions[rows])
    return values, positions, survivors.slots_by_map(values.shape, n_active)


@operation
def encode_k_largest(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_k_largest`."""
    values = empty((x.shape[0], n_active), x.dtype)
    positions, maps_of_slots = (empty(values.shape, np.int32) for _ in range(2))
    for rows, maps in map_chunks(x, filters, bias):
        selection.keep_k_largest(maps, values[rows], positions[rows], maps_of_slots[rows])
    return values, positions, maps_of_slots


@operation
def decode_winners(values, positions, filters, bias, size, maps=None):
    """See `minisca.backends.interface.Backend.decode_winners`."""
    maps = survivors.one_slot_a_map(values.shape)[0] if maps is None else maps
    images = empty((values.shape[0], filters.shape[1], *size), values.dtype)
    survivors.paste_filters(values, positions, maps, filters, bias, images)
    return images


@operation
def winners_backward(x, error, values, positions, encoder_filters, decoder_filters, maps=None):
    """See `minisca.backends.interface.Backend.winners_backward`."""
    if maps is None:
        maps, entries, starts = survivors.one_slot_a_map(values.shape)
    else:
        entries, starts = survivors.list_by_map(values, maps, decoder_filters.shape[0])
    gradients = survivors.sum_gradients(
        x, error, values, positions, maps, entries, starts, decoder_filters
    )
    return *gradients, channel_sums(error, 2)
