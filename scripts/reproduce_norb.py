"""Table 3 of the paper on small NORB: crop, halve, whiten, train, encode, pool, classify, report.

    python scripts/reproduce_norb.py                       row 128, whitened, one seed
    python scripts/reproduce_norb.py --rows deep           128 maps, then 2048 on top of them
    python scripts/reproduce_norb.py --rows k-means        128 maps by triangle k-means
    python scripts/reproduce_norb.py --raw                 contrast-normalised only, for comparison
    python scripts/reproduce_norb.py --quick               a few minutes' version of every row

Of each view the inner 64 x 64 pixels are taken and halved to 32 x 32. Features are learned from all
training views one by one, never from a label; the classifier sees the features of both views of a
pair, one after the other. It is fitted twice: for the validation error without the training set's
last toy of each category, all pairs of which are the validation set (the test set too has toys that
were never seen), and with all training labels for the test error. The test set is read once a row
and seed. Learning rate and schedule are those that served MNIST, for the second layer CIFAR-10:
nothing was chosen on NORB.

Where small NORB is not at hand, make_norb_like.py makes a set of its format and size.

Triangle k-means has as many maps as row 128, patches as wide as its filters and sums over as fine a
grid as its pooled maps; each patch is normalised and whitened by itself, as its authors have it.
The classifier is the same.

24 GiB of memory will do. Features beyond 4 GiB in float32 are written into files of float16 in
--output (3 GB for the deep row), which are removed when the row is done.
"""

import dataclasses

import numpy as np
from common.data_files import run_command
from tables.arguments import make_table_parser, parse
from tables.images import QUICK_IMAGES, as_images, labelled
from tables.rows import SECOND_LAYER, Row, Table, prepared, with_extensions
from tables.run import run_table

from minisca import LogisticRegression, datasets
from minisca.chunks import ceil_div
from minisca.datasets.norb import CLASS_NAMES
from minisca.preprocessing import crop_centre, resize_bilinear

FIRST_LAYER = {"n_maps": 128, "filter_width": 9, "pool_width": 6, "pool_stride": 4}
#: Centred, a second layer learns at a rate that would silence most of its maps otherwise.
DEEPER_LAYER = {"n_maps": 2048, **SECOND_LAYER, "centre": True, "n_epochs": 2, "learning_rate": 0.1}
K_MEANS = {"n_maps": 128, "patch_width": 9, "grid": 8}

ROWS = {
    "128": Row(layers=(FIRST_LAYER,), classifier=LogisticRegression()),
    "deep": Row(layers=(FIRST_LAYER, DEEPER_LAYER), classifier=LogisticRegression()),
    "k-means": Row(layers=(K_MEANS,), classifier=LogisticRegression(), k_means=True),
}
TABLE = Table("norb", "small NORB", ROWS, quick_maps=64)


def arranged(data, quick):
    """The pairs as the paper has them, 32 x 32 pixels in [0, 1], the validation toys' last."""
    instances = data.train_info[:, 0]
    train = np.argsort(instances == instances.max(), kind="stable")
    test = np.arange(len(data.test_images))
    name = data.name
    if quick and len(train) > QUICK_IMAGES[0]:
        # Spread over all of them: each toy, and the validation toys at the end, keep their share.
        train, test = (
            rows[:: ceil_div(len(rows), n)]
            for rows, n in zip((train, test), QUICK_IMAGES, strict=True)
        )
        name = f"{name}, {len(train):,} training and {len(test):,} test pairs"
    found = {}
    for half, rows in (("train", train), ("test", test)):
        found[f"{half}_images"] = inner_half(getattr(data, f"{half}_images")[rows])
        for part in (f"{half}_labels", f"{half}_info"):
            found[part] = getattr(data, part)[rows]
    return dataclasses.replace(data, **found, name=name)


def inner_half(pairs):
    """The inner two thirds of each view at half the size (96 to 64 to 32 pixels), in [0, 1]."""
    side = min(pairs.shape[2:]) * 2 // 3
    return resize_bilinear(crop_centre(pairs, side), side // 2) / np.float32(255)


def pairs_as_images(data):
    """Every view an image; the pairs of the last toy of each category are for validation."""
    instances = data.train_info[:, 0]
    return as_images(data, CLASS_NAMES, int((instances == instances[-1]).sum()))


def load_images(arguments):
    """The `Images`; the pairs, which take twice the memory, are let go of."""
    data = labelled(datasets.load_norb(arguments.data_dir), arguments.label, TABLE.original)
    return pairs_as_images(arranged(data, arguments.quick))


def main():
    data = "small NORB's six files, or files like them"
    parser = make_table_parser(__doc__, ROWS, ["128"], list(ROWS), data, "out/norb")
    arguments = parse(parser)
    images = load_images(arguments)
    run_table(TABLE, with_extensions(prepared(ROWS, arguments), arguments), images, arguments)


if __name__ == "__main__":
    run_command(main)
