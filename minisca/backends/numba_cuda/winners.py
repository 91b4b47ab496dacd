"""Which units survive, and everything that is computed from the survivors alone.

A block reduces its maps to their winners as it computes them; reconstruction and gradients then
touch one k x k patch a survivor (`survivors`). Paper section 2.1.
"""

import numpy as np
from numba import cuda

from minisca.backends.numba_cuda import device
from minisca.backends.numba_cuda.conv import channel_sums, conv2d
from minisca.backends.numba_cuda.device import empty, launch, launch_over, on_device, to_device
from minisca.backends.numba_cuda.kernels import selection, survivors, tile
from minisca.sparsity import survivors_over_batch


def relu(maps):
    """See `minisca.backends.interface.Backend.relu`."""
    maps = to_device(maps)
    activations = empty(maps.shape, maps.dtype)
    launch_over(maps.size, _relu, maps.reshape(maps.size), activations.reshape(maps.size))
    return activations


@cuda.jit
def _relu(maps, activations):
    for i in range(cuda.grid(1), maps.size, cuda.gridsize(1)):
        activations[i] = maps.dtype.type(0) if maps[i] <= 0 else maps[i]  # NaN stays NaN


def relu_backward(d_activations, maps):
    """See `minisca.backends.interface.Backend.relu_backward`."""
    d_activations, maps = on_device(d_activations, maps)
    d_maps = empty(maps.shape, d_activations.dtype)
    flat = (array.reshape(maps.size) for array in (d_activations, maps, d_maps))
    launch_over(maps.size, _relu_backward, *flat)
    return d_maps


@cuda.jit
def _relu_backward(d_activations, maps, d_maps):
    for i in range(cuda.grid(1), maps.size, cuda.gridsize(1)):
        d_maps[i] = d_activations[i] if maps[i] > 0 else d_maps.dtype.type(0)


def winner_take_all(maps):
    """See `minisca.backends.interface.Backend.winner_take_all`."""
    maps = to_device(maps)
    values = empty(maps.shape[:2], maps.dtype)
    positions = empty(values.shape, np.int32)
    selection.keep_winners(maps, values, positions)
    return values, positions


def winner_take_all_backward(d_values, positions, shape):
    """See `minisca.backends.interface.Backend.winner_take_all_backward`."""
    d_values, positions = on_device(d_values, positions)
    d_maps = empty(shape, d_values.dtype)
    n_rows = d_values.size
    by_map = d_maps.reshape((n_rows, d_maps.size // n_rows))
    launch_over(d_maps.size, _put_back, d_values.reshape(n_rows), positions.reshape(n_rows), by_map)
    return d_maps


@cuda.jit
def _put_back(d_values, positions, d_maps):
    n_places = d_maps.shape[1]
    for i in range(cuda.grid(1), d_maps.size, cuda.gridsize(1)):
        row, place = i // n_places, i % n_places
        wins = positions[row] == place
        d_maps[row, place] = d_values[row] if wins else d_maps.dtype.type(0)


def lifetime_sparsity(values, fraction):
    """See `minisca.backends.interface.Backend.lifetime_sparsity`."""
    values = to_device(values)
    sparse = empty(values.shape, values.dtype)
    n_kept = survivors_over_batch(values.shape[0], fraction)
    launch_over(values.size, _keep_largest_images, values, n_kept, sparse)
    return sparse


@cuda.jit
def _keep_largest_images(values, n_kept, sparse):
    """One thread a value: it counts those of its slot that come before it."""
    n, n_slots = values.shape
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        image, slot = i // n_slots, i % n_slots
        value, rank = values[image, slot], 0
        for other in range(n):
            rival = values[other, slot]
            if rival > value or (rival == value and other < image):
                rank += 1
        sparse[image, slot] = value if rank < n_kept else values.dtype.type(0)


def encode_winners(x, filters, bias):
    """See `minisca.backends.interface.Backend.encode_winners`."""
    x, filters, bias = on_device(x, filters, bias)
    n, m = x.shape[0], filters.shape[0]
    values = empty((n, m), x.dtype)
    positions = empty(values.shape, np.int32)
    n_threads = tile.threads(x)
    reduction_bytes = tile.MAPS * n_threads * (x.dtype.itemsize + positions.dtype.itemsize)
    n_bytes = max(tile.shared_bytes(x, filters), reduction_bytes)
    if tile.fits(n_bytes):
        launch(
            selection.convolve_and_keep_winners, n * tile.groups(m), n_threads, n_bytes,
            x, tile.flat(filters), filters.shape[2], bias, values, positions,
        )  # fmt: skip
    else:
        for rows, maps in _map_chunks(x, filters, bias):
            selection.keep_winners(maps, values[rows], positions[rows])
    return values, positions


def _map_chunks(x, filters, bias):
    """Maps of a chunk of images after the other, with the rows that they belong to."""
    map_bytes = filters.shape[0] * x.shape[2] * x.shape[3] * x.dtype.itemsize
    for rows in device.chunks(x.shape[0], map_bytes):
        yield rows, conv2d(x[rows], filters, bias)


def encode_top_n(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_top_n`."""
    x, filters, bias = on_device(x, filters, bias)
    n, m = x.shape[0], filters.shape[0]
    values = empty((n, m * n_active), x.dtype)
    positions = empty(values.shape, np.int32)
    for rows, maps in _map_chunks(x, filters, bias):
        selection.keep_top_n(maps, n_active, values[rows], positions[rows])
    return values, positions, survivors.slots_by_map(values.shape, n_active)


def encode_k_largest(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_k_largest`."""
    x, filters, bias = on_device(x, filters, bias)
    values = empty((x.shape[0], n_active), x.dtype)
    positions, maps_of_slots = (empty(values.shape, np.int32) for _ in range(2))
    for rows, maps in _map_chunks(x, filters, bias):
        selection.keep_k_largest(maps, values[rows], positions[rows], maps_of_slots[rows])
    return values, positions, maps_of_slots


def decode_winners(values, positions, filters, bias, size, maps=None):
    """See `minisca.backends.interface.Backend.decode_winners`."""
    values, positions, filters, bias = on_device(values, positions, filters, bias)
    maps = survivors.one_slot_a_map(values.shape)[0] if maps is None else to_device(maps)
    images = empty((values.shape[0], filters.shape[1], *size), values.dtype)
    survivors.paste_filters(values, positions, maps, filters, bias, images)
    return images


def winners_backward(x, error, values, positions, encoder_filters, decoder_filters, maps=None):
    """See `minisca.backends.interface.Backend.winners_backward`."""
    x, error, values, positions, decoder_filters = on_device(
        x, error, values, positions, decoder_filters
    )
    if maps is None:
        maps, order, starts = survivors.one_slot_a_map(values.shape)
    else:
        maps = to_device(maps)
        order, starts = survivors.sort_by_map(values, maps, decoder_filters.shape[0])
    gradients = survivors.sum_gradients(
        x, error, values, positions, maps, order, starts, decoder_filters
    )
    return *gradients, channel_sums(error, 2)
