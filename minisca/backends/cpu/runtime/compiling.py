"""Compiling a kernel, and keeping the machine code between processes: the one place for both.

Numba's own cache looks at the file that a kernel stands in alone. A kernel that inlines another
file's would run the old code after an edit there. Here an edit of any kernel's file renews all.
"""

import functools
import hashlib
from contextlib import suppress
from pathlib import Path

import numba
from numba import types
from numba.core import caching

_PACKAGE = Path(__file__).parents[3]
#: Where the package has kernels and what they inline.
_SOURCES = ("backends/cpu/**/*.py", "classifiers/kernels/*.py", "chunks.py")


def kernel(function=None, **options):
    """Compile `function` when it is first called with arguments of some types, and keep the result.

    Without `function`, a decorator. options: of `numba.njit` (fastmath, error_model, parallel).
    """
    if function is None:
        return functools.partial(kernel, **options)
    compiled = numba.njit(**options)(function)
    compiled._cache = _KernelCache(function)  # as cache=True does, with another cache
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
    for pattern in _SOURCES:
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.digest()


class _Files(caching.IndexDataCacheFile):
    """Those of a kernel. What cannot be read counts as not there, and is written anew.

    Such as an index of an older version, pickled with the names of modules that have moved.
    """

    def _load_index(self):
        with suppress(Exception):  # unpickling may raise any
            return super()._load_index()
        return {}

    def load(self, key):
        with suppress(Exception):
            return super().load(key)


class _KernelCache(caching.FunctionCache):
    """A kernel's compilations on disk, where Numba would have them; renewed with any kernel's file.

    That is NUMBA_CACHE_DIR, beside the file, or the user's cache directory.
    """

    def __init__(self, function):
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp(), _digest_of_sources()
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)
