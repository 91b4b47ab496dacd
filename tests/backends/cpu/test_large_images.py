"""Images too large for the working memory are taken some lines at a time, to the same end.

The limits are made small here, so that small images are large.
"""

import tracemalloc

import numpy as np
import pytest

from minisca import SparseConvAutoencoder, chunks, encoding
from minisca.backends import cpu
from minisca.backends.cpu.kernels import choice, dense, direct, slices, transform
from minisca.backends.cpu.runtime import recycler
from minisca.sparsity import make_sparsity
from minisca.training import images, objective
from minisca.validation import read_batch
from tests import test_against_reference
from tests.support.cases import Case, arguments, as_dtype, call
from tests.support.helpers import as_tuple, whole_numbers

CASES = [
    Case(3, 2, 17, 7, 9, 5),
    Case(2, 17, 9, 11, 35, 3),  # two slices of channels
    Case(2, 2, 16, 6, 5, 5, images="mostly zero"),
    Case(2, 1, 9, 4, 3, 1),
    Case(2, 2, 17, 7, 9, 5, 5, 3, origin="corner"),
]
over_cases = pytest.mark.parametrize("case", CASES, ids=str)
check_sums = test_against_reference.test_sums_of_products_are_the_references_up_to_rounding
MB = 1 << 20


# planning -------------------------------------------------------------------------------


def test_frequencies_are_counted_as_the_transform_lists_them():
    for height in range(1, 14):
        for width in range(1, 14):
            for k in (1, 3, 5):
                listed, _ = transform._frequencies(height + k // 2, width + k // 2)
                assert choice.count_frequencies((height, width), k) == len(listed)


@pytest.mark.parametrize(("channels", "k"), [(3, 7), (512, 5), (2048, 15)])
@pytest.mark.parametrize("side", [64, 1024, 1 << 14])
def test_choosing_a_convolution_takes_no_memory_and_no_large_image_is_transformed(
    side, channels, k, monkeypatch
):
    monkeypatch.delenv("MINISCA_CONVOLUTION", raising=False)
    x = np.broadcast_to(np.float32(0), (100, channels, side, side))
    filters = np.broadcast_to(np.float32(0), (4096, channels, k, k))
    choice.choose_convolution(x, filters)
    tracemalloc.start()
    try:
        assert choice.choose_convolution(x, filters) == "direct"
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_a_threads_memory_does_not_grow_with_the_height_of_an_image(channels):
    sizes = set()
    filters, bias = np.zeros((16, channels, 7, 7), np.float32), np.zeros(16, np.float32)
    for height in (4096, 1 << 16):
        x = np.broadcast_to(np.float32(0), (2, channels, height, 256))
        plan = direct.make_plan(x, filters, bias, least_rows=4)
        assert 4 <= plan.rows <= plan.lines < height
        memory = direct.make_memory(x, plan, plan.rows)
        sizes.add(sum(array.nbytes for array in memory))
    assert len(sizes) == 1
    assert sizes.pop() <= 1.1 * (direct.LINES_BYTES + direct.MAPS_BYTES)


# lines and chunks give what the whole gives ---------------------------------------------------


@over_cases
@pytest.mark.parametrize("lines_bytes", [1, 3000, 9000])
@pytest.mark.parametrize(
    "name",
    [
        *("conv2d", "encode_winners", "encode_top_n", "encode_k_largest"),
        *("encode_pooled", "encode_pooled, factors"),
    ],
)
def test_an_image_in_blocks_of_lines_gives_the_same_bits(
    monkeypatch, name, dtype, case, lines_bytes
):
    monkeypatch.setenv("MINISCA_CONVOLUTION", "direct")
    args = as_dtype(arguments(name, case), dtype)
    whole = as_tuple(call(cpu, name, args))
    monkeypatch.setattr(direct, "LINES_BYTES", lines_bytes)
    if lines_bytes == 1:
        assert direct.make_plan(*args[:3]).lines == 1 < case.h
    for result, expected in zip(as_tuple(call(cpu, name, args)), whole, strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["encode_winners", "encode_top_n", "encode_k_largest"])
@pytest.mark.parametrize("n_active", [1, 7, 300])
def test_equal_units_survive_in_the_same_order_whatever_the_lines(monkeypatch, name, n_active):
    random = np.random.default_rng(1)
    shapes = (2, 2, 13, 8), (40, 2, 3, 3), (40,)
    args = [whole_numbers(random, *shape, low=-1, high=1) for shape in shapes]
    args += [] if name == "encode_winners" else [n_active]
    whole = getattr(cpu, name)(*args)
    units = cpu.conv2d(*args[:3])
    assert len(np.unique(units)) < units.size / 50  # most have an equal
    monkeypatch.setattr(direct, "LINES_BYTES", 1)
    for result, expected in zip(getattr(cpu, name)(*args), whole, strict=True):
        np.testing.assert_array_equal(result, expected)


@over_cases
@pytest.mark.parametrize("sliced_bytes", [1, 3000])
@pytest.mark.parametrize("name", ["decode_winners", "decode_winners, maps"])
def test_a_reconstruction_in_strips_has_the_same_bits(monkeypatch, name, dtype, case, sliced_bytes):
    args = as_dtype(arguments(name, case), dtype)
    whole = call(cpu, name, args)
    monkeypatch.setattr(slices, "SLICED_BYTES", sliced_bytes)
    parts = slices.parts(whole.shape, case.k, dtype, margin=case.k // 2)
    assert sliced_bytes > 1 or len(parts) == case.n * case.h
    np.testing.assert_array_equal(call(cpu, name, args), whole)


@over_cases
@pytest.mark.parametrize("sliced_bytes", [1, 3000])
@pytest.mark.parametrize("name", ["winners_backward", "winners_backward, maps"])
def test_gradients_in_strips_are_the_references(monkeypatch, name, dtype, case, sliced_bytes):
    monkeypatch.setattr(slices, "SLICED_BYTES", sliced_bytes)
    check_sums(cpu, name, case, dtype)


@over_cases
@pytest.mark.parametrize("most_bytes", [1, 3000])
@pytest.mark.parametrize("name", ["conv2d_backward", "deconv2d", "deconv2d_backward"])
def test_dense_passes_over_some_lines_at_a_time(monkeypatch, name, dtype, case, most_bytes):
    monkeypatch.setattr(dense, "MOST_BYTES", most_bytes)
    check_sums(cpu, name, case, dtype)


@pytest.mark.parametrize("limit", ["SPECTRA_BYTES", "MAPS_BYTES"])
def test_images_transformed_some_at_a_time_give_the_same_bits(monkeypatch, limit, dtype):
    monkeypatch.setenv("MINISCA_CONVOLUTION", "transform")
    case = Case(13, 3, 6, 7, 9, 5)
    for name in ("encode_winners", "encode_pooled, factors"):
        args = as_dtype(arguments(name, case), dtype)
        whole = as_tuple(call(cpu, name, args))
        with monkeypatch.context() as patch:
            patch.setattr(choice, limit, 5_000)
            assert 1 < len(choice.transformed_at_a_time(args[0], case.k)) <= case.n
            for result, expected in zip(as_tuple(call(cpu, name, args)), whole, strict=True):
                np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("images_at_a_time", [0.3, 1, 3])
@pytest.mark.parametrize("rule", [("winner-take-all", None, 0.4), ("k-largest", 5), ("top-n", 2)])
@pytest.mark.parametrize("tied", [False, True])
def test_a_step_over_some_images_at_a_time_is_the_whole_batchs(
    monkeypatch, images_at_a_time, rule, tied
):
    """Whole numbers: every sum is exact, in whatever order. And so is an eighth of them."""
    random = np.random.default_rng(2)
    x = whole_numbers(random, 8, 2, 9, 7)
    parameters = {"encoder_filters": whole_numbers(random, 4, 2, 3, 3)}
    parameters |= {"encoder_bias": whole_numbers(random, 4)}
    if not tied:
        parameters |= {"decoder_filters": whole_numbers(random, 4, 2, 3, 3)}
    parameters |= {"decoder_bias": whole_numbers(random, 2)}
    what = cpu, make_sparsity(*rule), parameters, x
    loss, gradients = objective.loss_and_gradients(*what)
    limit = max(int(images_at_a_time * x[0].nbytes), 1)
    monkeypatch.setattr(objective, "ERROR_BYTES", limit)
    monkeypatch.setattr(objective, "_size", lambda parameters: 0)
    in_parts = objective.loss_and_gradients(*what)
    assert in_parts[0] == loss
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(in_parts[1][name], gradient)


# what a layer does with them ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("rows", [slice(2, 9), slice(None), np.array([0, 3, 4, 8, 10])])
def test_images_of_another_dtype_are_read_a_part_at_a_time(monkeypatch, dtype, rows):
    x = np.random.default_rng(0).integers(0, 200, (11, 2, 4, 3)).astype(dtype)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2 * x[0].size * 8)
    read = read_batch(x, rows, np.float32)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, x[rows])
    if dtype != np.uint8:
        x[8, 1, 2, 2] = np.inf
        with pytest.raises(ValueError, match="X has the value inf in image 8;"):
            read_batch(x, rows, np.float32)


@pytest.mark.parametrize("shape", [(3, 1000), (100_003,), (70, 7, 31, 5), (65_536,)])
def test_a_squared_norm_has_the_bits_of_the_sum_over_all(monkeypatch, shape):
    error = np.random.default_rng(3).standard_normal(shape, np.float32)
    monkeypatch.setattr(images, "SQUARES", 1000)
    assert images.squared_norm(error) == float(np.square(error, dtype=np.float64).sum())


@pytest.mark.parametrize(
    ("rule", "contrast"),
    [(("winner-take-all",), None), (("k-largest", 5), 0.3), (("none",), None)],
)
def test_large_images_are_encoded_some_maps_and_images_at_a_time(monkeypatch, rule, contrast):
    x = np.random.default_rng(4).random((5, 2, 12, 10), np.float32)
    names = dict(zip(("sparsity", "n_active"), rule, strict=False))
    made = SparseConvAutoencoder(6, 3, n_epochs=0, random_state=0, verbose=False, **names).fit(x)
    made.set_params(encoding_contrast=contrast)
    methods = "transform", "feature_maps", "winners", "reconstruct", "usage", "score"
    whole = [as_tuple(getattr(made, method)(x)) for method in methods]
    monkeypatch.setattr(encoding, "IMAGES_BYTES", 1)
    monkeypatch.setattr(encoding, "RESULTS_BYTES", 4 * 2 * 12 * 10 * 4)  # four maps' sums and units
    for method, expected in zip(methods, whole, strict=True):
        for one, other in zip(as_tuple(getattr(made, method)(x)), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12 if method == "score" else 0)


def test_a_step_takes_no_more_memory_however_many_and_large_its_images(monkeypatch):
    """Python's and NumPy's memory, the images' slices among it; a thread's own is tested above."""
    monkeypatch.setattr(objective, "ERROR_BYTES", 2 * MB)
    monkeypatch.setattr(slices, "SLICED_BYTES", MB)
    random = np.random.default_rng(5)
    filters = random.standard_normal((8, 3, 7, 7), np.float32)
    parameters = {"encoder_filters": filters, "encoder_bias": np.zeros(8, np.float32)}
    parameters |= {"decoder_filters": filters, "decoder_bias": np.zeros(3, np.float32)}
    for n, side in ((24, 128), (1, 512), (1, 1024)):
        x = random.standard_normal((n, 3, side, side), np.float32)
        what = cpu, make_sparsity("winner-take-all"), parameters, x
        objective.loss_and_gradients(*what)  # compiles
        recycler._entries.clear()
        tracemalloc.start()
        try:
            objective.loss_and_gradients(*what)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        largest = x[0].nbytes  # a reconstruction; chunk of images, its error, slices of both
        assert peak < largest + 2 * 2 * MB + 4 * MB, (n, side, peak)


def test_a_layer_learns_from_images_of_512_pixels_and_encodes_them():
    x = np.random.default_rng(6).random((2, 3, 512, 512), np.float32)
    made = SparseConvAutoencoder(4, 5, n_epochs=2, batch_size=1, random_state=0, verbose=False)
    made.fit(x)
    assert made.loss_history_[1] < made.loss_history_[0]
    assert made.transform(x).shape == (2, 4, 171, 171)
