"""What goes wrong with a kernel: before it starts, while it runs, or already when compiled."""


class CompileError(Exception):
    """The kernel's text is not CUDA C++ as the emulator knows it; the message is the compiler's."""


class LaunchError(ValueError):
    """A launch that a real device refuses: grid, block, shared memory."""


class KernelError(RuntimeError):
    """A kernel did what CUDA forbids; the message names kernel, block, thread and line."""
