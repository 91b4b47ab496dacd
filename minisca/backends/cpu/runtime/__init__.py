"""What runs kernels on the CPU: compiling them, keeping the machine code, threads, memory.

Private parts of Numba and llvmlite are used here and in `vectors`, and nowhere else. Seen to work
with Numba 0.61.2 (llvmlite 0.44) and 0.68 (0.50).

compiling: `Dispatcher._cache` and `.get_call_template`. Of `numba.core.caching` `FunctionCache`,
with `_impl` (`locator`, `filename_base`, `reduce`, `rebuild`, `check_cachable`), `_cache_path` and
`_index_key`; `NullCache`; `numba.core.serialize.dumps`. `global_compiler_lock`.

parallel: `Dispatcher.compile`, `.overloads`, and of what is compiled `library` and `fndesc`, for
the address of a kernel. `numba.core.cgutils` and `context.call_conv`, to call it by address and see
whether it raised.

vectors: `numba.core.codegen.JITCPUCodegen` makes LLVM ready for this machine;
`context.make_array` and `.get_dummy_value` pass arrays as pointers; `llvmlite.ir` and
`llvmlite.binding` write and compile functions of explicit vectors.

Platforms
---------
Threads are Numba's. Of its layers a package index's file of Numba holds "omp" and "workqueue", and
"tbb", which runs once `pip install tbb` has brought the library. Which of them is in use is asked
by public functions. Results are the same with each, and in a single thread.

Of OpenMP `omp_get_max_threads` and `omp_set_num_threads` are used, for the limits of threadpoolctl,
and of the system's own library: no file or symbol of Numba's libraries. Where that library or one
of the functions is missing, OMP_NUM_THREADS is read once, and limits set later do not reach us.

Linux, x86_64: tested on every change, with "omp"; by hand with "workqueue" and "tbb". Numba's "omp"
    links to libgomp.so.1, which is asked here. Without that library Numba takes "workqueue".
Linux, aarch64: as x86_64, with vectors of 16 bytes (NEON). Run under emulation only.
Windows, not run: Numba's "omp" is Microsoft's, vcomp140.dll, which is asked here. Numba's own
    library exports no function of OpenMP. There is no fork.
macOS, not run: Numba's "omp" needs a libomp that it does not bring along; else it is "workqueue".
    OpenMP is not asked: a second libomp in a process, such as scikit-learn's, would end it.

A child that was forked from a process with Numba's threads works in its one thread, on all systems
(`threads`). Python's own threads may call at once; with "workqueue" they wait for each other.
"""

from minisca.backends import boundary
from minisca.backends.cpu.runtime.compiling import kernel
from minisca.backends.cpu.runtime.memory import aligned_zeros, plain, recycler
from minisca.backends.cpu.runtime.parallel import ceil_div, in_parallel, in_turns, share
from minisca.backends.cpu.runtime.threads import thread_count

# For kernels that are no backend's operation, which come in by this door.
from minisca.backends.cpu.vectors import dots, halves, machine_code, microkernel, strips

operation = boundary.operation()
