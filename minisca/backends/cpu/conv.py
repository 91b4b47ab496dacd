"""Same-padded cross-correlation and its gradients (paper section 2): a_i = P_i * x + b_i.

Forward through the register tile of `direct`; the filter gradient as matrix products over patches.
"""

import numpy as np

from minisca.backends.cpu.kernels import direct
from minisca.backends.cpu.kernels.dense import correlate_patches, paste_filters
from minisca.backends.cpu.runtime import in_parallel, kernel, operation


@operation
def conv2d(x, filters, bias):
    """See `minisca.backends.interface.Backend.conv2d`."""
    maps = np.empty((len(x), len(filters), *x.shape[2:]), x.dtype)
    plan = direct.make_plan(x, filters, bias)
    in_parallel(_store_maps, plan.pieces * plan.groups, x, plan, maps)
    return maps


@kernel
def _store_maps(piece, x, plan, maps):
    height, width = x.shape[2:]
    memory = direct.make_memory(x, plan, plan.rows)
    first, end, first_block, end_block = direct.share_of_piece(piece, plan, len(x))
    for i in range(first, end):
        for top in range(0, height, plan.lines):
            bottom = min(top + plan.lines, height)
            direct.load_lines(x[i], top, bottom, plan, memory)
            for b in range(first_block, end_block):
                for y in range(top, bottom, plan.rows):
                    end_row = min(y + plan.rows, bottom)
                    direct.convolve_rows(b, y - top, end_row - top, width, plan, memory)
                    for j in range(min(plan.block, plan.n_maps - b * plan.block)):
                        out = maps[i, b * plan.block + j, y:end_row].reshape(-1)
                        for p in range(len(out)):
                            out[p] = memory.maps[p * plan.block + j]


@operation
def conv2d_backward(x, filters, d_maps, needs_x=True):
    """See `minisca.backends.interface.Backend.conv2d_backward`."""
    d_x = paste_filters(d_maps, filters) if needs_x else None
    d_filters = correlate_patches(d_maps, x, filters.shape[2])
    return d_x, d_filters, d_maps.sum(axis=(2, 3)).sum(axis=0)
