"""Progress bars: the one way to make one."""

from tqdm import tqdm


def progress(verbose, **options):
    """A tqdm bar with these options; silent unless `verbose` and standard error is a terminal."""
    return tqdm(disable=None if verbose else True, dynamic_ncols=True, **options)
