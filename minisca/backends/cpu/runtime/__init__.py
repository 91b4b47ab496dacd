"""What runs kernels on the CPU: compiling them, keeping the machine code, threads, memory.

Private parts of Numba and llvmlite are used here and in `vectors`, and nowhere else. Seen to work
with Numba 0.60 (llvmlite 0.43), 0.63 (0.46) and 0.68 (0.50).

=============================================  =================  ==================================
private part                                   where              what for
=============================================  =================  ==================================
`Dispatcher._cache`, `numba.core.caching`:     compiling          a cache that any kernel's file
`FunctionCache`, `CompileResultCacheImpl`,                        renews
its `_impl_class`, `_locator_classes`, and
the locators' `get_source_stamp`
`Dispatcher.compile`, `.overloads`; of what    parallel           the address of a compiled kernel
is compiled `library`, `fndesc`
`numba.core.cgutils`, `context.call_conv`      parallel           to call a kernel by address, and
                                                                  see whether it raised
`numba.np.ufunc.parallel._launch_threads`      threads            to start Numba's threads
`numba.np.ufunc.omppool`                       threads            where their OpenMP library is
`numba.core.codegen.JITCPUCodegen`             vectors            makes LLVM ready for this machine
`context.make_array`, `.get_dummy_value`       vectors            arrays as pointers
`llvmlite.ir`, `llvmlite.binding`              vectors            to write and compile functions of
                                                                  explicit vectors
=============================================  =================  ==================================
"""

from minisca.backends.cpu.runtime.compiling import kernel
from minisca.backends.cpu.runtime.memory import aligned_zeros, plain, recycler
from minisca.backends.cpu.runtime.parallel import ceil_div, in_parallel, share
from minisca.backends.cpu.runtime.threads import thread_count

# For kernels that are no backend's operation, which come in by this door.
from minisca.backends.cpu.vectors import machine_code, strips
