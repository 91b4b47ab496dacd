"""Table 1 of the paper on MNIST: train, encode, pool, classify, report.

    python scripts/reproduce_mnist.py                      rows 16 and 128, one seed
    python scripts/reproduce_mnist.py --rows deep          128 maps, then 2048 on top of them
    python scripts/reproduce_mnist.py --quick              a few minutes' version of every row

The features are learned from the images alone, all training images, never a label. The classifier
is fitted twice: without the validation images' labels, for the validation error, and with all
training labels, for the test error. The test set is read once a row and seed. Every setting was
chosen beforehand on validation error, with the validation images left out of all training.
"""

import sys

from mnist_pictures import draw_mnist_layers
from reproduction import SECOND_LAYER, Reproduction, first_images, make_parser, parse

import minisca

FIRST_LAYER = {"filter_width": 7, "pool_width": 5, "pool_stride": 3}

#: What each row trains: the arguments of its layers, lowest first, and of its classifier.
ROWS = {
    "16": {
        "layers": [{"n_maps": 16, "encoding_bias": 0.5, **FIRST_LAYER}],
        "classifier": {"l2": 3e-4},
    },
    "128": {"layers": [{"n_maps": 128, **FIRST_LAYER}], "classifier": {}},
    "deep": {
        "layers": [{"n_maps": 128, **FIRST_LAYER}, {"n_maps": 2048, **SECOND_LAYER}],
        "classifier": {},
    },
    "reconstruction": {
        "layers": [{**FIRST_LAYER, "n_maps": 16, "filter_width": 11, "n_epochs": 40}],
        "classifier": None,
    },
}


class MNISTReproduction(Reproduction):
    prefix = "mnist"
    original = "MNIST"
    rows = ROWS
    columns = (*Reproduction.columns, ("reconstruction", "reconstruction_error", ""))

    def draw_layers(self, directory, row, layers):
        draw_mnist_layers(directory, row, layers, self.data, self.arguments.quick)

    def closing_words(self):
        if not any(record["row"] == "mnist-deep" for record in self.results.records):
            command = (
                f"python scripts/reproduce_mnist.py --rows deep --resume --output {self.output}"
            )
            print(f"The deep row (128 then 2048 maps) takes about 15 minutes more: {command}")


def parse_arguments():
    parser = make_parser(
        __doc__,
        rows=ROWS,
        rows_help="which rows (default: 16 128; --quick: 16 128 deep)",
        data_help="directory with MNIST's IDX files, or files like them",
        output="out/mnist",
    )
    return parse(parser, default_rows=["16", "128"], quick_rows=["16", "128", "deep"])


def main():
    arguments = parse_arguments()
    data = minisca.datasets.load_mnist(arguments.data_dir)
    MNISTReproduction(arguments, first_images(data) if arguments.quick else data).run_all()


if __name__ == "__main__":
    sys.exit(main())
