"""The CuPy backend: every operation as CUDA C++ kernels (kernels/*.cu), for NVIDIA GPUs.

Arguments are arrays of the device or of the host (which are transferred); results stay on the
device until `to_host`. Every sum is taken in a fixed order, without floating-point atomics: the
same bits every time.
"""

from minisca.backends.cupy.conv import conv2d, conv2d_backward
from minisca.backends.cupy.deconv import deconv2d, deconv2d_backward
from minisca.backends.cupy.device import (
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
from minisca.backends.cupy.elements import (
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
from minisca.backends.cupy.pooling import encode_pooled, max_pool, max_pool_backward
from minisca.backends.cupy.runtime.machine import is_available, require
from minisca.backends.cupy.sgd import sgd_momentum_, winners_update_
from minisca.backends.cupy.steps import make_steps
from minisca.backends.cupy.winners import (
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
