"""Which convolution a layer's shape gets: direct, or in the transform domain.

The environment variable MINISCA_CONVOLUTION ("auto", "direct" or "transform") overrides the choice.
"""

import os

from minisca.backends.cpu.kernels import transform
from minisca.validation import check_choice


def choose_convolution(x, filters):
    """ "direct" or "transform" for images x (n, c, h, w) and filters (m, c, k, k).

    The one with less multiplications, of which one of the transform's counts 1.5: its spectra do
    not fit the first caches. Raises ValueError if MINISCA_CONVOLUTION is something else.
    """
    wanted = os.environ.get("MINISCA_CONVOLUTION", "auto")
    check_choice("MINISCA_CONVOLUTION", wanted, ("auto", "direct", "transform"))
    if wanted != "auto":
        return wanted
    n, channels, *size = x.shape
    direct, transformed = transform.costs(n, len(filters), channels, filters.shape[2], tuple(size))
    return "transform" if 1.5 * transformed < direct else "direct"
