"""The option --backend of every script that trains: what it may be, and what it comes to."""

from minisca.backends import CHOICES, get_backend, name_of


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
