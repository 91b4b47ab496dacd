"""Table 2 of the paper on CIFAR-10: whiten, train, encode, pool, classify, report.

    python scripts/reproduce_cifar10.py                    row 512, whitened, one seed
    python scripts/reproduce_cifar10.py --rows deep        512 maps, then 4096 on top of them
    python scripts/reproduce_cifar10.py --rows 512-patches deep-patches
                                                           filters that were never trained
    python scripts/reproduce_cifar10.py --raw              contrast-normalised only, for comparison
    python scripts/reproduce_cifar10.py --quick            a few minutes' version of every row

Whitened: each image is contrast-normalised, then all are ZCA-whitened by the training images'
covariance. The features are learned from the images alone, all training images, never a label. The
classifier is fitted twice: without the validation images' labels, for the validation accuracy, and
with all training labels, for the test accuracy. The test set is read once a row and seed. All was
chosen on validation images: the penalty of logistic regression with few maps and 10,000 images, of
the SVM with all maps and 40,000 labels, for row 512 divided by contrast; the second layer's rate,
start and centring with 512 maps on 64 and 15,000 labels.
Other classifiers (below) make rows of other names. --classifier sgd is fitted once, without the
validation images' labels, which say when it stops: its validation accuracy is the highest of all
its epochs.

24 GiB of memory will do. Features beyond 4 GiB in float32 are written into files of float16 in
--output (10 GB for the deep row), which are removed when the row is done.
"""

from dataclasses import replace

from common.data_files import run_command
from tables.arguments import make_table_parser, parse
from tables.images import as_images, first_images, labelled
from tables.rows import (
    SECOND_LAYER,
    Row,
    Table,
    add_altered,
    add_classifiers,
    check_classifier,
    prepared,
    with_extensions,
)
from tables.run import run_table

from minisca import LinearSVM, LogisticRegression, SoftmaxSGD, datasets
from minisca.datasets.cifar import CLASS_NAMES

FIRST_LAYER = {
    "n_maps": 512,
    "filter_width": 9,
    "pool_width": 5,
    "pool_stride": 4,
    "n_epochs": 8,
    "learning_rate": 0.1,
}
#: Nearly every pooled map of the first layer is positive nearly everywhere. Without their means the
#: second layer learns at the first's rate; with them in, that rate silences most of its maps.
DEEPER_LAYER = {"n_maps": 4096, **SECOND_LAYER, "centre": True, "n_epochs": 2, "learning_rate": 0.1}

#: What --classifier puts in the place of a row's. The rates, their drops and the epochs of sgd are
#: the paper's authors'.
SGD = {"learning_rate": 0.01, "drop_after": (10, 20)}

ROWS = {
    "512": Row(
        layers=(FIRST_LAYER,),
        classifier=LinearSVM(l2=0.2, max_iter=20),
        others={
            "logistic": LogisticRegression(l2=2e-2),
            "sgd": SoftmaxSGD(n_epochs=30, **SGD),
        },
    ),
    "deep": Row(
        layers=(FIRST_LAYER, DEEPER_LAYER),
        classifier=LinearSVM(l2=1.0, max_iter=20),
        others={
            "logistic": LogisticRegression(l2=2e-2, max_iter=120),
            "sgd": SoftmaxSGD(n_epochs=40, **SGD),
        },
    ),
}


def control(row, start):
    """The row, its last layer as it starts: what training adds is what the row has beyond this."""
    *below, last = row.layers
    return replace(row, layers=(*below, {**last, "n_epochs": 0, "init_filters": start}))


#: Filters that were never trained: noise, and patches of what the layer sees.
ROWS |= {
    f"{name}-{start}": control(ROWS[name], start)
    for name in ("512", "deep")
    for start in ("random", "patches")
}
TABLE = Table("cifar", "CIFAR-10", ROWS, accuracies=True, quick_maps=64)


def main():
    data = "CIFAR-10's binary version, packed or not, or files like them"
    parser = make_table_parser(__doc__, ROWS, ["512"], ["512", "deep"], data, "out/cifar10")
    group = add_classifiers(parser, plain="svm")
    add_altered(group, "mirrored", "its mirror image")
    arguments = parse(parser)
    check_classifier(parser, arguments)
    rows = with_extensions(prepared(ROWS, arguments), arguments)
    data = labelled(datasets.load_cifar10(arguments.data_dir), arguments.label, TABLE.original)
    images = as_images(first_images(data) if arguments.quick else data, CLASS_NAMES)
    run_table(TABLE, rows, images, arguments)


if __name__ == "__main__":
    run_command(main)
