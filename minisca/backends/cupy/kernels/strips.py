"""Where strips of a row start in shared memory (kernels/strips.cuh)."""

import numpy as np

BANKS = 32


def most_in_a_bank(starts):
    """How many of the numbers that a warp's lanes read at once, at `starts`, lie in one bank."""
    return np.bincount(starts % BANKS).max()
