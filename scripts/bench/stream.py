"""What a stream of images sees: one `partial_fit` a batch, its checks and copies included.

The images are Gaussian: no pixel is zero, which would spare the work of whole rows.
"""

from dataclasses import replace

from bench.layers import LEARNING_RATE, describe, make_images
from bench.steps import beside_ceilings
from bench.timing import milliseconds, take_turns, times
from common.records import print_rows

import minisca


def measure_stream(bench, machine):
    """Seconds of a batch of every first layer of grey images, beside the arithmetic's floor."""
    ceilings, found = machine.ceilings(bench.tiny), []
    for layer in bench.layers():
        if layer.channels != 1:
            continue
        layer = replace(layer, images="normal")
        model = minisca.SparseConvAutoencoder(
            layer.n_maps, layer.width, learning_rate=LEARNING_RATE, random_state=0, verbose=False
        )
        images = make_images(layer, None)
        calls = {name: call for name, (call, _) in ceilings.items()}
        calls["partial_fit"] = lambda model=model, images=images: model.partial_fit(images)
        seconds = take_turns(machine, calls, bench.repetitions, None, layer.name)
        found.append({**describe(layer), **beside_ceilings(layer, ceilings, seconds)})
    return {"layers": found}


def report_stream(result):
    rows = []
    for layer in result["layers"]:
        row = {"a batch of a stream, ms": layer["layer"]}
        row["floor"] = milliseconds(layer["floor_seconds"])
        row["partial_fit"] = milliseconds(layer["median_seconds"]["partial_fit"])
        row["of floor"] = times(layer["multiple_of_floor"]["partial_fit"], 2)
        rows.append(row)
    print_rows(rows)
