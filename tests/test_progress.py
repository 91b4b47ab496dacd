"""A progress bar is shown where somebody can see it, and nothing breaks where nobody can."""

import io
import sys
import types
import warnings

import pytest

import minisca
from minisca.progress import progress
from tests.support.layers import few, small


class NoMethods:
    """Standard error of a program that brought its own."""


class Broken(io.StringIO):
    def isatty(self):
        raise OSError("the console is gone")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


class Terminal(io.StringIO):
    def isatty(self):
        return True


UNSEEN = [None, NoMethods(), Broken(), closed(), io.StringIO()]
unseen = pytest.mark.parametrize("stream", UNSEEN, ids=lambda made: type(made).__name__)


def use(bar):
    """All that is done with bars."""
    with bar:
        bar.update(2)
        bar.set_description("twice")
        bar.set_postfix(loss="3", refresh=False)


def kernel(monkeypatch, *, widgets):
    """As in a kernel of Jupyter's, with the package ipywidgets or without."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(
        "minisca.progress.find_spec", lambda name: widgets if name == "ipywidgets" else None
    )


@unseen
def test_everything_works_without_a_bar_where_nobody_sees_one(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    use(progress(True, total=3))
    assert list(progress(True, range(3), desc="counting")) == [0, 1, 2]
    assert len(small(n_epochs=1, verbose=True).fit(few()).loss_history_) == 1
    x, y = few()[:6], [0, 1] * 3
    for classifier in (minisca.LinearSVM, minisca.LogisticRegression):
        classifier(max_iter=2).fit(x, y)


def test_a_terminal_has_a_bar_if_it_is_wanted(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    use(progress(False, total=2))
    assert sys.stderr.getvalue() == ""
    use(progress(True, total=2))
    assert "twice: 100%" in sys.stderr.getvalue()


@unseen
def test_without_a_bar_nothing_of_tqdm_is_made(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # to import it is an error
    use(progress(True, total=3))


def test_a_notebook_has_widgets(monkeypatch):
    auto = types.SimpleNamespace(tqdm=lambda iterable, **options: ("widget", options))
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    kernel(monkeypatch, widgets=True)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # no terminal is a kernel's
    assert progress(True, total=3) == ("widget", {"dynamic_ncols": True, "total": 3})
    use(progress(False, total=3))


def test_a_notebook_without_widgets_has_text_and_no_warning(monkeypatch):
    kernel(monkeypatch, widgets=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(progress(True, total=2))
    assert "twice: 100%" in sys.stderr.getvalue()


@pytest.mark.parametrize("module", [None, object(), types.SimpleNamespace(get_ipython=object)])
def test_ipython_without_a_kernel_is_no_notebook(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(sys, "stderr", None)
    use(progress(True, total=3))
