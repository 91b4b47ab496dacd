"""In a process of its own, for a profiler: one training step of every layer, warmed up before.

Before each a kernel is launched that does nothing, named `MARK`.
"""

import json
import sys

import numpy as np
from bench.layers import LAYERS, Step, make_parameters
from bench.machines import open_machine

MARK = "next_layer"


def main():
    task = json.loads(sys.argv[1])
    machine, images = open_machine(task["backend"]), np.load(task["images"])
    for layer in (layer.tiny() if task["tiny"] else layer for layer in LAYERS):
        step = Step(machine.backend, images[layer.name], make_parameters(layer))
        for _ in range(3):
            step()
        with machine.profiled():
            machine.mark(MARK)
            step()


if __name__ == "__main__":
    main()
