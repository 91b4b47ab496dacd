"""Compiling a kernel, and keeping the machine code between processes: the one place for both.

Numba's own cache looks at the file that a kernel stands in alone. A kernel that inlines another
file's would run the old code after an edit there. Here an edit of any kernel's file renews all.
"""

import functools
import hashlib
import os
import pickle
import warnings
from contextlib import suppress
from pathlib import Path

import numba
import numpy as np
from numba import types
from numba.core import caching
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps

from minisca.files.atomic import atomic_write

_PACKAGE = Path(__file__).parents[3]
#: Where the package has kernels and what they inline.
SOURCES = ("backends/cpu/**/*.py", "classifiers/kernels/*.py", "halves.py", "chunks.py")
#: Bytes of the checksum at the head of a file.
CHECKSUM_BYTES = 32

#: Held by who compiles, and by who starts Numba's threads.
compiler_lock = global_compiler_lock
if hasattr(os, "register_at_fork"):
    # A child has a copy of the lock, but not the thread that would give it back.
    os.register_at_fork(
        before=compiler_lock.acquire,
        after_in_parent=compiler_lock.release,
        after_in_child=compiler_lock.release,
    )


def kernel(function=None, **options):
    """Compile `function` when it is first called with arguments of some types, and keep the result.

    Without `function`, a decorator. options: of `numba.njit` (fastmath, error_model, nogil,
    parallel). RuntimeError where NUMBA_DISABLE_JIT is set: kernels call one another by address.
    """
    if numba.config.DISABLE_JIT:
        raise RuntimeError(
            "NUMBA_DISABLE_JIT is set, with which minisca does not run on the CPU: its kernels "
            "must be compiled. Unset it; `reference/` in minisca's repository has plain loops."
        )
    if function is None:
        return functools.partial(kernel, **options)
    compiled = numba.njit(**options)(function)
    compiled._cache = _cache_of(function)  # as cache=True does, with another cache
    typed_call = compiled.get_call_template

    def get_call_template(args, kws):
        # Numba would compile f(x, 0) apart from f(x, y): its type of 0 is "the number 0".
        return typed_call([types.unliteral(kind) for kind in args], kws)

    compiled.get_call_template = get_call_template
    return compiled


@functools.cache
def _digest_of_sources():
    """A digest of every file that a kernel of the package may be made of."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.digest()


def _cache_of(function):
    try:
        return _KernelCache(function)
    except RuntimeError as error:  # Numba finds no folder that can be written to
        _warn_of(error)
        return caching.NullCache()


class _KernelCache(caching.FunctionCache):
    """A kernel's compilations on disk, where Numba would have them: one file each.

    That is in NUMBA_CACHE_DIR, beside the kernel's file, or in the user's cache directory. A file's
    name says what its machine code depends on, so processes that write at the same time write the
    same. A file that cannot be read counts as not there.
    """

    def __init__(self, function):
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp(), _digest_of_sources()
        self._name = self._impl.filename_base.rpartition("-")[0]  # without its line
        self._fresh = f"{self._name}-{_short_digest(stamp)}"

    def load_overload(self, sig, target_context):
        """What was compiled for these types; None if there is nothing sound."""
        target_context.refresh()
        with suppress(Exception):  # unpickling may raise any
            path = self._path(sig, target_context.codegen())
            content = path.read_bytes()
            compiled = content[CHECKSUM_BYTES:]
            if checksum(path, compiled) == content[:CHECKSUM_BYTES]:
                return self._impl.rebuild(target_context, pickle.loads(compiled))

    def save_overload(self, sig, data):
        """Keep what was compiled, and remove what was compiled of older sources."""
        if not self._impl.check_cachable(data):
            return
        path = self._path(sig, data.codegen)
        compiled = dumps(self._impl.reduce(data))
        try:
            with atomic_write(path) as file:
                file.write(checksum(path, compiled) + compiled)
        except OSError as error:
            if not path.exists():  # Windows replaces no file that another process is reading
                _warn_of(error)
        self._remove_all_but(self._fresh)

    def flush(self):
        self._remove_all_but("nothing")

    def _path(self, sig, codegen):
        versions = numba.__version__, np.__version__
        what = self._index_key(sig, codegen), self._impl.filename_base, versions
        return Path(self._cache_path) / f"{self._fresh}-{_short_digest(what)}.nbc"

    def _remove_all_but(self, kept):
        with suppress(OSError):
            for file in Path(self._cache_path).iterdir():
                if file.name.startswith(f"{self._name}-") and not file.name.startswith(kept):
                    file.unlink(missing_ok=True)


def checksum(path, compiled):
    """Of a compilation that is kept in that file and in no other."""
    return hashlib.sha256(path.name.encode() + compiled).digest()


def _short_digest(what):
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


_warned = []


def _warn_of(error):
    """Warn that kernels are not kept, once."""
    if not _warned:
        _warned.append(error)
        message = (
            f"minisca's compiled kernels cannot be kept, so every process compiles them anew, "
            f"which takes a minute: {error}. Set NUMBA_CACHE_DIR to a folder that can be written to"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
