"""scikit-learn's callbacks, told of a fit and its parts: a layer's epochs, or a stack's layers.

What `set_callbacks` took has the methods of `sklearn.callback.FitCallback` (1.9 and later), whose
own code makes the contexts that they are given.
"""

import contextlib
from importlib import import_module

METHODS = ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown")


def check_callbacks(callbacks):
    """Raise TypeError for what is none of its callbacks, ImportError where it has none."""
    for place, callback in enumerate(callbacks):
        of_class = isinstance(callback, type)
        if of_class or not all(callable(getattr(callback, name, None)) for name in METHODS):
            must = f"it must have the methods {', '.join(METHODS)}"
            raise TypeError(f"callbacks[{place}] is {callback!r}; {must}")
    if callbacks:
        try:
            import_module("sklearn.callback")
        except ImportError as error:
            raise ImportError("set_callbacks needs scikit-learn 1.9 or later") from error


@contextlib.contextmanager
def fit_tasks(estimator, X, n_parts, told=True):
    """Within the block the estimator's callbacks are told of its fit to X, of so many parts.

    Yields the `Tasks`. Whatever ends the block, the callbacks' `teardown` is called. told: whether
    they are at all; of several ranks the first tells them.
    """
    if not (told and getattr(estimator, "_skl_callbacks", None)):
        yield Tasks(None, estimator, X)
        return
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    try:
        root = CallbackSupportMixin._init_callback_context(estimator, max_subtasks=n_parts)
        root.call_on_fit_task_begin(estimator=estimator, X=X)
        yield Tasks(root, estimator, X)
        root.call_on_fit_task_end(estimator=estimator, X=X)
    finally:
        with_callbacks(lambda _: None)(estimator)  # which calls `teardown`


class Tasks:
    """The parts of a fit, one after the other. root: the fit's context; None: nobody is told."""

    def __init__(self, root, estimator, X):
        self._root, self._task = root, None
        self._told = {"estimator": estimator, "X": X}

    def begin(self):
        """An epoch begins."""
        if self._root is not None:
            self._task = self._root.subcontext("epoch").call_on_fit_task_begin(**self._told)

    def end(self, **learned):
        """It ends, after which {attribute: value} is learned; whether the fit is to end too."""
        if self._root is None:
            return False
        told = self._told | {"reconstruction_attributes": learned or None}
        return self._task.call_on_fit_task_end(**told)

    @contextlib.contextmanager
    def layer(self, layer):
        """Within the block a layer is fitted: callbacks that want it are told of its fit too."""
        if self._root is None:
            yield
            return
        task = self._root.subcontext("layer")
        with task.propagate_callback_context(layer):
            task.call_on_fit_task_begin(**self._told)
            yield
            task.call_on_fit_task_end(**self._told)
