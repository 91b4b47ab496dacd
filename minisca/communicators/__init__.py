"""Ranks: processes that learn together, through MPI; `ranks.py` says how, and why to the same bits.

`agreement.py`: what they must have in common; `on_images.py`: what they make of images;
`nccl.py`: those that each have a GPU. How ranks share a training step is in `training/split.py`.
"""

from minisca.communicators.ranks import MPI, SPLITS, Node, Solo, as_communicator, folded

__all__ = ["MPI", "SPLITS", "Node", "Solo", "as_communicator", "folded"]
