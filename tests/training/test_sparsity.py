"""How many survive lifetime sparsity: a share of the batch, rounded up."""

import math
from fractions import Fraction

import pytest

from minisca.sparsity import survivors_over_batch


@pytest.mark.parametrize("fraction", [0.01, 0.07, 0.25, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 4, 11, 100])
def test_a_share_of_the_batch_is_rounded_up_as_if_the_fraction_were_exact(n, fraction):
    """7 of 100 for 0.07, though 0.07 * 100 > 7 in floating point."""
    assert survivors_over_batch(n, fraction) == math.ceil(Fraction(str(fraction)) * n)


def test_one_image_survives_however_small_the_share():
    assert survivors_over_batch(100, 1e-12) == 1
