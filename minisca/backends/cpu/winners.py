"""Which units survive, and everything that is computed from the survivors alone.

The maps of a block are reduced to their winners while they are in cache (`kernels.selection`).
Reconstruction and gradients then touch one k x k patch for each survivor (`kernels.survivors`).
Paper section 2.1.
"""

import numpy as np

from minisca.backends.cpu.kernels import direct, selection, survivors, transform
from minisca.backends.cpu.kernels.by_map import by_map, maps_of_slots
from minisca.backends.cpu.kernels.choice import choose_convolution, transformed_at_a_time
from minisca.backends.cpu.runtime import in_parallel, operation
from minisca.backends.cpu.vectors import lanes
from minisca.backends.cpu.vectors.machine_code import vector_lanes
from minisca.backends.cpu.vectors.microkernel import winners_tile_function


@operation
def relu(maps):
    """See `minisca.backends.interface.Backend.relu`."""
    return np.maximum(maps, 0)


@operation
def relu_backward(d_activations, maps):
    """See `minisca.backends.interface.Backend.relu_backward`."""
    return np.where(maps > 0, d_activations, d_activations.dtype.type(0))


@operation
def winner_take_all(maps):
    """See `minisca.backends.interface.Backend.winner_take_all`."""
    activations = relu(maps).reshape(*maps.shape[:2], -1)
    positions = activations.argmax(axis=2)
    values = np.take_along_axis(activations, positions[..., None], axis=2)[..., 0]
    return values, positions.astype(np.int32)


@operation
def winner_take_all_backward(d_values, positions, shape):
    """See `minisca.backends.interface.Backend.winner_take_all_backward`."""
    d_maps = np.zeros(shape, d_values.dtype)
    flat = d_maps.reshape(*shape[:2], -1)
    np.put_along_axis(flat, positions[..., None].astype(np.int64), d_values[..., None], axis=2)
    return d_maps


@operation
def lifetime_sparsity(values, n_survivors):
    """See `minisca.backends.interface.Backend.lifetime_sparsity`."""
    kept = np.argsort(-values, axis=0, kind="stable")[:n_survivors]
    sparse = np.zeros_like(values)
    np.put_along_axis(sparse, kept, np.take_along_axis(values, kept, axis=0), axis=0)
    return sparse


@operation
def encode_winners(x, filters, bias):
    """See `minisca.backends.interface.Backend.encode_winners`."""
    values = np.empty((len(x), len(filters)), x.dtype)
    positions = np.empty(values.shape, np.int32)
    if choose_convolution(x, filters) == "transform":
        select = selection.transform_and_keep_winners
        for rows in transformed_at_a_time(x, filters.shape[2]):
            plan = transform.make_plan(x[rows], filters, bias)
            keep = lanes.keep_largest_function(plan.block, x.dtype)
            in_parallel(select, plan.blocks, values[rows], positions[rows], plan, keep)
    else:
        plan = direct.make_plan(x, filters, bias)
        tile = plan.tile_positions, plan.block // vector_lanes(x.dtype), x.dtype
        keep = winners_tile_function(*tile)
        select = selection.convolve_and_keep_winners
        in_parallel(select, plan.pieces * plan.groups, x, plan, keep, values, positions)
    return values, positions


@operation
def encode_top_n(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_top_n`."""
    maps = np.empty((len(x), len(filters), n_active), np.int32)
    maps[:] = np.arange(len(filters))[:, None]
    return _encode_several(direct.make_plan(x, filters, bias), x, maps)


@operation
def encode_k_largest(x, filters, bias, n_active):
    """See `minisca.backends.interface.Backend.encode_k_largest`."""
    plan = direct.make_plan(x, filters, bias, whole_images=True)
    return _encode_several(plan, x, np.zeros((len(x), 1, n_active), np.int32))


def _encode_several(plan, x, maps):
    values, positions = np.zeros(maps.shape, x.dtype), np.zeros(maps.shape, np.int32)
    select = selection.convolve_and_keep_several
    in_parallel(select, plan.pieces * plan.groups, x, plan, values, positions, maps)
    return tuple(array.reshape(len(x), -1) for array in (values, positions, maps))


@operation
def decode_winners(values, positions, filters, bias, size, maps=None):
    """See `minisca.backends.interface.Backend.decode_winners`."""
    images = np.empty((len(values), filters.shape[1], *size), values.dtype)
    survivors.decode(*by_map(values, positions, maps), filters, bias, images)
    return images


@operation
def winners_backward(x, error, values, positions, encoder_filters, decoder_filters, maps=None):
    """See `minisca.backends.interface.Backend.winners_backward`."""
    maps = maps_of_slots(values, maps)
    return survivors.gradients(x, error, values, positions, maps, decoder_filters)
