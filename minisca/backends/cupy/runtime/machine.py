"""The machine as CuPy shows it: `platform` is the only place that knows CuPy.

The tests put another one there, which runs the same kernels on NumPy arrays; all else, in this
package too, is the same with both.
"""

import contextlib
import functools
import importlib.util
import math
import threading

import numpy as np

from minisca.backends.devices import no_device, no_room

#: CUDA's numbers of memory that a device reads: its own, and managed memory.
DEVICE_MEMORY = (2, 3)


class CuPy:
    """What the backend uses of CuPy, which is imported when it is first asked for."""

    @functools.cached_property
    def xp(self):
        """The module of arrays."""
        try:
            cupy = _import_cupy()
        except ImportError as error:
            raise ImportError(
                "the backend 'cupy' needs the package CuPy: pip install minisca[cupy] "
                "(backend='cpu' runs everywhere)"
            ) from error
        if not cupy.cuda.is_available():
            raise no_device("cupy")
        return cupy

    def is_available(self):
        """Whether CuPy is installed and finds a device."""
        if importlib.util.find_spec("cupy") is None:
            return False
        return _import_cupy().cuda.is_available()

    def is_there(self, array):
        """Whether it is a C-contiguous array of the device."""
        return isinstance(array, self.xp.ndarray) and array.flags.c_contiguous

    def holds(self, array):
        """Whether it is an array of the current device, of CuPy's or, as a tensor, another's."""
        here = self.xp.cuda.Device().id
        if isinstance(array, self.xp.ndarray):
            return array.device.id == here
        interface = getattr(array, "__cuda_array_interface__", {})
        if "data" not in interface:
            return False
        found = self.xp.cuda.runtime.pointerGetAttributes(interface["data"][0])
        return found.type in DEVICE_MEMORY and found.device == here

    def to_host(self, array):
        """`array` as a NumPy array; it waits for the kernels before it."""
        return self.xp.asnumpy(array)

    @functools.cached_property
    def _copies(self):
        """The stream on which `send` and `fetch` copy while kernels run."""
        return self.xp.cuda.Stream(non_blocking=True)

    def pinned(self, shape, dtype):
        """A new array of the host, in memory that the device reads and writes by itself."""
        size = math.prod(shape)
        memory = self.xp.cuda.alloc_pinned_memory(max(1, size * dtype.itemsize))
        return np.frombuffer(memory, dtype, size).reshape(shape)

    def send(self, array):
        """Begin to copy an array of the host; the function that waits, and gives it there."""
        if not self._is_pinned(array):
            staged = self.pinned(array.shape, array.dtype)
            staged[...] = array
            array = staged
        there = self.xp.empty(array.shape, array.dtype)
        # Its memory may be what kernels use that were launched before: their stream's own.
        self._copies.wait_event(self.xp.cuda.get_current_stream().record())
        there.set(array, stream=self._copies)
        return Copy(there, array, self._copies.record())

    def fetch(self, array):
        """Begin to copy an array of the device; the function that waits, and gives it here."""
        here = self.pinned(array.shape, array.dtype)
        self._copies.wait_event(self.xp.cuda.get_current_stream().record())
        array.get(stream=self._copies, out=here, blocking=False)
        return Copy(here, array, self._copies.record())

    def _is_pinned(self, array):
        while isinstance(array, np.ndarray):
            array = array.base
        owner = array.obj if isinstance(array, memoryview) else array
        return isinstance(owner, self.xp.cuda.PinnedMemoryPointer)

    def raw_kernel(self, code, name, options):
        """The kernel, compiled when it is first launched. CuPy adds the option -ftz=true."""
        return self.xp.RawKernel(code, name, options)

    @functools.cached_property
    def shared_limit(self):
        """Bytes of shared memory that a block may have, once it has asked for them."""
        return self.xp.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"]

    @functools.cached_property
    def compute_capability(self):
        """Of the device: 90 is 9.0."""
        return int(self.xp.cuda.Device().compute_capability)

    @property
    def free_bytes(self):
        """Memory of the device that nobody uses."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return free + self.xp.get_default_memory_pool().free_bytes()

    def stream(self):
        """A new stream, on which launches can be recorded."""
        return self.xp.cuda.Stream()

    def current_stream(self):
        """What tells the stream that launches go to from others."""
        return self.xp.cuda.get_current_stream().ptr

    @contextlib.contextmanager
    def on_stream(self, stream):
        """What is launched within runs on the stream: after all before it, and before all after.

        At the end everything there is done, whatever happened.
        """
        stream.wait_event(self.xp.cuda.get_current_stream().record())
        with stream:
            try:
                yield
            finally:
                stream.synchronize()

    def pool(self):
        """A new pool of memory; its `malloc` may be an allocator."""
        return self.xp.cuda.MemoryPool()

    def allocating(self, allocator):
        """Within, new arrays have memory of the allocator's."""
        return self.xp.cuda.using_allocator(allocator)

    @functools.cached_property
    def failures(self):
        """What a launch or a wait raises, and what an allocation that does not fit raises."""
        cuda = self.xp.cuda
        launch = (cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError)
        return launch, (cuda.memory.OutOfMemoryError,)


class Copy:
    """A copy on its way: called, it waits, and gives what was made. Both ends stay until then."""

    def __init__(self, made, source, done):
        self._made, self._source, self._done = made, source, done

    def __call__(self):
        self._done.synchronize()
        self._source = None
        return self._made

    def __del__(self):
        if self._source is not None:  # nobody waited: its memory must not be another's yet
            self._done.synchronize()


def _import_cupy():
    """CuPy, which makes the folder of its compiled kernels when it is imported."""
    try:
        import cupy
    except OSError as error:
        raise no_cache(error) from error
    return cupy


def no_cache(error):
    """The exception for an OSError of CuPy's cache: it says where another one may be."""
    return RuntimeError(
        f"CuPy cannot keep compiled kernels in its folder: {error}; name one that can be written "
        "in the environment variable CUPY_CACHE_DIR (backend='cpu' runs without CuPy)"
    )


platform = CuPy()


class _Watch(threading.local):
    """What is told, within a thread, of the arrays that kernels are launched with; None: nobody."""

    tell = None


watch = _Watch()


@contextlib.contextmanager
def watched(tell):
    """Within, `tell` is called with the arguments of every launch."""
    watch.tell = tell
    try:
        yield
    finally:
        watch.tell = None


def is_available():
    """Whether there is a device to run on."""
    return platform.is_available()


def require():
    """Raise ImportError without CuPy, RuntimeError without a device, saying what to do."""
    _ = platform.xp


def allocate(shape, dtype, make):
    """What `make()` returns, a new array; MemoryError says what would fit, if it does not."""
    _, out_of_memory = platform.failures
    try:
        return make()
    except out_of_memory as error:
        raise no_room(shape, dtype, platform.free_bytes, error) from error
