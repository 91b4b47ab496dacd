"""Which units survive, what they paste, and the gradients that pass through them alone, in float64.

From section 2.1 of arXiv 1409.2752v1 (step 2: the largest unit a map; top-n; the k largest across
maps) and, for `lifetime_sparsity`, from section 2 of its successor, arXiv 1409.2752v2 (NIPS 2015).
"""

import numpy as np

from reference.conv import conv2d, crop, pad, patch


def relu(maps):
    return np.maximum(0.0, maps.astype(np.float64))


def relu_backward(d_activations, maps):
    return np.where(maps > 0, d_activations.astype(np.float64), 0.0)


def winner_take_all(maps):
    n, m, _, _ = maps.shape
    values, positions = np.zeros((n, m)), np.zeros((n, m), np.int32)
    for image, i in np.ndindex(n, m):
        for position, unit in enumerate(maps[image, i].ravel()):
            if unit > values[image, i]:
                values[image, i], positions[image, i] = unit, position
    return values, positions


def winner_take_all_backward(d_values, positions, shape):
    d_maps = np.zeros(shape)
    for image, i in np.ndindex(d_values.shape):
        row, column = divmod(int(positions[image, i]), shape[3])
        d_maps[image, i, row, column] = d_values[image, i]
    return d_maps


def encode_winners(x, filters, bias):
    return winner_take_all(conv2d(x, filters, bias))


def largest(units, count, silent_map):
    """The `count` largest positive (value, map, position), ties by rising map, then position."""
    ranked = sorted((-value, i, position) for value, i, position in units if value > 0)
    found = [(-value, position, i) for value, i, position in ranked[:count]]
    return found + [(0.0, 0, silent_map)] * (count - len(found))


def code(slots):
    """Lists of (value, position, map), one list an image -> values, positions, maps."""
    table = np.array(slots)
    return table[..., 0].copy(), table[..., 1].astype(np.int32), table[..., 2].astype(np.int32)


def encode_top_n(x, filters, bias, n_active):
    slots = []
    for image in conv2d(x, filters, bias):
        slots.append([])
        for i, activations in enumerate(image):
            units = ((value, i, position) for position, value in enumerate(activations.ravel()))
            slots[-1] += largest(units, n_active, silent_map=i)
    return code(slots)


def encode_k_largest(x, filters, bias, n_active):
    slots = []
    for image in conv2d(x, filters, bias):
        units = (
            (value, i, position)
            for i, activations in enumerate(image)
            for position, value in enumerate(activations.ravel())
        )
        slots.append(largest(units, n_active, silent_map=0))
    return code(slots)


def lifetime_sparsity(values, n_survivors):
    n, s = values.shape
    kept = np.zeros((n, s))
    for slot in range(s):
        by_falling_value = sorted(range(n), key=lambda image: (-values[image, slot], image))
        for image in by_falling_value[:n_survivors]:
            kept[image, slot] = values[image, slot]
    return kept


def survivors(values, positions, maps, map_width):
    """Every slot that is not silent: image, slot, map, row, column."""
    for image, slot in np.ndindex(values.shape):
        if values[image, slot] > 0:
            row, column = divmod(int(positions[image, slot]), map_width)
            yield image, slot, slot if maps is None else maps[image, slot], row, column


def decode_winners(values, positions, filters, bias, size, maps=None):
    (n, _), (_, c, k, _), (h, w) = values.shape, filters.shape, size
    filters, padded = filters.astype(np.float64), pad(np.zeros((n, c, h, w)), k // 2)
    for image, slot, i, row, column in survivors(values, positions, maps, w):
        pasted = patch(padded, image, row, column, k)
        pasted += values[image, slot] * filters[i]
    return crop(padded, k // 2) + bias.astype(np.float64).reshape(1, c, 1, 1)


def winners_backward(x, error, values, positions, encoder_filters, decoder_filters, maps=None):
    (m, c, k, _), w = encoder_filters.shape, x.shape[3]
    decoder_filters, values = decoder_filters.astype(np.float64), values.astype(np.float64)
    padded, padded_error = pad(x, k // 2), pad(error, k // 2)
    d_encoder_filters, d_encoder_bias = np.zeros((m, c, k, k)), np.zeros(m)
    d_decoder_filters = np.zeros((m, c, k, k))
    for image, slot, i, row, column in survivors(values, positions, maps, w):
        error_patch = patch(padded_error, image, row, column, k)
        delta = 2 * np.sum(decoder_filters[i] * error_patch)
        d_decoder_filters[i] += 2 * values[image, slot] * error_patch
        d_encoder_filters[i] += delta * patch(padded, image, row, column, k)
        d_encoder_bias[i] += delta
    d_decoder_bias = 2 * np.sum(error, axis=(0, 2, 3), dtype=np.float64)
    return d_encoder_filters, d_encoder_bias, d_decoder_filters, d_decoder_bias
