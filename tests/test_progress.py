"""A progress bar is shown where somebody can see it, and nothing breaks where nobody can."""

import io
import re
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


def last_line(stream):
    return re.split("[\r\n]", stream.getvalue().rstrip())[-1]


def test_a_bar_says_images_a_second_time_left_and_loss(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    layer = small(n_epochs=3, verbose=True).fit(few())
    line = last_line(sys.stderr)
    assert re.match(r"cpu, epoch 3/3: 100%\|.*\| 00:\d\d, 00:00 left, [\d.]+k? images/s", line)
    assert line.endswith(f", loss={layer.loss_history_[-1]:.4g}")


def test_the_layers_of_a_stack_are_told_apart(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    minisca.Stack([small(n_epochs=1, verbose=True)] * 2).fit(few())
    for start in ("layer 1, cpu, epoch 1/1: 100%", "layer 2, cpu, epoch 1/1: 100%"):
        assert start in sys.stderr.getvalue()


LONG = {
    "encoding": lambda x, y: small(verbose=True).fit(x).transform(x),
    "SVM": lambda x, y: minisca.LinearSVM(max_iter=2).fit(x, y),
    "L-BFGS": lambda x, y: minisca.LogisticRegression(max_iter=2).fit(x, y),
}


@pytest.mark.parametrize("name", LONG)
def test_what_takes_long_has_a_bar_of_images_too(monkeypatch, name):
    """Here at once, without the two seconds that it waits for."""
    from tqdm.std import tqdm

    monkeypatch.setattr(sys, "stderr", Terminal())
    make = tqdm.__init__
    at_once = lambda bar, *given, **more: make(bar, *given, **(more | {"delay": 0}))  # noqa: E731
    monkeypatch.setattr(tqdm, "__init__", at_once)
    LONG[name](few()[:6], [0, 1] * 3)
    left = "at most " if name != "encoding" else ""
    found = re.search(rf"{name}: +\d+%\|.*\| [\d:]+, {left}[\d:?]+ left, .* images", stream())
    assert found, stream()


def stream():
    return sys.stderr.getvalue()


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
    kind, options = progress(True, total=3)
    assert kind == "widget"
    assert options.items() >= {"dynamic_ncols": True, "total": 3}.items()
    use(progress(False, total=3))


def test_a_notebook_without_widgets_has_text_and_no_warning(monkeypatch, capsys):
    kernel(monkeypatch, widgets=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(progress(True, total=2))
    shown = capsys.readouterr()
    assert "twice: 100%" in shown.out
    assert not shown.err


@pytest.mark.parametrize("module", [None, object(), types.SimpleNamespace(get_ipython=object)])
def test_ipython_without_a_kernel_is_no_notebook(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(sys, "stderr", None)
    use(progress(True, total=3))
