"""What a rank does in the tests: `python -m mpi4py ranks_worker.py DIRECTORY FUNCTION FUNCTION`.

What the functions return is written to DIRECTORY/RANK.json, by name.
"""

import hashlib
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import minisca
from minisca import LinearSVM, LogisticRegression, SparseConvAutoencoder, Stack, chunks
from minisca.classifiers import feature_blocks
from minisca.communicators import MPI
from minisca.preprocessing import ZCA
from tests.support.layers import RULES, images, layer

#: {rule: settings} of the layers that are fitted, 19 maps into 8 blocks.
CASES = {
    **RULES,
    "centred": {"centre": True},
    "patches": {"init_filters": "patches"},
    "float64": {"dtype": "float64"},
}
SPLITS = ("maps", "images")


def digest(*arrays):
    """SHA-256 of some arrays."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def learned(layer):
    """A digest of all that training left of a layer."""
    state = layer.state_
    arrays = *state.parameters.values(), *state.velocities.values()
    return digest(*arrays, np.array(state.loss_history))


def made(rule):
    """The layer of one of CASES: the last batch of an epoch has a single image."""
    return layer(**{"n_maps": 19, "n_epochs": 2, "batch_size": 13} | CASES[rule])


def fitted(communicator, rule, split):
    """The layer of a case, fitted by ranks; None where the split refuses the rule."""
    communicator.split = split
    try:
        return made(rule).fit(images(), communicator=communicator)
    except ValueError as error:
        if "k-largest" not in str(error):
            raise
        return None


def digests(communicator):
    """{"rule, split": a digest of what is learned}."""
    found = {}
    for rule in CASES:
        for split in SPLITS:
            layer = fitted(communicator, rule, split)
            found[f"{rule}, {split}"] = layer and learned(layer)
    return found


def of_last(number):
    """Images of which one rank has others."""
    x = images()
    x[0] += number
    return x


#: {what: (images, settings) of a rank that is the last (1), or is not (0)}
DISAGREEMENTS = {
    "seed": lambda last: (images(), {"random_state": last}),
    "setting": lambda last: (images(), {"momentum": (0.9, 0.5)[last]}),
    "dtype": lambda last: (images(), {"dtype": ("float32", "float64")[last]}),
    "error": lambda last: (images(), {"learning_rate": (0.01, -1)[last]}),
    "shape": lambda last: (images(40 - last), {}),
    "pixels": lambda last: (of_last(last), {}),
    "not finite": lambda last: (np.where(of_last(last) == 0, 0, np.nan), {}),
}


def disagreements(communicator):
    """{what: what is said where the last rank has something else than the others}."""
    found, last = {}, int(communicator.rank == communicator.size - 1)
    for what, make in DISAGREEMENTS.items():
        x, settings = make(0 if what == "not finite" else last)
        found[what] = refusal(x, settings, communicator)
    version, minisca.__version__ = minisca.__version__, ("0.1", "0.2")[last]
    found["version"] = refusal(images(), {}, communicator)
    minisca.__version__ = version
    split = MPI(split=("images", "maps")[last], blocks=8 - last)
    found["split"] = refusal(images(), {}, split)
    return found


def refusal(x, settings, communicator):
    """What a fit says that is refused."""
    try:
        layer(**settings).fit(x, communicator=communicator)
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def many():
    """Images of more than two batches of those that are encoded together."""
    return images(600)


def encoding(communicator):
    """Digests of what ranks make of images, in memory and in a file that all of them fill."""
    plain, x = layer().fit(images()), many()
    with_all = {"communicator": communicator}
    found = {
        "transform": digest(plain.transform(x, **with_all)),
        "score": plain.score(x, **with_all),
        "usage": digest(plain.usage(x, **with_all)),
        "few": digest(plain.transform(x[:3], **with_all)),
    }
    flat = SparseConvAutoencoder(**plain.get_params() | {"flat": True})
    flat.state_ = plain.state_
    found["flat"] = digest(flat.transform(x, **with_all))
    path = Path(os.environ["RANKS_FILES"]) / "features.npy"
    shape = plain.transform(x[:1]).shape[1:]
    how = {"dtype": "float32", "shape": (len(x), *shape)}
    communicator.from_first(lambda: np.lib.format.open_memmap(path, "w+", **how) is None)
    file = np.lib.format.open_memmap(path, "r+")
    plain.transform(x, out=file, **with_all)
    found["file"] = digest(np.load(path))
    communicator.tell(None)  # all have read it
    communicator.from_first(os.remove, path)
    return found


def problem():
    """Features of four classes, with something to learn, and their labels."""
    draw = np.random.default_rng(3)
    labels = np.arange(90) * 7 % 4
    features = draw.random((90, 30)) + 2 * np.eye(4)[labels][:, draw.integers(0, 4, 30)]
    return features.astype(np.float32), labels


def classifiers(communicator):
    """{classifier: a digest of what it learns}; rows come in blocks of ten."""
    features, labels = problem()
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_blocks, "BLOCK_BYTES", 10 * 30 * 4)
        for kind in (LogisticRegression, LinearSVM):
            made = kind(max_iter=15, verbose=False)
            made.fit(features, labels, communicator=communicator)
            found[kind.__name__] = digest(made.coef_, made.intercept_, np.array(made.loss_))
        features[77, 3] = np.nan  # of one rank's rows
        try:
            made.fit(features, labels, communicator=communicator)
        except (ValueError, RuntimeError) as error:
            found["not finite"] = str(error)
        try:
            LogisticRegression(verbose=False).fit(features, labels, communicator=communicator)
        except (ValueError, RuntimeError) as error:
            found["not finite either"] = str(error)
    return found


def stacks(communicator):
    """Digests of what ranks learn of layers on layers, in memory and in files, and of whitening."""
    communicator.split = "auto"
    x, found = images(), {}
    for name, options in (("memory", {}), ("files", {"scratch": os.environ["RANKS_FILES"]})):
        stack = Stack([layer(n_maps=9), layer(n_maps=8)], centre="above-first")
        stack.fit(x, validation_images=x[:9], communicator=communicator, **options)
        found[name] = [learned(each) for each in stack.layers_]
    features = stack.transform(many(), communicator=communicator)
    found["features"] = digest(features) == digest(stack.transform(many()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", 9 * 8 * 56)  # nine images a block
        whitener = ZCA().fit(x, communicator=communicator)
    found["ZCA"] = digest(whitener.mean_, whitener.eigenvalues_, whitener.whitening_)
    return found


def long():
    """A layer that trains until somebody ends it."""
    return layer(n_maps=19, n_epochs=10**6, batch_size=13)


def until_killed(communicator):
    """Train and save in the worker's directory, where RANK.pid says which process a rank is."""
    directory = Path(sys.argv[1])
    (directory / f"{communicator.rank}.pid").write_text(str(os.getpid()))
    communicator.tell(None)
    long().fit(images(), checkpoint=directory / "layer.npz", communicator=communicator)


def ended(communicator, after):
    """{split: a fit that goes on in the folder RANKS_FILES until an epoch: what is learned}."""

    def ends(layer, epoch, loss):
        return epoch == after

    found = {}
    for split in SPLITS:
        communicator.split = split
        path = Path(os.environ["RANKS_FILES"]) / f"{split}.npz"
        made = layer(n_maps=19, n_epochs=4, batch_size=13)
        go_on = {"checkpoint": path, "resume": True, "callbacks": [ends]}
        found[split] = learned(made.fit(images(), **go_on, communicator=communicator))
    return found


def begins(communicator):
    """A fit until epoch 1."""
    return ended(communicator, 1)


def goes_on(communicator):
    """The same fit until epoch 3."""
    return ended(communicator, 3)


if __name__ == "__main__":
    warnings.simplefilter("error", RuntimeWarning)
    warnings.simplefilter("ignore", UserWarning)  # of dead maps
    _, directory, *functions = sys.argv
    communicator = MPI()
    found = {function: globals()[function](communicator) for function in functions}
    (Path(directory) / f"{communicator.rank}.json").write_text(json.dumps(found))
