"""Arrays of the device in C order, with the strides that go with it.

The stride of an axis of length 1 says nothing, and NumPy lets it be anything; Numba reshapes no
array whose strides are not those of its shape, and takes one with a stride of 0 for a broadcast.
"""

import functools


@functools.lru_cache(1024)
def canonical(shape, itemsize):
    """The strides of a C-contiguous array of that shape, in bytes."""
    strides = [itemsize]
    for side in shape[:0:-1]:
        strides.insert(0, strides[0] * max(1, side))
    return tuple(strides[: len(shape)])


def arrange(array):
    """An array of the device, or another of the same memory, with canonical strides.

    Raises ValueError where the numbers do not lie in C order.
    """
    right = canonical(array.shape, array.dtype.itemsize)
    if array.strides == right:
        return array
    sides = zip(array.shape, array.strides, right, strict=True)
    if array.size and any(side > 1 and own != must for side, own, must in sides):
        raise ValueError("array is not C-contiguous; on the device it must be")
    if not hasattr(array, "gpu_data"):  # Numba's simulator: NumPy reshapes
        return array.reshape(array.size).reshape(array.shape)
    return type(array)(array.shape, right, array.dtype, gpu_data=array.gpu_data)
