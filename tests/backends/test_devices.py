"""The estimators on a device: they learn what they learn on the CPU.

Every test runs on every backend of a device: CuPy's in the emulator, Numba's in its simulator (a
process of its own), or both on a device where there is one.
"""

import copy
import io
import math
import shutil

import numpy as np
import pytest
from tqdm import tqdm

import minisca
from minisca import chunks, encoding
from minisca.backends import get_backend
from minisca.baselines import SupervisedConvNet
from minisca.training import batches, fit, objective
from tests.support.helpers import rounding_bound
from tests.support.layers import (
    PARAMETERS,
    RULES,
    Slices,
    assert_same_state,
    few,
    learned,
    small,
)

over_rules = pytest.mark.parametrize("rule", RULES)


def assert_near(one, other):
    """Both learned the same but for rounding.

    In float64 a step rounds sums of some 60 products of size 1, and four steps amplify nothing.
    """
    for name, value in learned(one).items():
        np.testing.assert_allclose(value, learned(other)[name], rtol=1e-12, atol=1e-12)


@over_rules
def test_training_follows_the_cpus(device, rule):
    options = RULES[rule] | {"learning_rate": RULES[rule].get("learning_rate", 0.02)}
    there, here = (small(**options, backend=backend).fit(few()) for backend in (device, "cpu"))
    assert_near(there, here)
    assert there.loss_history_[1] < there.loss_history_[0]
    np.testing.assert_array_equal(there.winners(few())[1], here.winners(few())[1])
    for name in PARAMETERS:
        assert isinstance(getattr(there, name), np.ndarray)
        assert getattr(there, name).dtype == np.float64
    assert (there.decoder_filters_ is there.encoder_filters_) == there.tied


def test_training_in_float32_follows_the_cpus(device):
    there, here = (small(dtype="float32", backend=name).fit(few()) for name in (device, "cpu"))
    eps = np.finfo(np.float32).eps
    np.testing.assert_allclose(there.loss_history_, here.loss_history_, rtol=100 * eps)
    assert there.encoder_filters_.dtype == np.float32
    np.testing.assert_array_equal(there.winners(few())[1], here.winners(few())[1])


@pytest.mark.parametrize("images_at_a_time", [0.3, 3])
def test_large_batches_and_images_in_parts_follow_the_cpus_whole(
    device, monkeypatch, images_at_a_time
):
    here = small(backend="cpu").fit(few())
    monkeypatch.setattr(objective, "ERROR_BYTES", int(images_at_a_time * few()[0].size * 8))
    monkeypatch.setattr(objective, "_size", lambda parameters: 0)
    there = small(backend=device).fit(few())
    assert_near(there, here)
    expected = here.transform(few()), here.feature_maps(few())
    monkeypatch.setattr(encoding, "IMAGES_BYTES", 1)
    monkeypatch.setattr(encoding, "RESULTS_BYTES", 1)  # a map at a time
    found = there.transform(few()), there.feature_maps(few())
    for made, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(made, right, rtol=1e-12, atol=1e-12)


def test_a_repeated_run_ends_in_the_same_bits_however_the_images_arrive(device, monkeypatch):
    monkeypatch.setattr(batches, "SHARE", 0.5)
    first = small(backend=device).fit(few())
    three_images = 3 * 5 * 4 * 8  # brought at a time
    for share, chunk in ((0.5, chunks.CHUNK_BYTES), (0.5, three_images), (0, chunks.CHUNK_BYTES)):
        monkeypatch.setattr(batches, "SHARE", share)
        monkeypatch.setattr(chunks, "CHUNK_BYTES", chunk)
        assert_same_state(small(backend=device).fit(few()), first)


@over_rules
def test_everything_that_a_fitted_layer_computes_is_the_cpus(device, rule):
    there = small(**RULES[rule], n_epochs=0, init_scale=1).fit(few()).set_params(backend=device)
    here = small(**RULES[rule], n_epochs=0, init_scale=1).fit(few())
    new = few(3, seed=1)
    for name in ("transform", "feature_maps", "reconstruct", "score", "usage"):
        found, right = (getattr(each, name)(new) for each in (there, here))
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12, err_msg=name)
    for name in ("transform", "feature_maps"):
        found, right = (
            getattr(each.set_params(encoding_contrast=0.3), name)(new) for each in (there, here)
        )
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12, err_msg=name)
    for found, right in zip(there.winners(new), here.winners(new), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12)
    (loss, gradients), (right_loss, right) = (e.loss_and_gradients(new) for e in (there, here))
    assert math.isclose(loss, right_loss, rel_tol=1e-12)
    assert gradients.keys() == right.keys()
    for name, gradient in gradients.items():
        assert isinstance(gradient, np.ndarray)
        np.testing.assert_allclose(gradient, right[name], rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_layer_saved_by_one_backend_is_loaded_and_trained_on_by_another(device, tmp_path):
    there = small(backend=device).fit(few())
    there.save(tmp_path / "there.npz")
    loaded = minisca.SparseConvAutoencoder.load(tmp_path / "there.npz")
    assert loaded.backend == device
    assert_same_state(loaded, there)
    loaded.set_params(backend="cpu").partial_fit(few())
    loaded.save(tmp_path / "here.npz")
    back = minisca.SparseConvAutoencoder.load(tmp_path / "here.npz").set_params(backend=device)
    assert_near(back.partial_fit(few()), loaded.partial_fit(few()))


def test_resuming_on_a_device_reaches_the_bits_of_an_uninterrupted_run(
    device, tmp_path, monkeypatch
):
    monkeypatch.setattr(batches, "SHARE", 0)
    stopped, path, copied = Slices(few(), fail_at=5), tmp_path / "one.npz", tmp_path / "two.npz"
    whole = small(backend=device).fit(few())
    with pytest.raises(KeyboardInterrupt):  # to measure the images, an epoch, half an epoch
        small(backend=device).fit(stopped, checkpoint=path)
    shutil.copyfile(path, copied)
    assert_same_state(small(backend=device).fit(few(), checkpoint=path, resume=True), whole)
    assert_near(small(backend="cpu").fit(few(), checkpoint=copied, resume=True), whole)


@pytest.mark.parametrize("rule", ["winner-take-all", "tied"])
def test_an_epoch_that_is_interrupted_on_a_device_leaves_no_trace(device, rule, monkeypatch):
    monkeypatch.setattr(batches, "SHARE", 0)
    made = small(**RULES[rule], backend=device, n_epochs=1).fit(few())
    untouched = copy.deepcopy(made)
    before = {name: np.copy(value) for name, value in learned(made).items()}
    velocities = {name: value.copy() for name, value in made.state_.velocities.items()}
    with pytest.raises(KeyboardInterrupt):
        made.partial_fit(Slices(few(), fail_at=1))
    for name, value in learned(made).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    for name, value in made.state_.velocities.items():
        np.testing.assert_array_equal(value, velocities[name], err_msg=name)
    assert_same_state(made.partial_fit(few()), untouched.partial_fit(few()))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_stops_being_finite_stops_training_at_the_last_good_state(device):
    made = small(backend=device, dtype="float32").fit(few())
    before = {name: np.copy(value) for name, value in learned(made).items()}
    made.set_params(learning_rate=1e30)
    with pytest.raises(minisca.DivergenceError, match="lower learning_rate"):
        made.partial_fit(few())
    for name, value in learned(made).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_a_stack_is_trained_and_encodes_on_a_device(device):
    there, here = (
        minisca.Stack([small(backend=backend), small(n_maps=2, backend=backend, n_epochs=1)])
        for backend in (device, "cpu")
    )
    np.testing.assert_allclose(there.fit_transform(few()), here.fit_transform(few()), rtol=1e-9)
    np.testing.assert_allclose(there.transform(few()), here.transform(few()), rtol=1e-9)


@pytest.mark.parametrize("share", [0.5, 0])  # of the memory: images come at once, or in batches
def test_pixels_that_are_not_finite_are_refused_on_the_way_to_a_device(device, share, monkeypatch):
    monkeypatch.setattr(batches, "SHARE", share)
    bad = few()
    bad[5, 0, 1, 2] = np.nan
    made = small(backend=device)
    with pytest.raises(ValueError, match="in image 5"):
        made.fit(bad)


def test_several_parameters_are_updated_as_one_by_one(device):
    backend = get_backend(device)
    rng = np.random.default_rng(0)
    sizes = [(3, 2), (5,), (1, 1, 4), (7,), (2,)]  # more than fit into a launch
    given = [[rng.standard_normal(size) for size in sizes] for _ in range(3)]
    rates = [0.1, 0.2, 0.3, 0.4, 0.5]
    right = [[array.copy() for array in arrays] for arrays in given]
    get_backend("cpu").sgd_momentum_(*right, rates, 0.9)
    there = [[backend.to_device(array) for array in arrays] for arrays in given]
    backend.sgd_momentum_(*there, rates, 0.9)
    for arrays, expected in zip(there, right, strict=True):
        for array, value in zip(arrays, expected, strict=True):
            np.testing.assert_allclose(backend.to_host(array), value, rtol=1e-14, atol=1e-15)


def test_the_arithmetic_between_operations_is_numpys(device):
    backend, cpu = get_backend(device), get_backend("cpu")
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 6, 2, 3, 3))
    one, other = map(backend.to_device, (a, b))
    loss, error = backend.residual(one, other, 6)
    right_loss, right_error = cpu.residual(a, b, 6)
    total = backend.empty((1,), "float64")
    backend.add_up_(total, loss, 3)
    assert math.isclose(backend.to_host(total)[0], right_loss / 3, rel_tol=1e-13)
    np.testing.assert_array_equal(backend.to_host(error), right_error)
    np.testing.assert_array_equal(backend.to_host(backend.scaled(one, 0.3)), cpu.scaled(a, 0.3))
    rows = np.array([5, 0, 5])
    gathered = backend.gather(one, backend.to_device(rows))
    np.testing.assert_array_equal(backend.to_host(gathered), a[rows])
    copied = backend.copy(one)
    backend.add_(one, other)
    np.testing.assert_array_equal(backend.to_host(one), a + b)
    np.testing.assert_array_equal(backend.to_host(copied), a)
    of_host = a.copy()
    backend.add_(of_host, other)
    np.testing.assert_array_equal(of_host, a + b)
    backend.copy_into_(one, copied)
    np.testing.assert_array_equal(backend.to_host(one), a)
    assert backend.all_finite(one)
    for value in (np.nan, np.inf, -np.inf):
        a[3, 1, 2, 0] = value
        assert not backend.all_finite(backend.to_device(a))


def test_the_squared_norm_is_taken_in_float64_and_repeats_its_bits(device, dtype):
    backend = get_backend(device)
    array = np.random.default_rng(0).standard_normal((3, 7, 110)).astype(dtype)
    array[0, 0, 0] = 3e4  # in float32 the others would drown
    norm = backend.kernels.sums.squared_norm(array)
    assert isinstance(norm, float)
    right = np.sum(array.astype(np.float64) ** 2)
    assert abs(norm - right) <= rounding_bound(array.size, right, "float64")
    assert backend.kernels.sums.squared_norm(backend.to_device(array)) == norm


def test_the_supervised_baseline_learns_on_a_device_what_it_learns_on_the_cpu(device):
    options = {"n_maps": 2, "filter_width": 3, "pool_width": 2, "pool_stride": 2, "n_epochs": 1}
    options |= {"batch_size": 4, "random_state": 0, "dtype": "float64", "verbose": False}
    there, here = (
        SupervisedConvNet(**options, backend=name).fit(few(), [0, 1, 0, 1, 1, 0, 1])
        for name in (device, "cpu")
    )
    for name in ("filters_", "bias_", "coef_", "intercept_"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), atol=1e-12)
    np.testing.assert_allclose(there.transform(few()), here.transform(few()), atol=1e-12)


def test_the_progress_bar_and_an_attribute_say_which_backend_it_is(device, monkeypatch):
    made, screen = small(backend=device), io.StringIO()
    monkeypatch.setattr(fit, "progress", lambda _, **options: tqdm(file=screen, **options))
    made.fit(few())
    made.partial_fit(few())
    assert f"{device}, epoch 1/2" in screen.getvalue()
    assert made.backend_ == device
