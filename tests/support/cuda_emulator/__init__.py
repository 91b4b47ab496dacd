"""CUDA C++ kernels run for real on the CPU, so that they can be tested without a GPU.

    from tests.support.cuda_emulator import RawKernel, order

    kernel = RawKernel(code, "scale", ("-DREAL=float",))
    with order("reversed"):
        kernel((n_blocks,), (128,), (x, np.float32(2), np.int32(x.size)), shared_mem=512)

`RawKernel` is called as CuPy's is, with NumPy arrays. The very text of the kernel is compiled by
the host's C++ compiler behind a header with CUDA's words (shim/) and run by a small runtime
(runtime/): block after block, the threads of a block as fibers that switch at barriers and at
warp-wide operations. Every load and store is judged before it happens. What a device would leave
undefined is an exception that names kernel, line, block and thread:

- an access outside of global, shared and dynamic shared arrays, or through a stray pointer;
- a read of shared memory that no thread of the block has written;
- a race: two threads at one element with no barrier (or __syncwarp) between, one of them writing;
  two blocks likewise, unless by atomics or with a __threadfence() after the write;
- a barrier that a thread does not reach, because it returned or waits at another barrier;
- a shuffle or __syncwarp that a lane named in the mask does not reach, or that does not name its
  caller, and a shuffle that reads a lane which does not take part;
- a product of matrix fragments that some lane of the warp does not take part in; what is copied in
  the background is rubbish until the thread has waited for it (shim/tensor.h);
- undefined behaviour: signed overflow, shifts, division by zero, indices beyond the length of an
  array (local ones too), misaligned vectors, numbers that do not fit the integer they become;
- a local variable used before it is set, as far as the compiler sees;
- arguments that are not the kernel's parameters, and launches that a device refuses.

With CUDA_EMULATOR_SANITIZER=address in the environment of a process that was started with
AddressSanitizer's library preloaded, AddressSanitizer judges the accesses instead: it sees local
arrays overrun through a pointer and accesses beyond __device__ variables as well. An access out of
bounds then ends the process with its report, unless it is so far out that it lands within another
array. Races and reads of unwritten memory go unseen; all else above is reported as before.

What it does not model: real concurrency and its timing, memory models finer than the above, spin
locks (a waiting thread never gives way), contraction to fused multiply-add and flushing of
denormals, races for __device__ variables, reads of global memory that nobody has written,
registers, textures, cooperative groups, inline PTX, printf, and whatever else of
CUDA no kernel here uses (shim/ has what they do). A race is seen by the
last write, the last atomic operation and two reads of an element: where more threads of one warp
read it, a write by another lane of theirs may go unseen. Two threads that write the same value race
as well. The __shared__ declarations must stand inside functions, and count when they are reached.
A launch takes nine times the memory of its arrays; of those beyond 16 MiB, of the pages in use. So
an array of more than 2^31 elements is possible where nearly all of it is untouched (`sparse_zeros`
makes such), and of a grid that would take hours, a test may run the `blocks` at its ends.

It needs g++ on Linux (COMPILER is None elsewhere). What it compiles it keeps in the system's
temporary directory (build.py).
"""

from .build import COMPILER as COMPILER
from .launch import OPT_IN_LIMIT as OPT_IN_LIMIT
from .launch import ORDERS as ORDERS
from .launch import STATIC_LIMIT as STATIC_LIMIT
from .launch import KernelError as KernelError
from .launch import LaunchError as LaunchError
from .launch import RawKernel as RawKernel
from .launch import blocks as blocks
from .launch import order as order
from .rewrite import CompileError as CompileError
from .sparse import can_be_sparse as can_be_sparse
from .sparse import sparse_zeros as sparse_zeros
