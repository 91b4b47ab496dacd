"""The sparse half of a training step: what the survivors paste, and the gradients through them.

A survivor is a slot (image, slot) with a value above 0. Nothing is added up by several threads at
once: a thread owns a pixel, or a tap, and goes through the survivors in their order.
"""

import functools

import numpy as np
from numba import cuda, int32, int64

from minisca.backends.numba_cuda.device import empty
from minisca.backends.numba_cuda.kernels.reduce import group_sum
from minisca.backends.numba_cuda.runtime.launching import (
    groups_for,
    launch,
    launch_over,
    threads_for,
)
from minisca.chunks import ceil_div


def slots_by_map(shape, n_active):
    """Which map each slot belongs to, (n, s) int32: n_active slots a map, map by map."""
    maps = empty(shape, np.int32)
    launch_over(_name_maps, maps.size, n_active, maps)
    return maps


@cuda.jit
def _name_maps(n_active, maps):
    n_slots = maps.shape[1]
    for i in range(cuda.grid(1), maps.size, cuda.gridsize(1)):
        maps[i // n_slots, i % n_slots] = i % n_slots // n_active


def paste_filters(values, positions, maps, filters, bias, images):
    """The linear decoder of a code (values, positions, maps), into images (n, c, h, w)."""
    n, channels, height, width = images.shape
    n_threads = threads_for(height * width)
    n_tiles = ceil_div(height * width, n_threads)
    n_blocks, n_bytes = n * channels * n_tiles, n_threads * (values.dtype.itemsize + 3 * 4)
    args = values, positions, maps, filters, bias, n_tiles, images
    launch(_decode, n_blocks, n_threads, *args, shared_bytes=n_bytes)


@cuda.jit
def _decode(values, positions, maps, filters, bias, n_tiles, images):
    """One block a tile: n_threads pixels of a channel. Slots pass in shared memory."""
    (n, channels, height, width), k = images.shape, filters.shape[2]
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    shared_values = cuda.shared.array(0, values.dtype)
    shared = cuda.shared.array(0, int32)[n_threads * values.itemsize // 4 :]
    rows, columns, owners = shared, shared[n_threads:], shared[2 * n_threads :]
    for item in range(cuda.blockIdx.x, n * channels * n_tiles, cuda.gridDim.x):
        channel, image = item // n_tiles % channels, item // (n_tiles * channels)
        pixel = item % n_tiles * n_threads + thread
        row, column = pixel // width + k // 2, pixel % width + k // 2
        total = bias[channel]
        for first in range(0, values.shape[1], n_threads):
            n_here = min(n_threads, values.shape[1] - first)
            cuda.syncthreads()  # all have done with the slots before
            if thread < n_here:
                position = positions[image, first + thread]
                shared_values[thread] = values[image, first + thread]
                owners[thread] = maps[image, first + thread]
                rows[thread], columns[thread] = position // width, position % width
            cuda.syncthreads()
            for slot in range(n_here):
                dy, dx = row - rows[slot], column - columns[slot]
                touches = 0 <= dy < k and 0 <= dx < k
                if touches and shared_values[slot] > 0:
                    total += shared_values[slot] * filters[owners[slot], channel, dy, dx]
        if pixel < height * width:
            images[image, channel, pixel // width, pixel % width] = total


@functools.lru_cache(maxsize=4)
def one_slot_a_map(shape):
    """`slots_by_map` and `list_by_map` of a code with one slot a map; silent slots are listed, too.

    They depend on the shape (n, m) alone, so those of the last few shapes are kept: not to be
    written to.
    """
    n, m = shape
    entries, starts = empty(n * m, np.int64), empty(m + 1, np.int64)
    launch_over(_list_columns, entries.size + 1, n, entries, starts)
    return slots_by_map(shape, 1), entries, starts


@cuda.jit
def _list_columns(n, entries, starts):
    n_slots = entries.size // n
    for i in range(cuda.grid(1), entries.size + 1, cuda.gridsize(1)):
        if i < entries.size:
            entries[i] = i % n * n_slots + i // n
        if i % n == 0:
            starts[i // n] = i


def list_by_map(values, maps, n_maps):
    """Survivors map by map, within a map by image and slot: `entries` and where each map `starts`.

    An entry of `entries` is image * s + slot; map i has the entries starts[i] to starts[i + 1], and
    what is behind the last is not set.
    """
    values, maps = values.reshape(values.size), maps.reshape(maps.size)
    n_threads = threads_for(values.size)
    counts = empty((n_maps, n_threads), np.int64)
    launch(_count_entries, n_maps, n_threads, values, maps, counts)
    first, starts = empty((n_maps, n_threads), np.int64), empty(n_maps + 1, np.int64)
    launch(_sum_up, 1, n_threads, counts, first, starts, shared_bytes=n_threads * 8)
    entries = empty(values.size, np.int64)
    launch(_list_entries, n_maps, n_threads, values, maps, first, entries)
    return entries, starts


@cuda.jit(device=True)
def own_slots(n_slots):
    """First and end of the run of slots that belongs to this thread of every block."""
    share = (n_slots + cuda.blockDim.x - 1) // cuda.blockDim.x
    first = min(n_slots, cuda.threadIdx.x * share)
    return first, min(n_slots, first + share)


@cuda.jit
def _count_entries(values, maps, counts):
    """One block a map: each thread counts that map's survivors in its own run of slots."""
    first, end = own_slots(values.size)
    for i in range(cuda.blockIdx.x, counts.shape[0], cuda.gridDim.x):
        count = 0
        for slot in range(first, end):
            if maps[slot] == i and values[slot] > 0:
                count += 1
        counts[i, cuda.threadIdx.x] = count


@cuda.jit
def _sum_up(counts, firsts, starts):
    """One block: where each thread's survivors of each map go, and where each map starts.

    A thread sums a run of maps, then knows where its run starts.
    """
    shared = cuda.shared.array(0, int64)
    thread = cuda.threadIdx.x
    n_maps, n_columns = counts.shape
    first, end = own_slots(n_maps)
    total = int64(0)
    for i in range(first, end):
        for column in range(n_columns):
            total += counts[i, column]
    shared[thread] = total
    cuda.syncthreads()
    at = int64(0)
    for before in range(thread):
        at += shared[before]
    for i in range(first, end):
        starts[i] = at
        for column in range(n_columns):
            firsts[i, column] = at
            at += counts[i, column]
    if thread == cuda.blockDim.x - 1:
        starts[n_maps] = at


@cuda.jit
def _list_entries(values, maps, firsts, entries):
    """The same threads and slots again, each thread with its own place in `entries`."""
    first, end = own_slots(values.size)
    for i in range(cuda.blockIdx.x, firsts.shape[0], cuda.gridDim.x):
        at = firsts[i, cuda.threadIdx.x]
        for slot in range(first, end):
            if maps[slot] == i and values[slot] > 0:
                entries[at] = slot
                at += 1


def sum_gradients(x, error, values, positions, maps, entries, starts, decoder_filters):
    """d_encoder_filters, d_encoder_bias, d_decoder_filters of a code, listed in `entries`."""
    n_maps, channels, k, _ = decoder_filters.shape
    dtype = x.dtype
    deltas = empty(values.shape, dtype)
    group_size, n_groups = groups_for(k * k)
    n_blocks, n_bytes = ceil_div(values.size, n_groups), group_size * n_groups * dtype.itemsize
    args = error, values, positions, maps, decoder_filters, deltas
    launch(_correlate_errors, n_blocks, (group_size, n_groups), *args, shared_bytes=n_bytes)
    d_encoder, d_decoder = (empty(decoder_filters.shape, dtype) for _ in range(2))
    d_bias = empty(n_maps, dtype)
    n_threads = threads_for(channels * k * k)
    n_tiles = ceil_div(channels * k * k, n_threads)
    n_bytes = n_threads * (2 * dtype.itemsize + 3 * 4)
    args = x, error, values, positions, deltas, entries, starts, n_tiles
    args = *args, d_encoder, d_bias, d_decoder
    launch(_add_patches, n_maps * n_tiles, n_threads, *args, shared_bytes=n_bytes)
    return d_encoder, d_bias, d_decoder


@cuda.jit
def _correlate_errors(error, values, positions, maps, filters, deltas):
    """One group a slot: delta = 2 <W, e_p>; every thread has its taps in all channels."""
    (_, channels, height, width), k = error.shape, filters.shape[2]
    n_slots = values.shape[1]
    shared = cuda.shared.array(0, error.dtype)
    step = cuda.gridDim.x * cuda.blockDim.y
    for first in range(cuda.blockIdx.x * cuda.blockDim.y, values.size, step):
        item = first + cuda.threadIdx.y
        image, slot = item // n_slots, item % n_slots
        total = error.dtype.type(0)
        if item < values.size and values[image, slot] > 0:
            i, position = maps[image, slot], positions[image, slot]
            top, left = position // width - k // 2, position % width - k // 2
            for tap in range(cuda.threadIdx.x, k * k, cuda.blockDim.x):
                dy, dx = tap // k, tap % k
                y, x = top + dy, left + dx
                if 0 <= y < height and 0 <= x < width:
                    for channel in range(channels):
                        total += filters[i, channel, dy, dx] * error[image, channel, y, x]
        total = group_sum(total, shared)
        if item < values.size and cuda.threadIdx.x == 0:
            deltas[image, slot] = 2 * total


@cuda.jit
def _add_patches(
    x, error, values, positions, deltas, entries, starts, n_tiles, d_encoder, d_bias, d_decoder
):
    """One block a tile: n_threads taps of a map. Entries pass in shared memory."""
    (_, _, height, width), (n_maps, channels, k, _) = x.shape, d_encoder.shape
    n_slots = values.shape[1]
    thread, n_threads = cuda.threadIdx.x, cuda.blockDim.x
    shared_values = cuda.shared.array(0, x.dtype)
    shared_deltas = shared_values[n_threads:]
    shared = cuda.shared.array(0, int32)[2 * n_threads * x.itemsize // 4 :]
    images, rows, columns = shared, shared[n_threads:], shared[2 * n_threads :]
    zero = x.dtype.type(0)
    for item in range(cuda.blockIdx.x, n_maps * n_tiles, cuda.gridDim.x):
        i, tap = item // n_tiles, item % n_tiles * n_threads + thread
        channel, dy, dx = tap // (k * k), tap // k % k - k // 2, tap % k - k // 2
        exists = channel < channels
        encoder_total, decoder_total, bias_total = zero, zero, zero
        for first in range(starts[i], starts[i + 1], n_threads):
            n_here = min(n_threads, starts[i + 1] - first)
            cuda.syncthreads()  # all have done with the entries before
            if thread < n_here:
                image, slot = entries[first + thread] // n_slots, entries[first + thread] % n_slots
                position = positions[image, slot]
                shared_values[thread] = 2 * values[image, slot]
                shared_deltas[thread] = deltas[image, slot]
                images[thread] = image
                rows[thread], columns[thread] = position // width, position % width
            cuda.syncthreads()
            for entry in range(n_here):
                y, column = rows[entry] + dy, columns[entry] + dx
                inside = 0 <= y < height and 0 <= column < width
                bias_total += shared_deltas[entry]
                if exists and inside and shared_values[entry] > 0:
                    image = images[entry]
                    decoder_total += shared_values[entry] * error[image, channel, y, column]
                    encoder_total += shared_deltas[entry] * x[image, channel, y, column]
        if exists:
            d_encoder[i, channel, dy + k // 2, dx + k // 2] = encoder_total
            d_decoder[i, channel, dy + k // 2, dx + k // 2] = decoder_total
        if tap == 0:
            d_bias[i] = bias_total
