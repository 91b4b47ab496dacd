"""What a rank does in the benchmark's section `scale`; it is started by `bench.scale`.

`python -m mpi4py scale_rank.py JSON`: steps of a layer, of which each rank has its part. Rank 0
prints one line of JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.layers import LAYERS, LEARNING_RATE, load_digits, make_images

from minisca import SparseConvAutoencoder
from minisca.backends import get_backend
from minisca.communicators import MPI, Solo
from minisca.sparsity import make_sparsity
from minisca.training.fit import initial_state, make_optimiser
from minisca.training.objective import do_step
from minisca.training.split import make_split


class Timed(MPI):
    """Ranks that know how long they have exchanged."""

    seconds = 0.0

    def _completed(self, *arguments):
        start = time.perf_counter()
        found = super()._completed(*arguments)
        self.seconds += time.perf_counter() - start
        return found


class Share(Solo):
    """Rank 0 of many that are not there: it does its part, and takes that for the whole."""

    def __init__(self, size, split):
        super().__init__(split, max(8, size))
        self.size = size

    def _completed(self, backend, nodes, n_blocks, like):
        return nodes[0].arrays


def main():
    asked = json.loads(sys.argv[1])
    spec = LAYERS[asked["layer"]]
    spec = spec.tiny() if asked["tiny"] else spec
    x = make_images(spec, load_digits())
    layer = SparseConvAutoencoder(
        spec.n_maps, spec.width, init_scale=spec.init_scale, random_state=0, backend="cpu"
    )
    layer.batch_size = len(x)
    state, backend = initial_state(layer, x), get_backend("cpu")
    ranks, name = None, asked["split"]
    if name == "plain":
        how = make_optimiser(backend, state, layer), make_sparsity("winner-take-all")

        def step():
            do_step(*how, x, LEARNING_RATE)
    else:
        ranks = Share(asked["of"], name) if asked.get("of") else Timed(split=name)
        split = make_split(ranks, backend, state, layer, make_optimiser)
        read = split.read(lambda order: (x[rows] for rows in order))
        (batch,) = read([np.arange(len(x))])

        def step():
            split.step(batch, 0, LEARNING_RATE)

    step()  # compiles
    seconds, exchanged = [], []
    for _ in range(asked["repetitions"]):
        if isinstance(ranks, Timed):
            ranks.tell(None)
            ranks.seconds = 0.0
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
        exchanged.append(getattr(ranks, "seconds", 0.0))
    if ranks is None or ranks.is_first:
        print(json.dumps({"seconds": seconds, "exchange_seconds": exchanged}))


if __name__ == "__main__":
    main()
