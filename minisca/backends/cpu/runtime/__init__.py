"""What runs kernels on the CPU: compiling them, keeping the machine code, threads, memory.

Private parts of Numba and llvmlite are used here and in `vectors`, and nowhere else. Seen to work
with Numba 0.60 (llvmlite 0.43), 0.63 (0.46) and 0.68 (0.50).

compiling: `Dispatcher._cache`, a kernel's cache on disk. Of `numba.core.caching` `FunctionCache`
and `IndexDataCacheFile`, with `_impl`, `_cache_file`, `_cache_path` and `_load_index`, and the
locator's `get_source_stamp`.

parallel: `Dispatcher.compile`, `.overloads`, and of what is compiled `library` and `fndesc`, for
the address of a kernel. `numba.core.cgutils` and `context.call_conv`, to call it by address and see
whether it raised.

threads: `numba.np.ufunc.parallel._launch_threads` starts Numba's threads; `numba.np.ufunc.omppool`
says where their OpenMP library is.

vectors: `numba.core.codegen.JITCPUCodegen` makes LLVM ready for this machine;
`context.make_array` and `.get_dummy_value` pass arrays as pointers; `llvmlite.ir` and
`llvmlite.binding` write and compile functions of explicit vectors.
"""

from minisca.backends import boundary
from minisca.backends.cpu.runtime.compiling import kernel
from minisca.backends.cpu.runtime.memory import aligned_zeros, plain, recycler
from minisca.backends.cpu.runtime.parallel import ceil_div, in_parallel, share
from minisca.backends.cpu.runtime.threads import thread_count

# For kernels that are no backend's operation, which come in by this door.
from minisca.backends.cpu.vectors import machine_code, microkernel, strips

operation = boundary.operation()
