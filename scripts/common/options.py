"""The options that commands share, under one name and with one help text each, and their checks."""

import argparse

from minisca.backends import CHOICES, get_backend, name_of


def make_parser(description):
    """A parser whose --help shows the command's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_common(parser, data, output, quick=None, seeds=True, resume=True, label=None):
    """Add --seeds, --data-dir, --label, --backend, --output, --resume and --quick.

    data: what the directory of --data-dir holds. output: the default; None where the command names
    it after what it does. quick, label: what --quick leaves of the work, and whose files --label
    names; None where there is no such option. seeds: whether there are --seeds, not one --seed.
    """
    if seeds:
        parser.add_argument(
            "--seeds", nargs="+", type=int, default=[0], help="random seeds, a run each; default: 0"
        )
    else:
        parser.add_argument("--seed", type=int, default=0, help="random seed; default: 0")
    parser.add_argument("--data-dir", help=f"directory with {data}")
    if label:
        parser.add_argument("--label", help=f'what {label} are, in results ("CIFAR-10, JPEG", say)')
    add_backend_option(parser)
    named = output or "named after what is done, in out/"
    parser.add_argument("--output", default=output, help=f"directory to write; default: {named}")
    if resume:
        parser.add_argument("--resume", action="store_true", help="go on from what --output holds")
    if quick:
        parser.add_argument("--quick", action="store_true", help=quick)


def add_backend_option(parser):
    parser.add_argument(
        "--backend",
        default="auto",
        choices=CHOICES,
        help="default: auto, which takes CuPy, Numba CUDA or the CPU, the first that runs here",
    )


def parse_checked(parser, *counts):
    """The arguments, their counts and seeds checked, their backend found and named."""
    arguments = parser.parse_args()
    check_counts(parser, arguments, *counts)
    check_seeds(parser, arguments)
    print(f"Backend: {resolve_backend(parser, arguments.backend)}")
    return arguments


def check_counts(parser, arguments, *names):
    """End the script where one of these options, a number, numbers or None, is below 1."""
    for name in names:
        value = getattr(arguments, name)
        smallest = min(value) if isinstance(value, list) else value
        if smallest is not None and smallest < 1:
            parser.error(f"--{name.replace('_', '-')} is {smallest}; it must be at least 1")


def check_seeds(parser, arguments):
    """End the script where --seed, or one of --seeds, is negative."""
    seeds = arguments.seeds if "seeds" in arguments else [arguments.seed]
    if min(seeds) < 0:
        name = "--seeds has" if "seeds" in arguments else "--seed is"
        parser.error(f"{name} {min(seeds)}; it must be 0 or larger")


def resolve_backend(parser, name):
    """The name of the backend that `name` comes to; one that does not run here ends the script."""
    try:
        return name_of(get_backend(name))
    except (ImportError, RuntimeError) as error:
        parser.error(f"--backend is {name}: {error}")
