"""Numbers that say what filters look like: deltas, blurred, the same over and over."""

import numpy as np

#: A map with survivors in a smaller share of the images is dead.
ALIVE = 0.001
#: A filter with this share of its energy in one pixel is called a delta.
DELTA = 0.5


def describe(filters, usage):
    """What a record says of filters (m, c, k, k) whose maps are in use so often, a share each.

    Medians are over those of living maps, or over all if none lives.
    """
    alive, share = usage >= ALIVE, delta_share(filters)
    shown = alive if alive.any() else ~alive
    return {
        "usage": usage.round(5).tolist(),
        "dead_maps": int((~alive).sum()),
        "living_filters": int(alive.sum()),
        "delta_share": share.round(4).tolist(),
        "median_delta_share": float(np.median(share[shown])),
        "deltas": int((share >= DELTA).sum()),
        "median_sharpness": float(np.median(sharpness(filters[shown]))),
        "median_steepness": float(np.median(steepness(filters[shown]))),
        "repeated_filters": repeated(filters[alive]) if alive.any() else 0,
    }


def delta_share(filters):
    """Share of each filter's energy that lies in its largest pixel: (m,) in (0, 1], 1 a delta.

    filters (m, c, k, k); a pixel is all its channels. A filter of zeros has 0.
    """
    energy = np.square(filters, dtype=np.float64).sum(axis=1).reshape(len(filters), -1)
    return energy.max(axis=1) / _positive(energy.sum(axis=1))


def sharpness(filters):
    """Energy of the differences between neighbouring weights over that of the weights: (m,).

    0 where a filter is flat; outside it counts as 0. A delta has 4, and so has noise on average.
    """
    energy = np.square(filters, dtype=np.float64).sum(axis=(1, 2, 3))
    outside = np.pad(filters.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    differences = sum(np.square(np.diff(outside, axis=axis)).sum(axis=(1, 2, 3)) for axis in (2, 3))
    return differences / _positive(energy)


def steepness(filters):
    """The largest difference between neighbouring weights over the range of all weights: (m,).

    Outside a filter counts as 0, which the range includes. 1 where an edge is as crisp as can be,
    however large what it bounds; 1 / w where it rises over w pixels; 0 of a filter of zeros.
    """
    outside = np.pad(filters.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    steps = [np.abs(np.diff(outside, axis=axis)).max(axis=(1, 2, 3)) for axis in (2, 3)]
    span = outside.max(axis=(1, 2, 3)) - outside.min(axis=(1, 2, 3))
    return np.maximum(*steps) / _positive(span)


def shifted_correlations(filters):
    """Largest correlation of every two filters over all shifts: (m, m), the diagonal 0.

    Normalised by the whole filters' norms, what is shifted out counting as 0: 1 is the same filter
    at another place, and the same filter with its sign turned is not alike.
    """
    m, _, k, _ = filters.shape
    norms = np.sqrt(np.square(filters, dtype=np.float64).sum(axis=(1, 2, 3)))
    unit = filters / _positive(norms)[:, None, None, None]
    side = 2 * k - 1  # no shift wraps around
    spectra = np.fft.rfft2(unit, s=(side, side))
    largest = np.empty((m, m))
    for i in range(m):
        products = (spectra[i].conj() * spectra).sum(axis=1)
        largest[i] = np.fft.irfft2(products, s=(side, side)).max(axis=(1, 2))
    np.fill_diagonal(largest, 0)
    return largest


def repeated(filters, threshold=0.9):
    """How many filters have another that correlates with them beyond `threshold` at some shift."""
    return int((shifted_correlations(filters) > threshold).any(axis=1).sum())


def _positive(values):
    """The values, 1 in place of 0: to divide by."""
    return np.where(values > 0, values, 1)
