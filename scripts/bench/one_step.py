"""In a process of its own, for a profiler: one training step of every layer, warmed up before.

Between two layers a kernel is launched that does nothing, named `MARK`.
"""

import json
import sys

from bench.layers import LAYERS, Step, load_digits, make_images, make_parameters
from bench.machines import open_machine

MARK = "next_layer"


def main():
    task = json.loads(sys.argv[1])
    machine, digits = open_machine(task["backend"]), load_digits(task["data_dir"])
    for layer in (layer.tiny() if task["tiny"] else layer for layer in LAYERS):
        step = Step(machine.backend, make_images(layer, digits), make_parameters(layer))
        for _ in range(3):
            step()
        with machine.profiled():
            machine.mark(MARK)
            step()


if __name__ == "__main__":
    main()
