"""Which units survive, and everything that is computed from the survivors alone.

A block reduces its maps to their winners as it computes them; reconstruction and gradients then
touch one k x k patch a survivor (`kernels.survivors`). Paper section 2.1.
"""

import math

import numpy as np

from minisca.backends.cupy.device import empty
from minisca.backends.cupy.kernels import (
    direct,
    direct_tensor,
    paste,
    patches,
    selection,
    slices,
    staged,
    sums,
    survivors,
    tensor,
    tiles,
)
from minisca.backends.cupy.kernels.convolution import map_chunks
from minisca.backends.cupy.runtime.arrays import operation
from minisca.backends.cupy.runtime.launching import kernel, launch_over

FILE = "winners.cu"


@operation
def relu(maps):
    """See `minisca.backends.interface.Backend.relu`."""
    activations = empty(maps.shape, maps.dtype)
    launch_over(kernel(FILE, "relu", maps.dtype), maps.size, maps, activations)
    return activations


@operation
def relu_backward(d_activations, maps):
    """See `minisca.backends.interface.Backend.relu_backward`."""
    d_maps = empty(maps.shape, maps.dtype)
    launch_over(kernel(FILE, "relu_backward", maps.dtype), maps.size, d_activations, maps, d_maps)
    return d_maps


@operation
def winner_take_all(maps):
    """See `minisca.backends.interface.Backend.winner_take_all`."""
    values, positions = empty(maps.shape[:2], maps.dtype), empty(maps.shape[:2], np.int32)
    selection.keep_top_n(maps, 1, values, positions)
    return values, positions


@operation
def winner_take_all_backward(d_values, positions, shape):
    """See `minisca.backends.interface.Backend.winner_take_all_backward`."""
    d_maps = empty(shape, d_values.dtype)
    put_back = kernel(FILE, "put_back", d_maps.dtype)
    launch_over(put_back, d_maps.size, d_values, positions, math.prod(shape[2:]), d_maps)
    return d_maps


@operation
def lifetime_sparsity(values, n_survivors):
    """See `minisca.backends.interface.Backend.lifetime_sparsity`."""
    kept = empty(values.shape, values.dtype)
    keep = kernel(FILE, "keep_over_batch", values.dtype)
    launch_over(keep, values.size, values, *values.shape, n_survivors, kept)
    return kept


@operation
def encode_winners(x, filters, bias):
    """See `minisca.backends.interface.Backend.encode_winners`."""
    shape = len(x), len(filters)
    values, positions = empty(shape, x.dtype), empty(shape, np.int32)
    for way in (tensor, direct_tensor):
        layout = way.make_layout(x, filters)
        if layout is not None:
            way.encode_winners(layout, x, filters, bias, values, positions)
            return values, positions
    results = values, positions
    if (layout := direct.make_layout(x, filters)) is not None:
        direct.run("direct_winners", layout, x, filters, bias, *results)
    elif (layout := staged.make_layout(x, filters)) is not None:
        staged.convolve_winners(layout, x, filters, bias, *results)
    else:
        tiles.convolve_winners(x, filters, bias, *results)
    return results


@operation
def encode_top_n(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_top_n`."""
    shape = len(x), len(filters) * n_active
    values, positions = empty(shape, x.dtype), empty(shape, np.int32)
    for rows, maps in map_chunks(x, filters, bias):
        selection.keep_top_n(maps, n_active, values[rows], positions[rows])
    return values, positions, survivors.slots_by_map(shape, n_active)


@operation
def encode_k_largest(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_k_largest`."""
    values = empty((len(x), n_active), x.dtype)
    positions, maps_of_slots = (empty(values.shape, np.int32) for _ in range(2))
    for rows, maps in map_chunks(x, filters, bias):
        selection.keep_k_largest(maps, values[rows], positions[rows], maps_of_slots[rows])
    return values, positions, maps_of_slots


@operation
def decode_winners(values, positions, filters, bias, size, maps=None):
    """See `minisca.backends.interface.Backend.decode_winners`."""
    images = empty((len(values), filters.shape[1], *size), values.dtype)
    layout = slices.make_layout(images.shape, filters.shape[2], images.dtype)
    if maps is None and layout is not None:
        paste.paste(layout, values, positions, filters, bias, images)
        return images
    maps = survivors.one_slot_a_map(values.shape)[0] if maps is None else maps
    survivors.paste_filters(values, positions, maps, filters, bias, images)
    return images


@operation
def winners_backward(x, error, values, positions, encoder_filters, decoder_filters, maps=None):
    """See `minisca.backends.interface.Backend.winners_backward`."""
    walks = patches.plan_walks(x, error, values, positions, decoder_filters, maps)
    if walks is not None:
        parts = patches.sum_in_pieces(walks)
        return patches.split(sums.sum_pieces(parts), decoder_filters.shape)
    if maps is None:
        maps, *listed = survivors.one_slot_a_map(values.shape)
    else:
        listed = survivors.list_by_map(values, maps, len(decoder_filters))
    gradients = survivors.sum_gradients(x, error, values, positions, maps, *listed, decoder_filters)
    return *gradients, sums.channel_sums(error, 2)
