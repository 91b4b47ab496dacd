"""Progress bars: the one way to make one."""


def progress(verbose, **options):
    """A tqdm bar with these options; silent unless `verbose` and standard error is a terminal."""
    from tqdm import tqdm  # not where nothing is shown, such as at the import of minisca

    return tqdm(disable=None if verbose else True, dynamic_ncols=True, **options)
