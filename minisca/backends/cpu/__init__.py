"""The CPU backend: Numba for everything, BLAS for the dense gradients."""

from minisca.backends.cpu.conv import conv2d, conv2d_backward
from minisca.backends.cpu.deconv import deconv2d, deconv2d_backward
from minisca.backends.cpu.device import (
    copy,
    copy_into_,
    empty,
    fetch,
    free_bytes,
    holds,
    pinned,
    send,
    to_device,
    to_host,
)
from minisca.backends.cpu.elements import (
    add_,
    add_up_,
    all_finite,
    cast,
    contrast_normalised,
    cross_entropy,
    decoded_residual,
    gather,
    linear,
    linear_backward,
    nearest,
    residual,
    row_squares,
    scaled,
    squared_hinge,
)
from minisca.backends.cpu.pooling import encode_pooled, max_pool, max_pool_backward
from minisca.backends.cpu.sgd import sgd_momentum_, winners_update_
from minisca.backends.cpu.steps import make_steps
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
