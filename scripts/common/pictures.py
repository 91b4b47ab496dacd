"""What several scripts' pictures need."""

import minisca


def as_stack(layers):
    """Layers that are fitted already, as a fitted Stack."""
    stack = minisca.Stack(layers)
    stack.layers_ = layers
    return stack
