"""Features divided by the contrast of what a filter sees, as the docstring's formula has them."""

import numpy as np
import pytest

import reference
from minisca import SparseConvAutoencoder, Stack
from tests.support.helpers import assert_within, rounding_bound
from tests.support.layers import assert_same_state, images, layer, rewrite

EPSILON = 0.3
BIAS = [-0.2, 0.1, -0.1, 0.3]


def fitted(x, **options):
    made = layer(**{"encoding_contrast": EPSILON} | options).fit(x)
    made.encoder_bias_[:] = BIAS
    return made


def by_hand(made, x):
    """The maps that the formula gives, place by place, in float64."""
    filters, bias = (array.astype(float) for array in (made.encoder_filters_, made.encoder_bias_))
    energy, epsilon, k = made.patch_energy_, made.encoding_contrast, made.filter_width
    if made.centre:
        x = x - made.centre_[:, None, None]
    padded = np.pad(x.astype(float), ((0, 0), (0, 0), (k // 2,) * 2, (k // 2,) * 2))
    maps = np.zeros((len(x), len(filters), *x.shape[2:]))
    for n, i, row, column in np.ndindex(maps.shape):
        patch = padded[n, :, row : row + k, column : column + k]
        squared = (np.sum(patch**2) + epsilon * energy) / ((1 + epsilon) * energy)
        answer = np.sum(filters[i] * patch) / np.sqrt(squared)
        maps[n, i, row, column] = max(0, answer + made.encoding_bias * bias[i])
    return maps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"centre": True, "encoding_bias": 0.5},
        {"pool_origin": "corner", "pool_width": 5, "pool_stride": 3, "encoding_contrast": 2},
    ],
)
def test_features_and_maps_are_those_of_the_formula(dtype, options):
    x = images(channels=2).astype(dtype) + np.array(0.5, dtype)
    made, new = fitted(x, dtype=dtype, **options), x[:5]
    maps = by_hand(made, new)
    # 1 / s is at most sqrt((1 + 1 / epsilon)) times what it is at a mean patch: less than 3
    sizes = np.abs(new).max() * np.abs(made.encoder_filters_).sum(axis=(1, 2, 3)).max() * 3 + 1
    bound = rounding_bound(2 * 18 + 9, sizes, dtype)  # of the sums, of s, of what they make
    assert_within(made.feature_maps(new), maps, bound)
    pooling = made.pool_width, made.pool_stride, made.pool_origin
    assert_within(made.transform(new), reference.max_pool(maps, *pooling)[0], bound)
    assert made.transform(new).dtype == dtype


def test_all_else_of_a_layer_and_its_training_are_as_without_it():
    x = images()
    made, plain = layer(encoding_contrast=EPSILON).fit(x), layer().fit(x)
    assert_same_state(made, plain)
    for name in ("winners", "reconstruct", "usage", "score"):
        np.testing.assert_array_equal(getattr(made, name)(x), getattr(plain, name)(x))
    for name in ("transform", "feature_maps"):
        assert not np.array_equal(getattr(made, name)(x), getattr(plain, name)(x))


def test_the_contrast_of_images_changes_nothing_as_epsilon_goes_to_0():
    x = images().astype(np.float64) + 1  # no patch is without contrast
    made = fitted(x, dtype="float64", encoding_contrast=1e-12)
    np.testing.assert_allclose(made.transform(7 * x), made.transform(x), rtol=0, atol=1e-10)
    plain = made.set_params(encoding_contrast=None)
    assert np.abs(plain.transform(7 * x) - plain.transform(x)).max() > 0.1


@pytest.mark.parametrize("unit", [2.0**-80, 2.0**70])
def test_in_another_unit_of_the_images_the_same_features_come_out(unit):
    """In these, squares are beyond float32."""
    x, options = images(), {"encoding_contrast": EPSILON}
    expected = layer(**options).fit(x).transform(x)
    unit = np.float32(unit)
    np.testing.assert_array_equal(
        layer(**options).fit(x * unit).transform(x * unit) / unit, expected
    )


@pytest.mark.parametrize("epsilon", [EPSILON, 1e-300, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_black_patch_leaves_is_the_bias(dtype, epsilon):
    made = fitted(images(), dtype=dtype, encoding_contrast=epsilon)
    black = np.zeros((2, 1, 8, 7))
    expected = np.broadcast_to(np.maximum(made.encoder_bias_, 0)[:, None, None], (2, 4, 8, 7))
    np.testing.assert_array_equal(made.feature_maps(black), expected)
    assert np.isfinite(made.transform(images())).all()


@pytest.mark.filterwarnings("ignore:4 of 4 maps are dead")
def test_where_training_saw_nothing_but_black_nothing_is_divided():
    x = images()
    made = fitted(0 * x)
    assert made.patch_energy_ == 0
    divided, plain = made.transform(x), made.set_params(encoding_contrast=None).transform(x)
    np.testing.assert_array_equal(divided, plain)


def test_layers_of_a_stack_learn_from_divided_features(tmp_path):
    x = images()
    stack = Stack([layer(encoding_contrast=EPSILON), layer(encoding_contrast=1, n_maps=3)]).fit(x)
    below = layer(encoding_contrast=EPSILON).fit(x).transform(x)
    above = layer(encoding_contrast=1, n_maps=3).fit(below)
    assert_same_state(stack.layers_[1], above)
    np.testing.assert_array_equal(stack.transform(x), above.transform(below))
    stack.save(tmp_path / "stack.npz")
    np.testing.assert_array_equal(
        Stack.load(tmp_path / "stack.npz").transform(x), stack.transform(x)
    )


def test_files_from_before_it_load_without_it(tmp_path):
    path = tmp_path / "layer.npz"
    made = layer(encoding_contrast=EPSILON).fit(images())
    made.save(path)
    assert SparseConvAutoencoder.load(path).encoding_contrast == EPSILON
    rewrite(path, lambda _, settings: settings["parameters"].pop("encoding_contrast"))
    loaded = SparseConvAutoencoder.load(path)
    assert loaded.encoding_contrast is None
    made.set_params(encoding_contrast=None)
    np.testing.assert_array_equal(loaded.transform(images()), made.transform(images()))
