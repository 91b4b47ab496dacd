"""Kernels called as CuPy's are: `kernel(grid, block, args, shared_mem=...)` on NumPy arrays."""

import contextlib
import ctypes
import math

from .arguments import Arguments
from .build import build_kernels, place_of, runtime
from .rewrite import CompileError

ORDERS = ("forward", "reversed", "random")
STATIC_LIMIT = 48 << 10  # bytes of shared memory a block has without asking
OPT_IN_LIMIT = 99 << 10  # and on asking: the least of compute capabilities 8.0 and later

_GRID_LIMITS, _BLOCK_LIMITS, _MAX_THREADS = (2**31 - 1, 65535, 65535), (1024, 1024, 64), 1024
_settings = {"order": 0, "seed": 0, "first_blocks": _GRID_LIMITS[0] ** 2, "last_blocks": 0}


class _Launch(ctypes.Structure):  # mirrored in runtime/runtime.h
    _fields_ = (
        ("entry", ctypes.c_void_p),
        ("arguments", ctypes.POINTER(ctypes.c_void_p)),
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint64),
        ("shared_limit", ctypes.c_uint64),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_uint64),
        ("first_blocks", ctypes.c_uint64),
        ("last_blocks", ctypes.c_uint64),
    )


class _Fault(ctypes.Structure):  # mirrored in runtime/runtime.h
    _fields_ = (
        ("message", ctypes.c_char * 512),
        ("block", ctypes.c_uint * 3),
        ("thread", ctypes.c_uint * 3),
        ("place", ctypes.c_char * 256),
        ("address", ctypes.c_uint64),
        ("is_launch_error", ctypes.c_int),
    )


@contextlib.contextmanager
def _with(**settings):
    before = _settings | {}
    _settings.update(settings)
    try:
        yield
    finally:
        _settings.update(before)


def order(name, seed=0):
    """Within the block, threads between barriers and blocks run "forward", "reversed" or "random".

    The random order is drawn from `seed`, anew at every barrier.
    """
    return _with(order=ORDERS.index(name), seed=seed)


def blocks(first, last):
    """Run only the `first` and the `last` so many blocks of a grid, blockIdx.x running fastest.

    So a grid of millions can be looked at where it ends. What a kernel sees is the whole grid.
    """
    return _with(first_blocks=first, last_blocks=last)


class LaunchError(ValueError):
    """A launch that a real device refuses: grid, block, shared memory."""


class KernelError(RuntimeError):
    """A kernel did what CUDA forbids; the message names kernel, block, thread and line."""


class RawKernel:
    """The kernel `name` of the CUDA C++ text `code`, run thread by thread on the CPU.

    code : str, with `extern "C" __global__ void name(...)` in it
    options : tuple of NVRTC's options: -D..., -std=c++17
    max_dynamic_shared_size_bytes : what a launch may ask for; settable up to OPT_IN_LIMIT

    Raises CompileError with the compiler's message.
    """

    def __init__(self, code, name, options=()):
        self.name = name
        library, self._path = build_kernels(code, tuple(options))
        if not hasattr(library, f"{name}_entry"):
            raise CompileError(f'the text has no `extern "C" __global__ void {name}(...)`')
        self._entry = ctypes.cast(library[f"{name}_entry"], ctypes.c_void_p)
        signature = ctypes.PYFUNCTYPE(ctypes.c_char_p)((f"{name}_signature", library))
        self._signature = signature().decode()
        self._launch_bound = library[f"{name}_launch_bound"]()
        self.max_dynamic_shared_size_bytes = STATIC_LIMIT

    def __call__(self, grid, block, args, *, shared_mem=0):
        """Run every block of the grid; arrays among `args` change when all of it went well.

        grid, block : tuples of 1 to 3 integers
        args : tuple of C-contiguous NumPy arrays and NumPy scalars, of the parameters' types;
            an array without elements is a null pointer
        shared_mem : bytes of dynamic shared memory

        Raises LaunchError for a launch that a device refuses, TypeError for arguments that are not
        the kernel's parameters, KernelError for what must not happen while it runs.
        """
        grid, block = self._check_configuration(grid, block, shared_mem)
        arguments = Arguments(self.name, self._signature, args)
        try:
            arguments.upload()
            self._launch(grid, block, shared_mem, arguments)
        finally:
            runtime().emulator_give_back()

    def _launch(self, grid, block, shared_mem, arguments):
        granted = self.max_dynamic_shared_size_bytes
        launch = _Launch(
            entry=self._entry,
            arguments=arguments.pointers,
            grid=grid,
            block=block,
            shared_bytes=shared_mem,
            shared_limit=OPT_IN_LIMIT if granted > STATIC_LIMIT else STATIC_LIMIT,
            **_settings,
        )
        fault = _Fault()
        if runtime().emulator_launch(ctypes.byref(launch), ctypes.byref(fault)):
            raise self._error(fault)
        arguments.download()

    def _check_configuration(self, grid, block, shared_mem):
        grid = self._check_extent("grid", grid, _GRID_LIMITS)
        block = self._check_extent("block", block, _BLOCK_LIMITS)
        most = min(_MAX_THREADS, self._launch_bound)
        if math.prod(block) > most:
            raise LaunchError(
                f"invalid configuration: a block of {block} has {math.prod(block)} threads, more "
                f"than the {most} that kernel {self.name} may have"
            )
        granted = self.max_dynamic_shared_size_bytes
        if not 0 <= granted <= OPT_IN_LIMIT:
            raise LaunchError(
                f"max_dynamic_shared_size_bytes is {granted}; it must be 0 to {OPT_IN_LIMIT}"
            )
        if not 0 <= shared_mem <= granted:
            raise LaunchError(
                f"invalid configuration: {shared_mem} bytes of dynamic shared memory for kernel "
                f"{self.name}; it must be 0 to {granted} "
                "(kernel.max_dynamic_shared_size_bytes)"
            )
        return grid, block

    def _check_extent(self, what, extent, limits):
        whole = tuple(extent) + (1,) * (3 - len(extent))
        if len(whole) != 3 or any(
            not 1 <= n <= most for n, most in zip(whole, limits, strict=True)
        ):
            raise LaunchError(
                f"invalid configuration: {what} {extent} of kernel {self.name}; "
                f"it must be 1 to 3 numbers from 1 to {limits}"
            )
        return tuple(map(int, whole))

    def _error(self, fault):
        place = fault.place.decode() or place_of(self._path, fault.address)
        who = f"block {tuple(fault.block)}, thread {tuple(fault.thread)}"
        error = LaunchError if fault.is_launch_error else KernelError
        return error(f"kernel {self.name}, {place}, {who}: {fault.message.decode()}")
