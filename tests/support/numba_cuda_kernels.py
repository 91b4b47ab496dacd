"""The arguments of every kernel of the Numba CUDA backend, as they are launched and compiled.

A letter and the number of dimensions: f float32 or float64, d float64, i int32, l int64; f0, d0
and l0 are numbers; x3 is a tuple of three. Arrays are C-contiguous.
"""

import importlib

#: Of every kernel, by module and name.
KERNELS = {
    "elements._gather": "f2 l1 f2",
    "elements._cast": "f1 f1 f1 l0 l0",
    "elements._subtract_and_sum": "f1 f1 f1 f0 d1",
    "elements._scale": "f1 f1 f0",
    "elements._add": "f1 f1",
    "pooling._max_pool": "f4 l0 l0 l0 l0 f4 i4",
    "pooling._max_pool_backward": "f2 i2 f2",
    "pooling._scale": "f4 f3 f1",
    "sgd._sgd_momentum": "f1x1 f1x1 f1x1 f0x1 f0",
    "winners._relu": "f1 f1",
    "winners._relu_backward": "f1 f1 f1",
    "winners._put_back": "f1 i1 f2",
    "winners._keep_over_batch": "f2 l0 f2",
    "kernels.convolution._convolve": "f4 f4 f1 f4",
    "kernels.convolution._transpose": "f4 f4",
    "kernels.convolution._correlate": "f4 f4 f4",
    "kernels.direct.direct_maps": "f4 f3 l0 f1 l0 f4",
    "kernels.direct.direct_winners": "f4 f3 l0 f1 l0 f2 i2",
    "kernels.direct.direct_pooled": "f4 f3 l0 f1 l0 l0 l0 l0 l0 f4",
    "kernels.linear.linear": "f2 f2 f1 f2",
    "kernels.linear.multiply_rows": "f2 f2 f3",
    "kernels.linear.sum_pieces": "f2 f1",
    "kernels.linear.square_rows": "f2 d1",
    "kernels.linear.squared_hinge": "f2 i1 d1 f2",
    "kernels.linear.cross_entropy": "f2 i1 d1 f2",
    "kernels.rows.normalise_rows": "f2 d1 f2",
    "kernels.rows.choose_nearest": "f2 f2 f2 i1 f1",
    "kernels.selection._keep_top_n": "f2 f2 i2",
    "kernels.selection._keep_k_largest": "f3 f2 i2 f2 i2 i2",
    "kernels.sums._sum_planes": "f2 f1",
    "kernels.sums._sum_images": "f2 f0 f1",
    "kernels.sums._square_and_sum": "f1 d1",
    "kernels.sums._add_up": "d1 d0 d1",
    "kernels.survivors._name_maps": "l0 i2",
    "kernels.survivors._decode": "f2 i2 i2 f4 f1 l0 f4",
    "kernels.survivors._list_columns": "l0 l1 l1",
    "kernels.survivors._count_entries": "f1 i1 l2",
    "kernels.survivors._sum_up": "l2 l2 l1",
    "kernels.survivors._list_entries": "f1 i1 l2 l1",
    "kernels.survivors._correlate_errors": "f4 f2 i2 i2 f4 f2",
    "kernels.survivors._add_patches": "f4 f4 f2 i2 f2 l1 l1 l0 f4 f1 f4",
    "runtime.arrays._fill": "f1",
}
TRAINING_STEP = [
    *("elements._gather", "elements._subtract_and_sum", "kernels.direct.direct_winners"),
    *(f"kernels.survivors.{name}" for name in ("_name_maps", "_decode", "_list_columns")),
    *("kernels.survivors._correlate_errors", "kernels.survivors._add_patches"),
    *(f"kernels.sums.{name}" for name in ("_sum_planes", "_sum_images", "_add_up")),
    "sgd._sgd_momentum",
]
PACKAGE = "minisca.backends.numba_cuda"


def find(name):
    """The kernel of that module and name."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(f"{PACKAGE}.{module}"), function)
