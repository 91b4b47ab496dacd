"""The options of the commands that reproduce a table of the paper."""

import math

from common.locks import check_packages
from common.options import add_common, make_parser, parse_checked

from minisca.training.fit import ORIGINS


def make_table_parser(description, rows, default_rows, quick_rows, data, output, prepared=True):
    """A parser of the options that all of these commands have.

    default_rows, quick_rows: names of the rows where --rows is not given, without and with --quick.
    data, output: as `add_common` has them. prepared: whether there are --label, --whitened, --raw.
    """
    parser = make_parser(description)
    named = f"default: {' '.join(default_rows)}; with --quick: {' '.join(quick_rows)}"
    parser.add_argument("--rows", nargs="+", choices=rows, help=f"which rows; {named}")
    parser.add_argument("--epochs", type=int, help="epochs of the first layer")
    parser.add_argument("--deep-epochs", type=int, help="epochs of the second layer")
    quick = "few images, few epochs, every row"
    parser.add_argument(
        "--encoding-contrast",
        type=float,
        metavar="EPSILON",
        help="rows of their own names, all layers' maps divided by the local contrast: see "
        "SparseConvAutoencoder's encoding_contrast",
    )
    parser.add_argument(
        "--pool-origin",
        choices=ORIGINS,
        default="centred",
        help="corner: rows of their own names, whose pooling windows start at pixel 0, as those of "
        "the paper's authors; default: centred",
    )
    add_common(parser, data, output, quick, label="the data" if prepared else None)
    parser.set_defaults(default_rows=default_rows, quick_rows=quick_rows, whitened=True)
    parser.set_defaults(plain_classifier=None)  # where there is no choice of them
    if prepared:
        either = parser.add_mutually_exclusive_group()
        whitened, raw = "contrast-normalise, whiten (default)", "contrast-normalise only"
        either.add_argument("--whitened", action="store_true", help=whitened)
        either.add_argument("--raw", action="store_false", dest="whitened", help=raw)
    return parser


def parse(parser):
    """The checked arguments, with `rows` filled in, and whether `pictures` can be drawn.

    Ends the script where a package is missing that it needs in the end.
    """
    arguments = parse_checked(parser, "epochs", "deep_epochs")
    epsilon = arguments.encoding_contrast
    if epsilon is not None and not 0 < epsilon < math.inf:
        parser.error(f"--encoding-contrast is {epsilon}; it must be a number above 0")
    arguments.pictures = check_packages()
    chosen = arguments.quick_rows if arguments.quick else arguments.default_rows
    arguments.rows = arguments.rows or chosen
    return arguments
