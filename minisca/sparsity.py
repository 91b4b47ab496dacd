"""Which units survive while training: the sparsity rules, all as one kind of code.

Whatever the rule, the survivors are a `Code`, and everything after them (reconstruction, gradients)
is the same. Only "none", where every unit survives, has no code: it takes the dense path.
Rules: paper section 2.1; lifetime sparsity: Makhzani and Frey, NIPS 2015.
"""

import math
from typing import Any, NamedTuple

from minisca.validation import check_choice, check_integer, check_number

#: A new rule is named here, has a branch in `Sparsity.encode`, and is known to `make_sparsity`.
RULES = ("winner-take-all", "top-n", "k-largest", "none")


class Code(NamedTuple):
    """Survivors: values and positions (n, s), and maps (n, s), or None where slot j is map j."""

    values: Any
    positions: Any
    maps: Any = None


class Sparsity(NamedTuple):
    """A checked rule: its name, how many units survive, and the lifetime fraction or None."""

    rule: str
    n_active: int | None = None
    lifetime: float | None = None

    def encode(self, backend, x, filters, bias):
        """The code of images x (n, c, h, w). Not for "none"."""
        if self.rule == "top-n":
            return Code(*backend.encode_top_n(x, filters, bias, self.n_active))
        if self.rule == "k-largest":
            return Code(*backend.encode_k_largest(x, filters, bias, self.n_active))
        if self.rule != "winner-take-all":
            raise NotImplementedError(f"sparsity={self.rule!r} has no code here")
        values, positions = backend.encode_winners(x, filters, bias)
        if self.lifetime is not None:
            n_survivors = survivors_over_batch(values.shape[0], self.lifetime)
            values = backend.lifetime_sparsity(values, n_survivors)
        return Code(values, positions)


def make_sparsity(rule, n_active=None, lifetime=None):
    """Check the three arguments and return them as a `Sparsity`.

    Raises ValueError or TypeError for an unknown rule, a count missing or out of place, a fraction
    outside (0, 1].
    """
    check_choice("sparsity", rule, RULES)
    if rule in ("top-n", "k-largest"):
        if n_active is None:
            per = "map" if rule == "top-n" else "image"
            raise ValueError(
                f"n_active is None; sparsity={rule!r} needs the number of units that survive "
                f"in every {per}"
            )
        n_active = check_integer("n_active", n_active)
    elif n_active is not None:
        raise ValueError(
            f"n_active is {n_active!r}; it must be None unless sparsity is 'top-n' or 'k-largest'"
        )
    if lifetime is not None:
        if rule != "winner-take-all":
            raise ValueError(
                f"lifetime is {lifetime!r}; it must be None unless sparsity is 'winner-take-all'"
            )
        lifetime = check_number("lifetime", lifetime, 0, 1, low_open=True)
    return Sparsity(rule, n_active, lifetime)


def survivors_over_batch(n, fraction):
    """ceil(fraction * n), unharmed by the rounding of the product (0.07 * 100 is 7, not 8)."""
    return max(1, min(n, math.ceil(fraction * n - 1e-9 * n)))
