"""Table 1 of the paper on MNIST: train, encode, pool, classify, report.

    python scripts/reproduce_mnist.py                      rows 16 and 128, one seed
    python scripts/reproduce_mnist.py --rows deep          128 maps, then 2048 on top of them
    python scripts/reproduce_mnist.py --rows few-labels    the error with 10 to 1000 labels a class
    python scripts/reproduce_mnist.py --data fashion-mnist the same settings, another data set
    python scripts/reproduce_mnist.py --quick              a few minutes' version of every row

The features are learned from the images alone, all training images, never a label. The classifier
is fitted twice: without the validation images' labels, for the validation error, and with all
training labels, for the test error. The test set is read once a row and seed. Every setting was
chosen beforehand on validation error, with the validation images left out of all training.
Extensions (below) make rows of other names, beside the plain ones. --classifier sgd is fitted once,
without the validation images' labels, which say when it stops: its validation error is the lowest
of all its epochs.
"""

from common.data_files import run_command
from tables.arguments import make_table_parser, parse
from tables.few_labels import ROW as FEW_LABELS
from tables.images import as_images, first_images
from tables.rows import (
    SECOND_LAYER,
    Row,
    Table,
    add_classifiers,
    add_extensions,
    check_classifier,
    extensions,
    with_extensions,
)
from tables.run import run_table

from minisca import LinearSVM, LogisticRegression, SoftmaxSGD, datasets

FIRST_LAYER = {"filter_width": 7, "pool_width": 5, "pool_stride": 3}
FIRST_128 = {"n_maps": 128, **FIRST_LAYER}
FIRST_512 = {"n_maps": 512, **FIRST_LAYER}
#: How long a second layer is trained hardly matters, how its filters start does: at the default
#: scale, for those five times smaller begin alike and learn worse.
ON_TOP = {**SECOND_LAYER, "n_epochs": 1, "learning_rate": 0.1}

#: Where a row has no better ones: a linear SVM, and what --classifier puts in its place. The
#: rates, their drops and the epochs of sgd are the paper's authors'.
SGD = SoftmaxSGD(n_epochs=30, learning_rate=0.1, drop_after=(10, 20))
DEEP_SGD = SoftmaxSGD(n_epochs=40, learning_rate=0.1, drop_after=(20,))
OTHERS = {"logistic": LogisticRegression(tol=1e-5), "sgd": SGD}
CLASSIFIERS = {"classifier": LinearSVM(l2=3e-2, max_iter=20), "others": OTHERS}
DEEP_CLASSIFIERS = CLASSIFIERS | {"others": OTHERS | {"sgd": DEEP_SGD}}

ROWS = {
    "16": Row(
        layers=({"n_maps": 16, "encoding_bias": 0.5, **FIRST_LAYER},),
        classifier=LinearSVM(l2=1e-2, max_iter=20),
        others=OTHERS | {"logistic": LogisticRegression(l2=3e-4, tol=1e-5)},
        figures=True,
    ),
    "128": Row(layers=(FIRST_128,), **CLASSIFIERS),
    "deep": Row(layers=(FIRST_128, {"n_maps": 2048, **ON_TOP}), **DEEP_CLASSIFIERS),
    # Better than deep where labels are few, and no better with all of them.
    "deep-7x7": Row(
        layers=(FIRST_128, {"n_maps": 2048, **ON_TOP, "filter_width": 7}),
        **DEEP_CLASSIFIERS,
        scaling="per-image",
    ),
    "256": Row(layers=({"n_maps": 256, **FIRST_LAYER},), **CLASSIFIERS),
    "512": Row(layers=(FIRST_512,), **CLASSIFIERS),
    "deep-4096": Row(layers=(FIRST_512, {"n_maps": 4096, **ON_TOP}), **DEEP_CLASSIFIERS),
    FEW_LABELS: Row(layers=(FIRST_128,)),
    "reconstruction": Row(
        layers=({**FIRST_LAYER, "n_maps": 16, "filter_width": 11, "n_epochs": 40},)
    ),
}
TABLE = Table("mnist", "MNIST", ROWS, large_in_files=False)

LOADERS = {"mnist": datasets.load_mnist, "fashion-mnist": datasets.load_fashion_mnist}


def parse_arguments():
    parser = make_table_parser(
        __doc__,
        ROWS,
        default_rows=["16", "128"],
        quick_rows=["16", "128", "deep"],
        data="MNIST's IDX files, or files like them",
        output="out/mnist",
        prepared=False,
    )
    parser.add_argument(
        "--data", choices=LOADERS, default="mnist", help="default: mnist; each has an --output"
    )
    add_extensions(add_classifiers(parser, plain="svm"))
    return checked(parser, parse(parser))


def checked(parser, arguments):
    """Refuse extensions that no row has or out of range; name the output after the data."""
    if arguments.data != "mnist" and arguments.output == parser.get_default("output"):
        arguments.output = f"out/{arguments.data}"
    chosen = {name: 1 for kind in arguments.classifier for name in extensions(arguments, kind)}
    chosen |= {arguments.altered: 1} if arguments.altered else {}
    if chosen and FEW_LABELS in arguments.rows:
        parser.error(f"the row {FEW_LABELS} has no extensions; run it without {', '.join(chosen)}")
    if arguments.lifetime is not None and not 0 < arguments.lifetime <= 1:
        parser.error(f"--lifetime is {arguments.lifetime}; it must be in (0, 1]")
    check_classifier(parser, arguments)
    return arguments


def chosen_rows(arguments):
    """{name: [Row, one a classifier]} of the command's rows and extensions."""
    return with_extensions({name: ROWS[name] for name in arguments.rows}, arguments)


def main():
    arguments = parse_arguments()
    data = LOADERS[arguments.data](arguments.data_dir)
    images = as_images(first_images(data) if arguments.quick else data)
    results = run_table(TABLE, chosen_rows(arguments), images, arguments)
    if arguments.data == "mnist" and all(r["row"] != "mnist-deep" for r in results.records):
        command = (
            f"python scripts/reproduce_mnist.py --rows deep --resume --output {arguments.output}"
        )
        print(f"The deep row (128 then 2048 maps) takes about 8 minutes more: {command}")


if __name__ == "__main__":
    run_command(main)
