"""What `import minisca` shows has type hints, and a type checker finds nothing wrong in them."""

import inspect
import subprocess
import sys

import pytest

import minisca
from tests.support.script_runs import ROOT

#: What a program of a user's may look like, and what is wrong with it.
USE = """
import numpy as np
import minisca

images = np.zeros((5, 1, 8, 8), np.float32)
layer = minisca.SparseConvAutoencoder(16, filter_width=3, flat=True).fit(images)
reveal_type(layer)
reveal_type(layer.encoder_filters_)
reveal_type(layer.loss_history_)
reveal_type(layer.n_maps)
reveal_type(minisca.Stack([layer]).fit(images).layers_)
reveal_type(minisca.Stack.load("stack.npz"))
classifier = minisca.LinearSVM().fit(layer.transform(images), [0, 1, 0, 1, 0])
reveal_type(classifier.predict(images))
reveal_type(minisca.datasets.load_mnist().validation_split())
minisca.SparseConvAutoencoder(n_maps="16")
layer.fit(5)
"""
REVEALED = [
    "SparseConvAutoencoder",
    "numpy.ndarray[",
    "list[float]",
    "Any",
    "list[minisca.autoencoder.SparseConvAutoencoder]",
    "Stack",
    "numpy.ndarray[",
    "tuple[tuple[",
]
WRONG = ['incompatible type "str"; expected "int"', 'incompatible type "int"; expected "Images"']


def shown():
    """{name: function} of all public functions and methods that `import minisca` shows."""
    found = {}
    for name in minisca.__all__:
        part = getattr(minisca, name)
        if inspect.ismodule(part):
            own = [part for part in vars(part).values() if is_of(part, name)]
        else:
            own = [part]
        for each in own:
            if inspect.isclass(each):
                found |= {f"{each.__name__}.{n}": f for n, f in methods(each).items()}
            elif inspect.isfunction(each) and not each.__name__.startswith("_"):
                found[f"{name}.{each.__name__}"] = each
    return found


def is_of(part, module):
    return str(getattr(part, "__module__", "")).startswith(f"minisca.{module}")


def methods(kind):
    """{name: function} of its constructor, public methods and properties written in minisca."""
    found = {}
    for name in dir(kind):
        if name != "__init__" and name.startswith("_"):
            continue
        part = inspect.getattr_static(kind, name)
        part = part.fget if isinstance(part, property) else getattr(part, "__func__", part)
        part = inspect.unwrap(part) if callable(part) else part
        if inspect.isfunction(part) and part.__name__ != "<lambda>":
            found |= {name: part} if "minisca" in part.__code__.co_filename else {}
    return found


SHOWN = shown()


def test_all_that_is_shown_is_looked_at():
    for name in ("SparseConvAutoencoder.fit", "Stack.load", "ZCA.inverse_transform"):
        assert name in SHOWN
    assert {"datasets.load_cifar10", "LinearSVM.predict", "Dataset.validation_split"} <= set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_every_argument_and_result_has_a_hint(name):
    signature = inspect.signature(SHOWN[name])
    assert signature.return_annotation is not signature.empty
    for parameter in signature.parameters.values():
        if parameter.name not in ("self", "cls"):
            assert parameter.annotation is not parameter.empty, parameter


def mypy(*arguments, cwd):
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", *arguments, "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


def test_a_type_checker_finds_nothing_wrong_in_minisca():
    assert mypy(cwd=ROOT).startswith("Success")


def test_a_users_mistakes_are_found(tmp_path):
    (tmp_path / "use.py").write_text(USE)
    configured = ("--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "use.py"))
    lines = mypy(*configured, cwd=ROOT).splitlines()
    revealed = [line for line in lines if "Revealed type" in line]
    for line, expected in zip(revealed, REVEALED, strict=True):
        assert expected in line
    errors = [line for line in lines if ": error:" in line]
    for line, expected in zip(errors, WRONG, strict=True):
        assert expected in line
