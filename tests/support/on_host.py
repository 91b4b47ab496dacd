"""Backends of a device as the tests see them: what they return is brought to the host."""

import functools

from minisca.backends.interface import OPERATIONS


class OnHost:
    """A backend's module, except that its operations return NumPy arrays."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        found = getattr(self.module, name)
        if name not in OPERATIONS:
            return found

        @functools.wraps(found)
        def operation(*args, **named):
            results = found(*args, **named)
            if isinstance(results, tuple):
                return tuple(map(self._to_host, results))
            return self._to_host(results)

        return operation

    def _to_host(self, result):
        return None if result is None else self.module.to_host(result)
