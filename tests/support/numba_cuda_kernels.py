"""The arguments of every kernel of the Numba CUDA backend, as they are launched and compiled.

A letter and the number of dimensions: f float32 or float64, d float64, i int32, l int64; f0 and l0
are numbers; x3 is a tuple of three. Arrays are C-contiguous.
"""

#: Of every kernel, by room and name.
KERNELS = {
    "conv._convolve_in_tiles": "f4 f3 l0 f1 f4",
    "conv._convolve": "f4 f4 f1 f4",
    "conv._transpose": "f4 f4",
    "conv._correlate": "f4 f4 f4",
    "conv._sum_planes": "f2 f1",
    "conv._sum_images": "f2 f0 f1",
    "device._fill": "f1",
    "elements._gather": "f2 l1 f2",
    "elements._subtract_and_sum": "f1 f1 f0 f1 d1",
    "elements._scale": "f1 f0 f1",
    "elements._add": "f1 f1",
    "norm._square_and_sum": "f1 d1",
    "norm._sum": "d1 d1",
    "pooling._max_pool": "f4 l0 l0 l0 l0 f4 i4",
    "pooling._gather": "f2 i2 f2",
    "pooling._convolve_and_pool": "f4 f3 l0 f1 l0 l0 l0 l0 f4",
    "selection.convolve_and_keep_winners": "f4 f3 l0 f1 f2 i2",
    "selection._keep_top_n": "f2 f2 i2",
    "selection._keep_k_largest": "f3 f2 i2 f2 i2 i2",
    "sgd._normalise": "f2",
    "sgd._step": "f1x1 f1x1 f1x1 f0x1 f0",
    "survivors._name_maps": "l0 i2",
    "survivors._paste": "f2 i2 i2 f4 f1 l0 f4",
    "survivors._transpose_slots": "l0 l1 l1",
    "survivors._count_survivors": "f1 i1 l2",
    "survivors._sum_up": "l2 l2 l1",
    "survivors._list_survivors": "f1 i1 l2 l1",
    "survivors._correlate_errors": "f4 f2 i2 i2 f4 f2",
    "survivors._add_patches": "f4 f4 f2 i2 f2 l1 l1 l0 f4 f1 f4",
    "winners._relu": "f1 f1",
    "winners._relu_backward": "f1 f1 f1",
    "winners._put_back": "f1 i1 f2",
    "winners._keep_largest_images": "f2 l0 f2",
}
TRAINING_STEP = [
    *("selection.convolve_and_keep_winners", "survivors._name_maps", "survivors._paste"),
    *("survivors._transpose_slots", "survivors._correlate_errors", "survivors._add_patches"),
    *("conv._sum_planes", "conv._sum_images", "sgd._step"),
    *("elements._gather", "elements._subtract_and_sum", "norm._sum"),
    "sgd._normalise",
]
