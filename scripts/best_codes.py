"""How much of a layer's reconstruction error is its encoder's, and how much its filters'.

    python scripts/best_codes.py out/mnist/layers/16-width11-seed0.npz     1,000 test images

A code has one position a map and an amplitude >= 0 there; the decoder rebuilds the image from it.
Beside the encoder's own codes stand two others, with the same filters. "refitted": its positions
with the best amplitudes, by least squares; no amplitudes do better there. "searched": other
positions too, by descent over one map after another from several starts, the best an image. A
search may miss the best code: the least error that the filters allow is at most what it finds.
"""

import numpy as np
from common.data_files import run_command
from common.options import add_common, make_parser, parse_checked
from common.records import Results, Stopwatch, environment, print_table
from scipy.optimize import nnls

import minisca
from minisca.backends import get_backend
from minisca.progress import progress

STARTS = 8
#: The search ends with a sweep that brings the mean error down by less than this part of it.
LEAST_GAIN = 1e-4


def every_atom(filters, size):
    """What one unit of amplitude 1 rebuilds: (m, h * w, c * h * w), by map and position."""
    cpu, n = get_backend("cpu"), size[0] * size[1]
    values, positions = np.ones((n, 1), filters.dtype), np.arange(n, dtype=np.int32)[:, None]
    none = np.zeros(filters.shape[1], filters.dtype)
    atoms = [cpu.decode_winners(values, positions, one[None], none, size) for one in filters]
    return np.stack(atoms).reshape(len(filters), n, -1)


def rebuilt(atoms, positions, amplitudes):
    """Images (n, pixels), less the decoder's bias, of codes (n, m) and (n, m)."""
    maps = np.arange(len(atoms))
    return np.stack([a @ atoms[maps, p] for p, a in zip(positions, amplitudes, strict=True)])


def refit(atoms, positions, images):
    """The amplitudes >= 0 (n, m) that rebuild images (n, pixels) best at these positions (n, m)."""
    maps = np.arange(len(atoms))
    found = [nnls(atoms[maps, p].T, x)[0] for p, x in zip(positions, images, strict=True)]
    return np.array(found, images.dtype)


def errors(atoms, positions, amplitudes, images):
    """||x_hat - x||^2 of each image."""
    return np.square(rebuilt(atoms, positions, amplitudes) - images).sum(axis=1, dtype=np.float64)


def descend(atoms, positions, amplitudes, images, order):
    """Codes from which no map by itself can do better, positions and amplitudes, from these.

    A sweep gives one map after another, in this order, its best position and amplitude while all
    others stay, then all amplitudes are refitted. No step makes an image's error larger.
    """
    positions, amplitudes = positions.copy(), amplitudes.copy()
    lengths = np.linalg.norm(atoms, axis=2)
    lengths[lengths == 0] = np.inf  # a filter whose part inside the image is zero
    rows, last = np.arange(len(images)), np.inf
    while True:
        left = images - rebuilt(atoms, positions, amplitudes)
        error = np.square(left).sum(dtype=np.float64)
        if error >= (1 - LEAST_GAIN) * last:
            return positions, amplitudes
        last = error
        for i in order:
            left += amplitudes[:, i, None] * atoms[i, positions[:, i]]
            fits = left @ atoms[i].T / lengths[i]
            positions[:, i] = best = fits.argmax(axis=1)
            amplitudes[:, i] = np.maximum(fits[rows, best], 0) / lengths[i, best]
            left -= amplitudes[:, i, None] * atoms[i, best]
        amplitudes = refit(atoms, positions, images)


def search(atoms, images, positions, n_starts=STARTS, seed=0):
    """The best codes found: positions and amplitudes (n, m).

    The first start are these positions; of every other, half of the maps, drawn at random, lie
    where the best code so far has them, and half anywhere.
    """
    random, shape = np.random.default_rng(seed), positions.shape
    start, order = positions, range(len(atoms))
    best, least = (positions.copy(), np.zeros(shape, images.dtype)), np.full(len(images), np.inf)
    for i in progress(True, range(n_starts), desc="starts"):
        if i > 0:
            anywhere = random.integers(atoms.shape[1], size=shape)
            start = np.where(random.random(shape) < 0.5, best[0], anywhere)
            order = random.permutation(len(atoms))
        found = descend(atoms, start, refit(atoms, start, images), images, order)
        error = errors(atoms, *found, images)
        better = error < least
        for kept, other in zip((*best, least), (*found, error), strict=True):
            kept[better] = other[better]
    return best


def measure(layer, images, n_starts, seed):
    """{name: mean ||x_hat - x||^2} of the three kinds of codes for images (n, c, h, w)."""
    atoms = every_atom(layer.decoder_filters_, images.shape[2:])
    always = layer.decoder_bias_ + (0 if layer.centre_ is None else layer.centre_)
    targets = (images - always[:, None, None]).reshape(len(images), -1)
    values, positions = layer.winners(images)
    found = {
        "reconstruction_error": (positions, values),
        "refitted_error": (positions, refit(atoms, positions, targets)),
        "searched_error": search(atoms, targets, positions, n_starts, seed),
    }
    return {name: float(errors(atoms, *code, targets).mean()) for name, code in found.items()}


def parse_arguments():
    parser = make_parser(__doc__)
    parser.add_argument("layers", nargs="+", help="files of layers, as reproduce_mnist.py has them")
    parser.add_argument("--starts", type=int, default=STARTS, help=f"default: {STARTS}")
    quick = "100 images, 2 starts"
    add_common(parser, "MNIST's IDX files", "out/best-codes", quick, seeds=False)
    return parse_checked(parser, "starts")


def record(path, images, name, arguments, results):
    """The record of one layer, measured now unless it is there."""
    layer = minisca.SparseConvAutoencoder.load(path).set_params(backend=arguments.backend)
    n_starts = 2 if arguments.quick else arguments.starts
    settings = {"layers": [layer.get_params(deep=False)], "images": len(images)}
    settings |= {"starts": n_starts, "quick": arguments.quick, "search_seed": arguments.seed}
    run = {"row": "best-codes", "seed": layer.random_state, "data": name, "settings": settings}
    if (done := results.find(**run)) is not None:
        return done
    watch = Stopwatch()
    with watch("search"):
        found = measure(layer, images, n_starts, arguments.seed)
    unknown = ("test_error_percent", "validation_error_percent", "paper_percent")
    made = run | dict.fromkeys(unknown) | found | {"losses": [layer.loss_history_]}
    made |= {
        "backend": layer.backend_,
        "seconds": watch.seconds | {"total": watch.seconds["search"]},
    }
    results.add(made | environment())
    return made


def main():
    arguments = parse_arguments()
    data = minisca.datasets.load_mnist(arguments.data_dir)
    images = data.test_images[: 100 if arguments.quick else 1000]
    results = Results(arguments.output, arguments.resume, "best-codes.json")
    rows = []
    for path in arguments.layers:
        made = record(path, images, data.name, arguments, results)
        kinds = ("reconstruction_error", "refitted_error", "searched_error")
        rows.append([str(made["seed"]), *(f"{made[kind]:.2f}" for kind in kinds)])
    print_table(["seed", "the encoder's codes", "refitted", "searched"], rows)
    print(f"Records: {results.path}")


if __name__ == "__main__":
    run_command(main)
