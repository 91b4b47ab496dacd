"""What is computed: {case: {name of array: array}}, by public names alone, as internals may move.

`digested` may depend on the width of vectors but on nothing else of the machine; `valued` also
depends on BLAS. `python -m tests.golden.cases FILE` writes both to FILE, an .npz whose entries are
called "digested|case|array" or "valued|case|array"; with a dtype behind it, what is of that dtype.
"""

import os
import sys

import numpy as np

from minisca import LinearSVM, LogisticRegression, SparseConvAutoencoder, Stack
from minisca.backends import OPERATIONS, SUPPORT, get_backend
from minisca.baselines import KSparseAutoencoder, SupervisedConvNet, TriangleKMeans, kmeans
from minisca.datasets import load_mnist_sample
from minisca.preprocessing import ZCA, contrast_normalise, crop_centre, resize_bilinear

DTYPES = ("float32", "float64")
COMMON = {"filter_width": 5, "n_epochs": 2, "batch_size": 16, "random_state": 3}
HERE = {"backend": "cpu", "verbose": False}
PARAMETERS = ("encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias")
#: {case: (images, settings)}
FITS = {
    "winner-take-all": ("digits", {"n_maps": 20, "filter_width": 7}),
    "winner-take-all of three channels": ("colours", {"n_maps": 35, "batch_size": 25}),
    "top-n": ("colours", {"n_maps": 9, "sparsity": "top-n", "n_active": 3}),
    "k-largest": ("colours", {"n_maps": 17, "sparsity": "k-largest", "n_active": 11}),
    "lifetime": ("digits", {"n_maps": 8, "lifetime": 0.2}),
    "tied": ("colours", {"n_maps": 16, "tied": True, "filter_width": 3}),
}
#: What is made of other operations, and what the CPU has nothing of.
COMPOSED = {"decoded_residual", "add_up_", "make_steps", "holds", "winners_update_"}
COMPOSED |= {"cast", "pinned", "send", "fetch"}
#: NumPy's own arithmetic, which is compared with the reference alone.
OF_ROWS = {"linear", "linear_backward", "squared_hinge", "cross_entropy", "row_squares"}
OF_ROWS |= {"contrast_normalised", "nearest"}
#: Which results of which operations are products of BLAS.
THROUGH_BLAS = {"conv2d_backward": ("0", "1"), "deconv2d": ("0",), "deconv2d_backward": ("1",)}


def images(kind):
    """61 digits, their margins all zero; or 60 images (3, 13, 12), the first and some rows zero."""
    if kind == "digits":
        return load_mnist_sample().train_images[:61]
    x = np.random.default_rng(5).random((60, 3, 13, 12)).astype(np.float32)
    x[0] = 0
    x[1::2, :, :4] = 0
    x[2::2, :, :, 9:] = 0
    return x


def digested(dtypes):
    """{case: {name of array: array}} of everything that does without BLAS."""
    cases = {}
    for dtype in dtypes:
        for case, (kind, settings) in FITS.items():
            layer = SparseConvAutoencoder(**COMMON | HERE | settings, dtype=dtype)
            cases[f"{case}, {dtype}"] = fitted(layer, images(kind))
        for convolution in ("direct", "transform"):
            cases[f"{convolution} convolution, {dtype}"] = convolved(convolution, dtype)
        cases[f"stack, {dtype}"] = stacked(dtype)
        cases |= computed(dtype, through_blas=False)
    colours = images("colours")
    cases["preprocessing"] = {
        "contrast_normalise": contrast_normalise(colours),
        "crop_centre": crop_centre(colours, 9),
        "resize_bilinear": resize_bilinear(colours, 7),
    }
    return cases


def valued(dtypes):
    """The same of what goes through BLAS, in float64 where many steps would add up roundings."""
    cases = {}
    for dtype in dtypes:
        cases |= computed(dtype, through_blas=True)
    if "float64" in dtypes:
        cases |= learned_in_float64()
    return {case: {n: sample(a) for n, a in arrays.items()} for case, arrays in cases.items()}


def learned_in_float64():
    """What is made of dense passes and of features through BLAS."""
    cases = {}
    small = images("colours")[:50, :, :8, :7].astype(np.float64)
    labels = np.arange(50) * 7 % 5 % 3
    settings = COMMON | HERE | {"n_maps": 4, "filter_width": 3, "dtype": "float64"}
    dense = SparseConvAutoencoder(**settings, sparsity="none").fit(small)
    gradients = dense.loss_and_gradients(small)[1]
    cases["none"] = attributes(dense, *PARAMETERS, "loss_history") | {
        **{f"gradient of {name}": gradient for name, gradient in gradients.items()},
        "reconstruct": dense.reconstruct(small[:9]),
        "usage": dense.usage(small),
    }
    for classifier in (LinearSVM(max_iter=20), LogisticRegression(max_iter=20)):
        classifier.verbose = False
        for dtype in ("float16", *DTYPES):
            features = small.reshape(50, -1).astype(dtype)[:, :75]
            classifier.fit(features, labels)
            learned = attributes(classifier, "coef", "intercept", "loss")
            scores = classifier.decision_function(features[:9])
            cases[f"{type(classifier).__name__}, {dtype}"] = learned | {"scores": scores}
    zca = ZCA().fit(small[:, :, :4, :4])
    cases["ZCA"] = attributes(zca, "mean", "eigenvalues", "whitening") | {
        "transform": zca.transform(small[:9, :, :4, :4])
    }
    centres, objectives = kmeans(small.reshape(50, -1)[:, :20], 6, n_iterations=5, random_state=1)
    cases["kmeans"] = {"centres": centres, "objectives": np.array(objectives)}
    triangle = TriangleKMeans(7, patch_width=4, n_iterations=4, random_state=1, verbose=False)
    triangle.fit(small)
    cases["TriangleKMeans"] = attributes(triangle, "centres", "objective_history") | {
        "transform": triangle.transform(small[:9])
    }
    settings = {"n_epochs": 2, "batch_size": 16, "random_state": 3, "dtype": "float64"} | HERE
    sparse = KSparseAutoencoder(12, 3, 6, **settings).fit(small)
    cases["KSparseAutoencoder"] = attributes(sparse, "filters", "encoder_bias", "loss_history") | {
        "transform": sparse.transform(small[:9])
    }
    network = SupervisedConvNet(6, 3, 3, 2, **settings).fit(small, labels)
    cases["SupervisedConvNet"] = attributes(
        network, "filters", "bias", "coef", "intercept", "loss_history"
    )
    return cases


def sample(array):
    """About 100 numbers spread over a larger array: the values themselves are kept in a file."""
    return array if array.size <= 200 else array.reshape(-1)[:: array.size // 100]


def attributes(estimator, *names):
    return {name: np.asarray(getattr(estimator, f"{name}_")) for name in names}


def fitted(layer, x):
    """What a layer learns from x, and makes of it; then what one more pass makes of the layer."""
    layer.fit(x)
    loss, gradients = layer.loss_and_gradients(x[:23])
    values, positions = layer.winners(x)
    found = attributes(layer, "loss_history") | {
        "transform": layer.transform(x),
        "feature_maps": layer.feature_maps(x[:7]),
        "winners' values": values,
        "winners' positions": positions,
        "reconstruct": layer.reconstruct(x),
        "usage": layer.usage(x),
        "score": np.array(layer.score(x)),
        "loss": np.array(loss),
    }
    found |= {f"gradient of {name}": gradient for name, gradient in gradients.items()}
    layer.partial_fit(x[:37])
    more = attributes(layer, *PARAMETERS, "loss_history")
    # The entries of the parameters were written from arrays that partial_fit had changed in place,
    # so that they have its results under either name; those of fit show in all else.
    found |= {name: more[name] for name in PARAMETERS}
    return found | {f"{name} after partial_fit": array for name, array in more.items()}


def convolved(convolution, dtype):
    """A layer of many channels, by one of the two ways to convolve."""
    x = np.random.default_rng(6).random((45, 32, 8, 8))
    x[0] = 0
    x[::3, :, :2] = 0
    before = os.environ.get("MINISCA_CONVOLUTION")
    os.environ["MINISCA_CONVOLUTION"] = convolution
    try:
        return fitted(SparseConvAutoencoder(40, **COMMON | HERE, dtype=dtype), x)
    finally:
        del os.environ["MINISCA_CONVOLUTION"]
        if before is not None:
            os.environ["MINISCA_CONVOLUTION"] = before


def stacked(dtype):
    layers = [
        SparseConvAutoencoder(n_maps, **COMMON | HERE, dtype=dtype, pool_stride=2)
        for n_maps in (10, 15)
    ]
    stack = Stack(layers)
    found = {"features": stack.fit_transform(images("colours"))}
    for number, layer in enumerate(stack.layers_, start=1):
        learned = attributes(layer, *PARAMETERS, "loss_history")
        found |= {f"{name} of layer {number}": array for name, array in learned.items()}
    return found


def computed(dtype, through_blas):
    """{"operation, dtype": {"0": its first result, ...}} of all operations of the backend."""
    backend, rng = get_backend("cpu"), np.random.default_rng(7)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, error = draw(5, 3, 13, 10), draw(5, 3, 13, 10)
    x[0], x[1:, :, :4] = 0, 0
    filters, decoder, bias, decoder_bias = draw(19, 3, 5, 5), draw(19, 3, 5, 5), draw(19), draw(3)
    maps, d_maps, d_values, d_pooled = (
        *(draw(5, 19, 13, 10), draw(5, 19, 13, 10)),
        *(draw(5, 19), draw(5, 19, 7, 5)),
    )
    one_each = backend.encode_winners(x, filters, bias)
    values, positions, owners = backend.encode_k_largest(x, filters, bias, 30)
    _, argmax = backend.max_pool(maps, 3, 2)
    calls = {
        "conv2d": (x, filters, bias),
        "conv2d_backward": (x, filters, d_maps),
        "deconv2d": (maps, filters, decoder_bias),
        "deconv2d_backward": (maps, filters, error),
        "relu": (maps,),
        "relu_backward": (d_maps, maps),
        "winner_take_all": (maps,),
        "winner_take_all_backward": (d_values, one_each[1], maps.shape),
        "encode_winners": (x, filters, bias),
        "encode_top_n": (x, filters, bias, 3),
        "encode_k_largest": (x, filters, bias, 7),
        "lifetime_sparsity": (one_each[0], 2),
        "decode_winners": (*one_each, decoder, decoder_bias, (13, 10)),
        "decode_winners of maps": (values, positions, decoder, decoder_bias, (13, 10), owners),
        "winners_backward": (x, error, *one_each, filters, decoder),
        "winners_backward of maps": (x, error, values, positions, filters, decoder, owners),
        "max_pool": (maps, 3, 2),
        "max_pool_backward": (d_pooled, argmax, maps.shape),
        "encode_pooled": (x, filters, bias, 3, 2),
        "sgd_momentum_": (filters.copy(), decoder, draw(19, 3, 5, 5), 0.1, 0.9),
        "to_device": (x,),
        "to_host": (x,),
        "copy": (x,),
        "copy_into_": (error.copy(), x),
        "free_bytes": (),
        "gather": (x, np.array([4, 0, 4, 2])),
        "residual": (error, x, 5),
        "scaled": (x, 1 / 3),
        "add_": (error.copy(), x),
        "all_finite": (x,),
    }
    named = {name.partition(" ")[0] for name in calls}
    assert {"empty", *named, *COMPOSED, *OF_ROWS} == {*OPERATIONS, *SUPPORT}
    found = {} if through_blas else {"empty": {"0": np.array(backend.empty((2, 3), dtype).shape)}}
    for name, arguments in calls.items():
        results = getattr(backend, name.partition(" ")[0])(*arguments)
        if results is None:  # it changed its arguments
            results = arguments
        results = results if isinstance(results, tuple) else (results,)
        found[name] = {
            str(place): np.asarray(result)
            for place, result in enumerate(results)
            if (str(place) in THROUGH_BLAS.get(name, ())) == through_blas
        }
    return {f"{name}, {dtype}": arrays for name, arrays in found.items() if arrays}


if __name__ == "__main__":
    np.savez(
        sys.argv[1],
        **{
            f"{kind.__name__}|{case}|{name}": array
            for kind in (digested, valued)
            for case, arrays in kind(sys.argv[2:] or DTYPES).items()
            for name, array in arrays.items()
        },
    )
