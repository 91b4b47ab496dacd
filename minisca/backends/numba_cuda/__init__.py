"""The Numba CUDA backend: every operation as `@cuda.jit` kernels, for NVIDIA GPUs.

Arguments are arrays of the device or of the host (which are transferred); results stay on the
device until `to_host`. Every sum is taken in a fixed order, without atomics: the same bits every
time.
"""

from minisca.backends.numba_cuda.conv import conv2d, conv2d_backward
from minisca.backends.numba_cuda.deconv import deconv2d, deconv2d_backward
from minisca.backends.numba_cuda.device import (
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
from minisca.backends.numba_cuda.elements import (
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
from minisca.backends.numba_cuda.pooling import encode_pooled, max_pool, max_pool_backward
from minisca.backends.numba_cuda.runtime.machine import is_available, require
from minisca.backends.numba_cuda.sgd import sgd_momentum_, winners_update_
from minisca.backends.numba_cuda.steps import make_steps
from minisca.backends.numba_cuda.winners import (
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
