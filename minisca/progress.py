"""Progress bars: the one way to make one."""

import sys
from importlib.util import find_spec

#: How far it is, since when, for how long still, how fast, and what comes of it.
FORMAT = "{l_bar}{bar}| {elapsed}, {remaining} left, {rate_fmt}{postfix}"


def progress(verbose, iterable=None, at_most=False, **options):
    """A bar of tqdm's with these options, around the iterable if there is one.

    It is silent unless `verbose` and a notebook or a terminal on standard error is there to show
    it. In a notebook it is a widget, or text where the package ipywidgets is missing. at_most: that
    it may end before all is done. Images are counted, by unit=" images", whatever is done to them.
    """
    notebook = _in_notebook()
    if not (verbose and (notebook or _is_terminal(sys.stderr))):
        return _Silent(iterable)
    # Not where nothing is shown: tqdm takes long to import, and starts a thread.
    if notebook and find_spec("ipywidgets"):
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm

        if notebook:  # whose standard error is red; where it is printed, each state takes a line
            options |= {"file": sys.stdout, "mininterval": 1}
    shown = FORMAT.replace("{remaining}", "at most {remaining}") if at_most else FORMAT
    return tqdm(iterable, bar_format=shown, unit_scale=True, dynamic_ncols=True, **options)


class _Silent:
    """What stands in for a bar that nobody would see."""

    def __init__(self, iterable):
        self._iterable = iterable

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        return iter(self._iterable)

    def _nothing(self, *_, **__):
        pass

    update = set_postfix = set_description = _nothing


def _in_notebook():
    """Whether a kernel of Jupyter's runs this. It has imported IPython itself."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def _is_terminal(stream):
    """Whether it is one: programs without a console have None there, or objects of their own."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError, OSError):  # ValueError: it is closed
        return False
