"""Options that many scripts have, and how what was given for them is checked."""

from minisca.backends import CHOICES, get_backend, name_of


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


def add_backend_option(parser):
    parser.add_argument(
        "--backend",
        default="auto",
        choices=CHOICES,
        help="default: auto, which takes CuPy, Numba CUDA or the CPU, the first that runs here",
    )


def resolve_backend(parser, name):
    """The name of the backend that `name` comes to; one that does not run here ends the script."""
    try:
        return name_of(get_backend(name))
    except (ImportError, RuntimeError) as error:
        parser.error(f"--backend is {name}: {error}")
