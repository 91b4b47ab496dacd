"""What a reconstruction misses, image by image."""

import numpy as np

from minisca.backends.cpu.runtime import kernel


@kernel(fastmath={"reassoc"})  # the sum of an image's squares may be taken in vectors
def subtract(i, x_hat, x, error, divisor, losses):
    """error = (x_hat - x) / divisor of image i, a row of each; its loss, undivided, in float64."""
    total = 0.0
    for p in range(x.shape[1]):
        difference = x_hat[i, p] - x[i, p]
        total += np.float64(difference) * np.float64(difference)
        error[i, p] = difference / divisor
    losses[i] = total
