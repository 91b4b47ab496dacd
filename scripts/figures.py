"""Every figure of the paper, drawn anew, with its numbers beside it.

    python scripts/figures.py                  all of them, those whose data set is missing left out
    python scripts/figures.py 1b 4             these two
    python scripts/figures.py 1c --resume      go on where an earlier run was stopped
    python scripts/figures.py --quick          a few minutes' version, to see that everything works

1a   filters of a k-sparse autoencoder of 1,000 units, from whitened CIFAR-10 patches in isolation
1b   32 filters of the convolutional one, from whitened whole images, as wide
1c   validation accuracy against the number of maps: winner-take-all, triangle k-means, supervised
2b   filters without any sparsity; 2c the same with winner-take-all
3    a digit of MNIST through two layers, 16 maps and 128
4    128 filters from CIFAR-10 that is contrast-normalised only
5    32 filters each from small NORB, contrast-normalised only and whitened

Figure N becomes figure-N.png in --output; figure-N.json has its records: what was trained how, how
long it took, and what is measured of it. figure-N.npz is what was trained. The validation images
are the last of the training set; no test image is read but the digit of Figure 3. Without
matplotlib there are the records and no pictures.
"""

from common.data_files import run_command
from common.locks import check_packages
from common.options import add_common, make_parser, parse_checked
from paper_figures.accuracy import KINDS, METHODS, draw_accuracies
from paper_figures.filters import (
    draw_convolutional_filters,
    draw_digit,
    draw_patch_filters,
    draw_raw_and_whitened,
)
from paper_figures.run import FigureRun

from minisca.datasets import DatasetNotFoundError

FIGURES = {
    "1a": draw_patch_filters,
    "1b": draw_convolutional_filters,
    "1c": draw_accuracies,
    "2b": draw_convolutional_filters,
    "2c": draw_convolutional_filters,
    "3": draw_digit,
    "4": draw_convolutional_filters,
    "5": draw_raw_and_whitened,
}


def parse_arguments():
    parser = make_parser(__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(FIGURES)}; default: all"
    )
    parser.add_argument("--images", type=int, help="training images at most")
    parser.add_argument("--epochs", type=int, help="of every convolutional layer or network")
    parser.add_argument("--maps", type=int, nargs="+", help="of Figure 1c; default: 16 to 512")
    curves = {"nargs": "+", "help": "of Figure 1c; default: all"}
    parser.add_argument("--methods", choices=METHODS, default=list(METHODS), **curves)
    parser.add_argument("--kinds", choices=KINDS, default=list(KINDS), **curves)
    data = "the folders mnist, cifar-10-batches-bin and smallnorb, or one of them"
    quick = "few images, few epochs, few maps"
    label = "the CIFAR-10 files (with Figure 5 alone: small NORB's)"
    add_common(parser, data, "out/figures", quick, seeds=False, label=label)
    arguments = parse_checked(parser, "images", "epochs", "maps")
    for name in arguments.names:
        if name not in FIGURES:
            parser.error(f"there is no figure {name!r}; the figures are {', '.join(FIGURES)}")
    return arguments


def main():
    arguments = parse_arguments()
    run = FigureRun(arguments, pictures=check_packages())
    left_out = []
    for name in arguments.names or FIGURES:
        try:
            FIGURES[name](run, name)
        except DatasetNotFoundError as error:
            left_out.append(f"Figure {name} is left out. {error}")
            continue
        print(f"Figure {name}: {run.path(name, 'png' if run.pictures else 'json')}")
    if left_out and arguments.names:
        raise SystemExit("\n".join(left_out))
    print("\n".join(left_out))


if __name__ == "__main__":
    run_command(main)
