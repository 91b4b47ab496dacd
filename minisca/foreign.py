"""Arrays from elsewhere: what other libraries call an array, as one of NumPy's.

What slices along its first axis and has a dtype of NumPy's (HDF5, zarr, xarray, a device's array)
is left as it is, to be read a part at a time. All else is taken at once: by a view where it lies in
memory, as PyTorch's tensors do.
"""

import sys

import numpy as np

#: Of `__dlpack_device__`: memory of the host, and of a CUDA device.
HOST, CUDA = (1, 3), (2, 13)


def is_of_device(array):
    """Whether it is an array that CUDA libraries share: of a GPU, whichever has made it."""
    if is_tensor(array):
        return array.is_cuda
    return hasattr(array, "__cuda_array_interface__") or hasattr(array, "__cuda_ndarray__")


def is_tensor(array):
    """Whether it is a tensor of PyTorch's, which is not imported for that."""
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind is not None and isinstance(array, kind)


def as_numpy(name, array):
    """`array` with a shape and a dtype of NumPy's, if it is one or can be seen as one; or itself.

    A CUDA tensor is returned as it is: see `is_of_device`. Raises TypeError, naming the array and
    what is to be done, for a tensor that requires gradients, of another device or layout, or of a
    dtype that NumPy has not.
    """
    if isinstance(array, np.ndarray):
        return array
    if is_tensor(array):
        return _of_tensor(name, array)
    if isinstance(getattr(array, "dtype", None), np.dtype) or is_of_device(array):
        return array
    if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
        return _of_dlpack(name, array)
    return array


def _of_tensor(name, tensor):
    what = f"{name} is a tensor"
    if tensor.requires_grad:
        must = f"its gradient would be lost: give {name}.detach()"
        raise TypeError(f"{what} that requires gradients; {must}")
    if str(tensor.layout) != "torch.strided":
        raise TypeError(
            f"{what} of the layout {tensor.layout}; it must be dense: {name}.to_dense()"
        )
    if tensor.is_cuda and hasattr(np, str(tensor.dtype).partition(".")[2]):
        return tensor
    if tensor.device.type not in ("cpu", "cuda"):
        must = f"it must be on the CPU, or on the CUDA device of the backend: {name}.cpu()"
        raise TypeError(f"{what} on {tensor.device}; {must}")
    try:
        return tensor.resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError) as error:
        must = f"it must be dense, and of a dtype that NumPy has: {name}.float(), say"
        raise TypeError(f"{what} of {tensor.dtype}; {must} ({error})") from error


def _of_dlpack(name, array):
    what, (device, _) = f"{name} is a {type(array).__name__}", array.__dlpack_device__()
    if device not in HOST:
        raise TypeError(f"{what} on the DLPack device {device}; it must be on the host")
    try:
        return np.from_dlpack(array)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise TypeError(f"{what} that NumPy cannot read ({error})") from error
