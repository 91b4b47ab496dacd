"""Which backend "auto" takes, that it says so, and what is said where one cannot be had."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minisca
from minisca import backends
from minisca.backends import cupy
from minisca.backends.cupy.runtime import machine as cupy_machine
from tests.support.backends import AUTO_ORDER
from tests.support.layers import assert_same_state, images, layer

MISSING = None
NO_DEVICE = SimpleNamespace(__spec__="any", cuda=SimpleNamespace(is_available=lambda: False))


@pytest.fixture
def machine(monkeypatch):
    """machine("cupy", ...): let those backends of a device, and no others, run here."""

    def make(*found):
        def module(path):
            if path.endswith("cpu"):
                return import_module(path)
            is_found = path.rpartition(".")[2] in found
            return SimpleNamespace(__name__=path, is_available=lambda: is_found, require=list)

        import_module = backends.importlib.import_module
        monkeypatch.setattr(backends, "PREFERENCE", list(AUTO_ORDER))
        monkeypatch.setattr(backends, "has_driver", lambda: True)
        monkeypatch.setattr(backends, "importlib", SimpleNamespace(import_module=module))

    return make


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        (("cupy", "numba_cuda"), "cupy"),
        (("numba_cuda",), "numba_cuda"),
        ((), "cpu"),
    ],
)
def test_auto_takes_cupy_then_numba_cuda_then_the_cpu_and_says_which(machine, found, taken):
    fitted = layer(n_epochs=0).fit(images(n=6)).set_params(backend="auto")
    machine(*found)
    assert backends.available_backends() == [*found, "cpu"]
    assert backends.name_of(backends.get_backend("auto")) == taken
    assert fitted.backend_ == taken


def test_where_cupy_cannot_keep_kernels_it_is_said_how_it_could(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text(
        "raise PermissionError(13, 'Permission denied', '/home/.cupy')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(cupy_machine, "platform", cupy_machine.CuPy())
    for ask in (cupy.is_available, cupy.require):
        with pytest.raises(RuntimeError, match=r"denied: '/home/.cupy'; name .* CUPY_CACHE_DIR"):
            ask()


def test_there_is_no_telling_which_backend_before_fit():
    assert not hasattr(layer(), "backend_")


def test_looking_for_devices_imports_nothing_where_there_is_no_driver():
    if backends.has_driver():
        pytest.skip("there is a driver")
    program = (
        "import sys, minisca.backends as b; b.get_backend('auto'); print(b.available_backends());"
        "assert not {'cupy', 'numba_cuda', 'minisca.backends.numba_cuda'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "['cpu']\n"), done.stderr


@pytest.fixture(params=[MISSING, NO_DEVICE], ids=["no package", "no device"])
def refusal(request, monkeypatch):
    """A machine on which CuPy is missing, or finds no device: how get_backend("cupy") ends."""
    monkeypatch.setitem(sys.modules, "cupy", request.param)
    monkeypatch.setattr(cupy_machine, "platform", cupy_machine.CuPy())
    if request.param is MISSING:
        return ImportError, r"pip install minisca\[cupy\].*backend='cpu' runs everywhere"
    return RuntimeError, "'cupy' found no CUDA device.*backend='cpu' runs everywhere"


def test_a_backend_that_cannot_be_had_says_what_it_takes(refusal):
    assert not cupy.is_available()
    for use in (lambda: backends.get_backend("cupy"), lambda: cupy.relu(np.zeros((1, 1, 1, 1)))):
        with pytest.raises(refusal[0], match=refusal[1]):
            use()


def test_estimators_refuse_before_anything_is_trained(refusal):
    made, x = layer(backend="cupy"), images(n=6)
    for call in (made.fit, made.partial_fit, minisca.Stack([layer(), made]).fit):
        with pytest.raises(refusal[0], match=refusal[1]):
            call(x)
    assert not hasattr(made, "encoder_filters_")


def test_a_layer_of_a_device_is_loaded_and_used_where_there_is_none(refusal, tmp_path):
    fitted = layer(n_epochs=1).fit(images(n=6))
    fitted.set_params(backend="cupy").save(tmp_path / "layer.npz")
    loaded = minisca.SparseConvAutoencoder.load(tmp_path / "layer.npz")
    assert_same_state(loaded, fitted)
    with pytest.raises(refusal[0], match=refusal[1]):
        loaded.transform(images(n=6))
    features = loaded.set_params(backend="cpu").transform(images(n=6))
    assert np.all(np.isfinite(features))
