"""Vectors where a backend computes: their inner products and sums are cells of the contract."""

import numpy as np

from minisca.chunks import ceil_div

#: An inner product is taken in so many parts, for a device's sake, of this many numbers or more.
PARTS, PART = 32, 1024


class Vectors:
    """Vectors of `size` numbers, float64, where `backend` computes: arrays (length,).

    Behind the numbers there may be zeros.
    """

    def __init__(self, backend, size):
        self.backend, self.size = backend, size
        self._parts = min(PARTS, ceil_div(size, PART))
        self.length = ceil_div(size, self._parts) * self._parts
        self._nothing = backend.to_device(np.zeros(self._parts))

    def zeros(self, n=None):
        """A vector of zeros, or n of them."""
        return self.backend.to_device(np.zeros(self.length if n is None else (n, self.length)))

    def dots(self, vectors, other):
        """The inner products (n,) of vectors (n, length) with another, on the host."""
        parts = self._parts, self.length // self._parts
        rows = vectors.reshape((vectors.shape[0] * parts[0], parts[1]))
        # Every part with every part: those with their own are wanted.
        found = self.backend.linear(rows, other.reshape(parts), self._nothing)
        found = self.backend.to_host(found).reshape(-1, *2 * parts[:1])
        return np.einsum("npp->n", found)

    def dot(self, vector, other):
        """The inner product of two."""
        return float(self.dots(vector.reshape((1, self.length)), other)[0])

    def plus(self, vector, factor, other):
        """vector + factor * other."""
        found = self.backend.scaled(other, factor)
        self.backend.add_(found, vector)
        return found

    def combined(self, vectors, factors):
        """The sum of vectors (n, length), each times its factor."""
        found, _ = self.backend.linear_backward(vectors, np.ascontiguousarray(factors[:, None]))
        return found.reshape((self.length,))
