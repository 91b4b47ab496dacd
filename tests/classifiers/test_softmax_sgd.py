"""Softmax regression by SGD: its gradient, its epochs, when it stops, and what it refuses."""

import numba
import numpy as np
import pytest

from minisca import CheckpointError, DivergenceError, SoftmaxSGD
from minisca.classifiers.kernels.products import make_strips
from minisca.classifiers.softmax_sgd import loss_and_gradients
from tests.support.classifier_problems import problem
from tests.support.layers import Slices, refusal, rewrite

pytestmark = pytest.mark.usefixtures("small_blocks_in_one_thread")


def data(n=120, dtype=np.float32, seed=0):
    features, labels = problem(n, 20, 3, seed)
    return (features / 7).astype(dtype), labels


def held_out(dtype=np.float32):
    x, y = data(210, dtype)
    return x[120:], y[120:]


def made(**options):
    small = {"n_epochs": 6, "learning_rate": 0.1, "drop_after": (3, 5), "batch_size": 25}
    return SoftmaxSGD(**small | {"random_state": 0, "verbose": False} | options)


def learned(classifier):
    """Everything that was learned, as something that compares."""
    arrays, _ = classifier.to_file()
    return {name: (array.dtype, array.tobytes()) for name, array in arrays.items()}


def test_gradient_is_the_derivative_of_the_loss():
    # The loss is smooth: a five-point stencil errs by h^4, rounding by 1e-16 / h.
    (x, codes), rng = data(dtype=np.float64), np.random.default_rng(1)
    strips = make_strips(len(x), x.shape[1], x.dtype)
    shapes = {"coef": (3, 20), "intercept": (3,)}

    def draw():
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    for _ in range(5):
        at, by = draw(), draw()
        slope = 0.0
        for steps, weight in {-2: 1 / 12, -1: -8 / 12, 1: 8 / 12, 2: -1 / 12}.items():
            moved = {name: at[name] + steps * 1e-3 * by[name] for name in shapes}
            slope += weight * loss_and_gradients(moved, x, codes, strips)[0] / 1e-3
        _, gradients = loss_and_gradients(at, x, codes, strips)
        expected = sum(np.vdot(gradients[name], by[name]) for name in shapes)
        assert slope == pytest.approx(expected, rel=1e-9, abs=1e-10)


def in_loops(x, y, settings):
    """Every epoch's mean loss, weights and intercepts: the recipe row by row, in float64."""
    random = np.random.default_rng(settings.random_state)
    W = settings.init_scale * random.standard_normal((3, x.shape[1]))
    b, W_velocity, b_velocity = np.zeros(3), np.zeros_like(W), np.zeros(3)
    for epoch in range(settings.n_epochs):
        rate = {0: 0.1, 1: 0.1, 2: 0.1, 3: 0.01, 4: 0.01, 5: 0.001}[epoch]
        order, total = random.permutation(len(x)), 0.0
        for start in range(0, len(x), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            W_step, b_step = np.zeros_like(W), np.zeros(3)
            for row in rows:
                exponentials = np.exp(W @ x[row] + b)
                p = exponentials / exponentials.sum()
                total -= np.log(p[y[row]])
                W_step += np.outer(p - np.eye(3)[y[row]], x[row]) / len(rows)
                b_step += (p - np.eye(3)[y[row]]) / len(rows)
            W_velocity = settings.momentum * W_velocity - rate * W_step
            b_velocity = settings.momentum * b_velocity - rate * b_step
            W, b = W + W_velocity, b + b_velocity
        yield total / len(x), W, b


def test_epochs_are_the_recipe_row_by_row_at_rates_that_drop():
    x, y = data(n=60, dtype=np.float64)
    fitted = made(batch_size=25).fit(x, y)  # batches of 25, 25 and 10
    *_, (_, weights, intercepts) = steps = [*in_loops(x, y, fitted)]
    np.testing.assert_allclose(fitted.loss_history_, [loss for loss, *_ in steps], rtol=1e-10)
    np.testing.assert_allclose(fitted.coef_, weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fitted.intercept_, intercepts, rtol=1e-9, atol=1e-12)
    assert (fitted.best_epoch_, fitted.validation_error_history_.shape) == (6, (0,))
    assert fitted.score(x, y) > 0.7


def test_the_first_epoch_with_the_fewest_validation_errors_is_kept():
    x, y = data()
    validation = held_out()
    kept = made(n_epochs=8, learning_rate=1, drop_after=()).fit(x, y, validation=validation)
    plain = [made(n_epochs=n, learning_rate=1, drop_after=()).fit(x, y) for n in range(1, 9)]
    errors = [1 - classifier.score(*validation) for classifier in plain]
    np.testing.assert_allclose(kept.validation_error_history_, errors, atol=1e-12)
    best = int(np.argmin(errors))
    assert 0 < best < 7, "no epoch between the first and the last is best: draw other features"
    assert kept.best_epoch_ == best + 1
    assert kept.coef_.tobytes() == plain[best].coef_.tobytes()
    assert kept.intercept_.tobytes() == plain[best].intercept_.tobytes()
    assert kept.loss_history_.tobytes() == plain[-1].loss_history_.tobytes()


def test_of_epochs_with_as_many_errors_the_first_is_kept():
    x = np.repeat([[0.0, 1], [1, 0]], 10, axis=0).astype(np.float32)
    y = np.repeat([0, 1], 10)
    fitted = made().fit(x, y, validation=(x, y))
    errors = fitted.validation_error_history_
    assert (errors == 0).sum() > 1
    assert fitted.best_epoch_ == 1 + errors.tolist().index(0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_fit_interrupted_again_and_again_reaches_the_same_bits(path, dtype):
    (x, y), validation = data(dtype=dtype), held_out(dtype)
    reads = Slices(x)
    whole = made().fit(reads, y, validation=validation)
    epoch = knowing = 120  # reads of a row each: of an epoch, and to know which features they are
    checking = len(reads.reads) - 6 * epoch
    left = made().fit(*data(seed=1))
    before = learned(left)
    for after in (0, 1, 2):  # epochs, of those that are left each time
        reads = Slices(x, fail_at=knowing + checking + after * epoch + 30)
        with pytest.raises(KeyboardInterrupt):
            left.fit(reads, y, checkpoint=path, resume=True, validation=validation)
        assert learned(left) == before
    rest = Slices(x)
    fitted = made(drop_after=[3, 5]).fit(rest, y, path, resume=True, validation=validation)
    assert len(rest.reads) == knowing + checking + 3 * epoch
    assert learned(fitted) == learned(whole)
    assert learned(SoftmaxSGD.load(path)) == learned(whole)
    taken = made().fit(x, y, checkpoint=path, resume=True, validation=validation)
    assert learned(taken) == learned(whole)


def test_other_validation_data_and_other_settings_are_not_gone_on_with(path):
    (x, y), validation = data(), held_out()
    made().fit(x, y, checkpoint=path, validation=validation)

    def said(classifier, validation):
        fit = {"checkpoint": path, "resume": True, "validation": validation}
        return refusal(CheckpointError, classifier.fit, x, y, **fit)

    assert said(made(), None) == (
        f"{path} was fitted with validation, which must be given to resume from it"
    )
    other = 2 * validation[0], validation[1]
    assert "other validation features: some of 90 rows" in said(made(), other)
    assert "other validation labels: some" in said(made(), (validation[0], validation[1][::-1]))
    assert f"{path} was trained with drop_after=(3, 5); to" in said(
        made(drop_after=(3,)), validation
    )
    made().fit(x, y, checkpoint=path)
    assert said(made(), validation) == (
        f"{path} was fitted without validation, which must be None to resume from it"
    )


def put(name, value):
    return lambda arrays, settings: arrays.update({f"training/{name}": value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, s: s.update(training=None), "training is None; it must be by name"),
        (lambda a, s: s["training"].clear(), "lacks the setting 'random_state'"),
        (lambda a, s: s["training"].update(random_state={}), "random state has the generator"),
        (lambda a, s: a.pop("training/kept/coef"), "lacks the array 'training/kept/coef'"),
        (put("velocities/coef", np.ones((3, 9), "f4")), r"must be \(3, 20\)"),
        (put("parameters/intercept", np.ones(3)), "dtype float64; it must be float32"),
        (put("errors", np.ones(1)), "losses of 2 epochs and errors of 1; there must be as many"),
        (put("losses", np.ones(9)), "losses of 9 epochs and errors of 2; there must be as many"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(path, change, message):
    (x, y), validation = data(), held_out()
    with pytest.raises(KeyboardInterrupt):
        made().fit(Slices(x, fail_at=400), y, checkpoint=path, validation=validation)
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        made().fit(x, y, checkpoint=path, resume=True, validation=validation)
    assert str(caught.value).startswith(str(path))


def test_a_loss_that_is_not_finite_is_named_and_leaves_the_classifier_as_it_was():
    x, y = data()
    classifier = made().fit(x, y)
    before = learned(classifier)
    classifier.set_params(learning_rate=1e38)
    message = refusal(DivergenceError, classifier.fit, x, y)
    assert "lower learning_rate, which is 1e+38. The classifier is as it was" in message
    assert learned(classifier) == before


X, Y = data()
HOLED = np.where(np.arange(20) == 3, np.nan, X)


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        (X, TypeError, r"validation is a ndarray; it must be None or \(X, y\)"),
        ((X[:0], Y[:0]), ValueError, r"X of validation has 0 sample\(s\) \(shape=\(0, 20"),
        ((X[Y == 1], Y[Y == 1]), ValueError, r"y of validation has one class, 1; it must have two"),
        ((X[:, :5], Y), ValueError, r"X of validation has 5 features, but Sof.* is expecting 20"),
        ((X, Y[:9]), ValueError, r"y of validation has 9 labels; it must have 120"),
        ((X, Y + 1), ValueError, r"y of validation has the label 3 in row 2; .* labels of y only"),
        ((X, Y.astype(str)), TypeError, r"y of validation has dtype <U21; it must be like y, int"),
        ((HOLED, Y), ValueError, r"X of validation has the value nan in row 0; every"),
    ],
)
def test_bad_validation_data_are_refused_by_name(validation, error, message):
    classifier = made()
    with pytest.raises(error, match=message):
        classifier.fit(X, Y, validation=validation)
    assert not hasattr(classifier, "coef_")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_epochs": 0}, ValueError, "n_epochs is 0; it must be an integer of at least 1"),
        ({"learning_rate": 0}, ValueError, r"learning_rate is 0; it must be a number in \(0"),
        ({"drop_after": 5}, TypeError, "drop_after is 5; it must be a tuple of epochs"),
        ({"drop_after": (3, 1.5)}, TypeError, r"drop_after\[1\] is 1.5; it must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size is 0; it must be"),
        ({"momentum": 1}, ValueError, r"momentum is 1; it must be a number in \[0, 1\)"),
        ({"init_scale": -1}, ValueError, "init_scale is -1; it must be a number"),
        ({"random_state": -1}, ValueError, "random_state is -1"),
    ],
)
def test_bad_parameters_are_refused_by_fit(parameters, error, message):
    with pytest.raises(error, match=message):
        made(**parameters).fit(X, Y)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="X has the value nan in row 0; every feature must be"):
        made().fit(HOLED, Y)


def test_any_number_of_threads_gives_the_same():
    x, y = problem(200, 700, 3, dtype=np.float32)
    found = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        found.append(learned(made(batch_size=100, learning_rate=1e-4).fit(x, y)))
    assert found[0] == found[1]
