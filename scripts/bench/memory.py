"""Peak memory of training beyond the images, the parameters, their velocities and gradients.

For two numbers of images, each in a process of its own: what is left must not depend on the number.
"""

import numpy as np
from bench.children import MB, PeakMemory, answer, run_child
from bench.layers import describe
from common.records import print_rows

#: By the layer's name: two numbers of images.
IMAGES = {
    "MNIST layer 1, 128 maps": (1000, 10000),
    "MNIST layer 2, 128 to 2048 maps": (200, 600),
    "CIFAR layer 2, 512 to 4096 maps": (200, 600),
}


def measure_memory(bench, machine):
    found = []
    for layer in bench.layers(IMAGES):
        shape = describe(layer)["shape"]
        numbers = (shape["batch"], 2 * shape["batch"]) if bench.tiny else IMAGES[layer.name]
        task = {"shape": shape, "pool": layer.pool, "init_scale": layer.init_scale}
        # not counted: a first process compiles what is not compiled yet, which takes memory as well
        run_child("bench.memory", task | {"images": shape["batch"]})
        runs = [run_child("bench.memory", task | {"images": number}) for number in numbers]
        found.append({**describe(layer), "runs": runs})
    return {"layers": found}


def report_memory(result):
    rows = []
    for layer in result["layers"]:
        for run in layer["runs"]:
            row = {"training's memory, MB": layer["layer"], "images": f"{run['images']:,}"}
            row |= {"images' own": round(run["images_bytes"] / MB)}
            row |= {"parameters x 3": round(run["parameter_bytes"] / MB)}
            rows.append(row | {"beyond": round(run["beyond_bytes"] / MB)})
    print_rows(rows)


def train(task):
    """In a child: train one epoch and say what it took beyond images and parameters."""
    import minisca
    from minisca.backends import get_backend

    shape = task["shape"]
    size = (shape["channels"], shape["size"], shape["size"])
    images = np.empty((task["images"], *size), np.float32)
    random = np.random.default_rng(0)
    for image in images:
        image[:] = np.abs(random.standard_normal(size, np.float32))
    get_backend("cpu")
    options = {"n_epochs": 1, "batch_size": shape["batch"], "init_scale": task["init_scale"]}
    options |= {"learning_rate": 1e-6, "random_state": 0, "verbose": False}
    layer = minisca.SparseConvAutoencoder(shape["n_maps"], shape["width"], *task["pool"], **options)
    with PeakMemory() as peak:
        layer.fit(images)
    filters = layer.encoder_filters_.nbytes + layer.decoder_filters_.nbytes
    parameters = filters + layer.encoder_bias_.nbytes + layer.decoder_bias_.nbytes
    return {
        "images": task["images"],
        "images_bytes": images.nbytes,
        "parameter_bytes": 3 * parameters,  # themselves, velocities, gradients
        "beyond_bytes": peak.beyond - 3 * parameters,
    }


if __name__ == "__main__":
    answer(train)
