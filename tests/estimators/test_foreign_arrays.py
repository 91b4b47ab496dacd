"""Arrays of other libraries as images, features, labels and `out`: the same bits as NumPy's."""

import types

import numpy as np
import pytest

import minisca
from minisca.baselines import TriangleKMeans
from minisca.preprocessing import ZCA, contrast_normalise
from tests.support.layers import few, small


class ByDlpack:
    """An array that another library made and hands over by DLPack alone."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


class ByArray:
    """What NumPy can make an array of, whose dtype is not NumPy's."""

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, list(array.shape), str(array.dtype)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._array, dtype)


def tensor(array):
    return pytest.importorskip("torch", reason="PyTorch is missing").from_numpy(array)


def data_array(array):
    made = pytest.importorskip("xarray", reason="xarray is missing").DataArray(array)
    return made.rename(dict(zip(made.dims, "ncyx", strict=False)))


def stored(array, tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is missing")
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5"
    return h5py.File(path, "w").create_dataset("x", data=array)


def chunked(array, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr is missing")
    made = zarr.create_array({}, shape=array.shape, dtype=array.dtype, chunks=array.shape)
    made[...] = array
    return made


IN_MEMORY = {
    "torch": tensor,
    "xarray": data_array,
    "__dlpack__": ByDlpack,
    "__array__": ByArray,
}
IN_FILES = {"h5py": stored, "zarr": chunked}
over_all = pytest.mark.parametrize("kind", [*IN_MEMORY, *IN_FILES])


@pytest.fixture
def foreign(kind, tmp_path):
    """From an array of NumPy's to one of that kind."""
    if kind in IN_MEMORY:
        return IN_MEMORY[kind]
    return lambda array: IN_FILES[kind](array, tmp_path)


@over_all
def test_images_of_any_kind_are_learned_from_and_encoded(foreign):
    x = few()
    ours = small(n_epochs=2, centre=True).fit(x, validation_images=x[:3])
    theirs = small(n_epochs=2, centre=True).fit(foreign(x), validation_images=x[:3])
    np.testing.assert_array_equal(theirs.encoder_filters_, ours.encoder_filters_)
    np.testing.assert_array_equal(theirs.transform(foreign(x)), ours.transform(x))
    np.testing.assert_array_equal(theirs.reconstruct(foreign(x)), ours.reconstruct(x))
    stack = minisca.Stack([small(n_epochs=1)]).fit(foreign(x))
    np.testing.assert_array_equal(stack.transform(foreign(x)), stack.transform(x))


CLASSIFIERS = {
    "SVM": lambda: minisca.LinearSVM(max_iter=3, verbose=False),
    "logistic": lambda: minisca.LogisticRegression(max_iter=3, verbose=False),
    "sgd": lambda: minisca.SoftmaxSGD(n_epochs=2, random_state=0, verbose=False),
}


@over_all
@pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_features_and_labels_of_any_kind_are_learned_from(foreign, classifier):
    x = few()
    y = np.array([0, 1, 2, 0, 1, 2, 0])
    ours, theirs = classifier().fit(x, y), classifier().fit(foreign(x), foreign(y))
    np.testing.assert_array_equal(theirs.coef_, ours.coef_)
    np.testing.assert_array_equal(theirs.predict(foreign(x)), ours.predict(x))
    assert theirs.score(foreign(x), foreign(y)) == ours.score(x, y)


@pytest.mark.parametrize("kind", ["torch", "xarray", "h5py", "zarr"])
@pytest.mark.parametrize("flat", [False, True])
def test_features_fill_an_array_of_any_kind_and_it_is_returned(foreign, flat):
    fitted = small(n_epochs=1, flat=flat).fit(x := few())
    expected = fitted.transform(x)
    out = foreign(np.zeros_like(expected))
    assert fitted.transform(x, out=out) is out
    np.testing.assert_array_equal(np.asarray(out), expected)
    stack = minisca.Stack([small(n_epochs=1)], flat=flat).fit(x)
    assert stack.transform(x, out=out) is out
    np.testing.assert_array_equal(np.asarray(out), stack.transform(x))


@pytest.mark.parametrize("kind", ["torch", "xarray", "h5py", "zarr"])
def test_prepared_images_do_so_too(foreign):
    x = few().astype(np.float32)
    whitener = ZCA().fit(x)
    clustered = TriangleKMeans(3, patch_width=2, grid=2, n_iterations=1, verbose=False).fit(x)
    for prepare in (contrast_normalise, whitener.transform, clustered.transform):
        expected = prepare(x)
        out = foreign(np.zeros_like(expected))
        assert prepare(x, out=out) is out
        np.testing.assert_array_equal(np.asarray(out), expected)


def test_a_tensor_that_is_negated_where_it_is_read_is_read_so():
    x = few().astype(np.float32)
    negated = torch().view_as_complex(tensor(np.stack([x, -x], -1))).conj().imag
    assert negated.is_neg()
    np.testing.assert_array_equal(minisca.validation.check_images(negated), x)


def test_tensors_are_not_copied():
    x = few()
    given = tensor(x)
    checked = minisca.validation.check_images(given)
    assert np.shares_memory(checked, x)


def torch():
    return pytest.importorskip("torch", reason="PyTorch is missing")


REFUSED = {
    "gradients": (lambda x: tensor(x).requires_grad_(), r"requires gradients; .* give X.detach"),
    "parameter": (lambda x: torch().nn.Parameter(tensor(x)), "requires gradients"),
    "no data": (lambda x: tensor(x).to("meta"), r"X is a tensor on meta; it must be on the CPU"),
    "bfloat16": (lambda x: tensor(x).bfloat16(), r"X is a tensor of torch.bfloat16; .*X.float"),
    "sparse": (lambda x: tensor(x).to_sparse(), r"X is a tensor of the layout torch.sparse_coo"),
    "complex": (lambda x: tensor(x + 0j), "dtype complex64"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_a_tensor_that_cannot_be_read_is_refused_by_name(make, message):
    with pytest.raises(TypeError, match=message):
        small().fit(make(few()))
    x, y = few(), [0, 1] * 3 + [0]
    error = ValueError if "complex" in message else TypeError
    with pytest.raises(error, match="X" if "complex" in message else message):
        minisca.LinearSVM(verbose=False).fit(make(x), y)


def test_labels_and_out_that_cannot_be_read_are_named():
    fitted = small(n_epochs=1).fit(x := few())
    labels = tensor(np.zeros(7)).requires_grad_()
    with pytest.raises(TypeError, match="y is a tensor that requires gradients"):
        minisca.LinearSVM(verbose=False).fit(x, labels)
    out = tensor(np.zeros_like(fitted.transform(x)))
    with pytest.raises(TypeError, match="out is a tensor that requires gradients"):
        fitted.transform(x, out=out.requires_grad_())
    with pytest.raises(TypeError, match="out is of int32"):
        fitted.transform(x, out=out.detach().int())
    with pytest.raises(ValueError, match=r"out has shape \(2"):
        fitted.transform(x, out=out.detach()[:2])
    weights = tensor(np.ones((2, 1, 3, 3))).requires_grad_()
    with pytest.raises(TypeError, match="encoder_filters is a tensor that requires gradients"):
        minisca.SparseConvAutoencoder.from_filters(weights, [0, 0], None, [0], (8, 7))


def test_filters_of_a_module_of_pytorchs_make_a_layer():
    fitted = small(n_epochs=1).fit(x := few())
    module = torch() and fitted.to_torch()
    arrays = module.filters.detach(), module.bias.detach(), None, [0]
    options = {"pool_width": fitted.pool_width, "pool_stride": fitted.pool_stride}
    again = minisca.SparseConvAutoencoder.from_filters(
        *arrays, fitted.image_size_, dtype="float64", backend="cpu", verbose=False, **options
    )
    np.testing.assert_array_equal(again.transform(x), fitted.transform(x))


class OnADevice(ByDlpack):
    """An array of a kind of device that minisca knows nothing of."""

    def __dlpack_device__(self):
        return 4, 0


def test_what_dlpack_has_on_another_device_or_what_is_none_is_named():
    with pytest.raises(TypeError, match="X is a OnADevice on the DLPack device 4"):
        small().fit(OnADevice(few()))
    nothing = types.SimpleNamespace(shape=(7, 1, 5, 4), dtype="float32")
    with pytest.raises(TypeError, match="X has dtype float32; it must be a real number type"):
        small().fit(nothing)
    broken = ByDlpack(np.array(["a"]))
    with pytest.raises(TypeError, match="X is a ByDlpack that NumPy cannot read"):
        small().fit(broken)
    cyclic = ByArray(np.array([object()]))
    with pytest.raises(ValueError, match="X has shape"):
        small().fit(cyclic)


def test_a_value_that_is_not_finite_is_named_in_any_kind():
    x = few()
    x[3, 0, 1, 1] = np.nan
    for make in (tensor, data_array, ByDlpack):
        with pytest.raises(ValueError, match="X has the value nan in image 3; every pixel"):
            small(n_epochs=1).fit(make(x))
