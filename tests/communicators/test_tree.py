"""The tree in which blocks are added up: every shape of it, whatever ranks have of it."""

import numpy as np
import pytest

from minisca.backends import get_backend
from minisca.communicators import Node, Solo, folded


def tree(blocks):
    """What the tree is: neighbours are added pair by pair, then their sums, up to one."""
    while len(blocks) > 1:
        pairs = [blocks[i : i + 2] for i in range(0, len(blocks), 2)]
        blocks = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
    return blocks[0]


@pytest.mark.parametrize("n_blocks", range(1, 18))
def test_sums_are_those_of_the_tree_however_many_ranks_have_its_parts(n_blocks):
    blocks = np.random.default_rng(n_blocks).standard_normal((n_blocks, 5)).astype(np.float32)

    def add_(array, other):
        array += other

    for size in range(1, n_blocks + 3):
        left = []
        for rank in range(size):
            ranks = Solo()
            ranks.rank, ranks.size = rank, size
            share = ranks.share(n_blocks)
            leaves = (Node(0, i, blocks[i].copy()) for i in range(share.start, share.stop))
            left += folded(leaves, n_blocks, add_)
        (root,) = folded(left, n_blocks, add_)
        np.testing.assert_array_equal(root.arrays, tree(blocks))


def test_one_process_sums_in_the_tree():
    blocks = np.random.default_rng(0).standard_normal((6, 3, 4)).astype(np.float32)
    own = ((block.copy(), block[0] * 2) for block in blocks)
    like = blocks[0], blocks[0, 0]
    total, first = Solo().sum_blocks(get_backend("cpu"), own, 6, like)
    np.testing.assert_array_equal(total, tree(blocks))
    np.testing.assert_array_equal(first, tree(2 * blocks[:, 0]))
