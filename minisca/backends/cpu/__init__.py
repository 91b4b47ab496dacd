"""The CPU backend: Numba for everything, BLAS for the dense gradients."""

from minisca.backends.cpu.conv import conv2d, conv2d_backward
from minisca.backends.cpu.deconv import deconv2d, deconv2d_backward
from minisca.backends.cpu.pooling import encode_pooled, max_pool, max_pool_backward
from minisca.backends.cpu.sgd import sgd_momentum_
from minisca.backends.cpu.winners import (
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
    "conv2d",
    "conv2d_backward",
    "decode_winners",
    "deconv2d",
    "deconv2d_backward",
    "encode_k_largest",
    "encode_pooled",
    "encode_top_n",
    "encode_winners",
    "lifetime_sparsity",
    "max_pool",
    "max_pool_backward",
    "relu",
    "relu_backward",
    "sgd_momentum_",
    "winner_take_all",
    "winner_take_all_backward",
    "winners_backward",
]
