"""What every operation means: plain loops in float64, written to be read and never optimised.

Formulas from arXiv 1409.2752v1 (Makhzani and Frey); shapes and tie rules as minisca's contract has
them. Nothing here imports minisca; its tests compare every backend with this.
"""

from reference.conv import conv2d, conv2d_backward
from reference.deconv import deconv2d, deconv2d_backward
from reference.elements import (
    contrast_normalised,
    cross_entropy,
    linear,
    linear_backward,
    nearest,
    row_squares,
    squared_hinge,
)
from reference.pooling import encode_pooled, max_pool, max_pool_backward
from reference.sgd import sgd_momentum_, winners_update_
from reference.winners import (
    decode_winners,
    encode_k_largest,
    encode_top_n,
    encode_winners,
    lifetime_sparsity,
    relu,
    relu_backward,
    winner_take_all,
    winner_take_all_backward,
    winners_backward,
)

__all__ = [
    "contrast_normalised",
    "conv2d",
    "conv2d_backward",
    "cross_entropy",
    "decode_winners",
    "deconv2d",
    "deconv2d_backward",
    "encode_k_largest",
    "encode_pooled",
    "encode_top_n",
    "encode_winners",
    "lifetime_sparsity",
    "linear",
    "linear_backward",
    "max_pool",
    "max_pool_backward",
    "nearest",
    "relu",
    "relu_backward",
    "row_squares",
    "sgd_momentum_",
    "squared_hinge",
    "winner_take_all",
    "winner_take_all_backward",
    "winners_backward",
    "winners_update_",
]
