"""In a process of its own, for a profiler: one training step of a layer on a device, warmed up."""

import json
import sys

from bench.layers import LAYERS, Step, load_digits, make_images, make_parameters
from bench.machines import open_machine


def main():
    task = json.loads(sys.argv[1])
    layer = next(layer for layer in LAYERS if layer.name == task["layer"])
    layer = layer.tiny() if task["tiny"] else layer
    machine = open_machine(task["backend"])
    images = make_images(layer, load_digits(task["data_dir"]))
    step = Step(machine.backend, images, make_parameters(layer))
    for _ in range(3):
        step()
    with machine.profiled():
        step()


if __name__ == "__main__":
    main()
