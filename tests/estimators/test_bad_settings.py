"""Whatever is wrong with a layer's settings, an exception at the boundary says what."""

import itertools

import numpy as np
import pytest

from tests.support.layers import RULES, images, layer, refusal

COUNTS_FROM_0 = ("n_epochs", "warmup_steps")
COUNTS_FROM_1 = ("n_maps", "pool_width", "pool_stride", "batch_size", "filter_width")
COUNTS = (*COUNTS_FROM_0, *COUNTS_FROM_1)
NUMBERS = ("learning_rate", "momentum", "init_scale", "lifetime", "encoding_bias")
NUMBERS += ("encoding_contrast",)
RULE_NAMES = "'winner-take-all', 'top-n', 'k-largest', 'none'"
#: (settings that get each of some values, these values, error, what they must be)
EACH = [
    (COUNTS, (True, 3.0, "3", None, np.array([3])), TypeError, "an "),
    (COUNTS, (-1,), ValueError, "an "),
    (COUNTS_FROM_1, (0,), ValueError, "an "),
    (("filter_width",), (4,), ValueError, "an odd integer of at least 1"),
    (("learning_rate",), (0, -0.1, np.nan, np.inf), ValueError, "a number in (0, inf)"),
    (("init_scale",), (0, -1), ValueError, "a number in (0, inf)"),
    (("encoding_contrast",), (0, -1, np.nan, np.inf), ValueError, "a number in (0, inf)"),
    (("momentum",), (1, 1.5, -0.1), ValueError, "a number in [0, 1)"),
    (("encoding_bias",), (-0.5, np.inf), ValueError, "a number in [0, inf)"),
    (("lifetime",), (0, 1.01, np.nan), ValueError, "a number in (0, 1]"),
    (NUMBERS, (True, "0.1", [0.1], 0.1j), TypeError, "a number in "),
    (
        ("sparsity",),
        ("winner_take_all", None, ["none"], np.array(["none", "top-n"])),
        *(ValueError, f"one of {RULE_NAMES}"),
    ),
    (("pool_origin",), ("center", "", 0, None), ValueError, "one of 'centred', 'corner'"),
    (("schedule",), ("step", "cosine", None), ValueError, "one of 'linear', 'constant'"),
    (("init_filters",), ("zeros", True, None), ValueError, "one of 'random', 'patches'"),
    (
        ("dtype",),
        ("float16", np.float32, np.dtype("float32")),
        *(ValueError, "one of 'float32', 'float64'"),
    ),
    (("backend",), ("tpu", None), ValueError, "one of 'auto', 'cpu'"),
    (("flat", "tied", "centre"), ("yes", 1, None), TypeError, "True or False"),
    (("random_state",), ("0", 1.5, True, np.arange(2)), TypeError, "an integer"),
    (("random_state",), (-1,), ValueError, "an integer of at least 0"),
]
NEEDED = "n_active is None; sparsity='{}' needs the number of units that survive in every {}"
NOT_0 = "n_active is {}; it must be an integer of at least 1"
#: (settings, error, what its message says)
BAD = [
    *(
        ({name: value}, error, f"{name} is {value!r}; it must be {must}")
        for names, values, error, must in EACH
        for name, value in itertools.product(names, values)
    ),
    *(
        ({"sparsity": rule, "n_active": value}, error, message.format(value))
        for rule, per in (("top-n", "map"), ("k-largest", "image"))
        for value, error, message in (
            (None, ValueError, NEEDED.format(rule, per)),
            (0, ValueError, NOT_0),
            (0.5, TypeError, NOT_0),
        )
    ),
    *(
        (
            {"sparsity": rule, "n_active": 1},
            ValueError,
            "n_active is 1; it must be None unless sparsity is 'top-n' or 'k-largest'",
        )
        for rule in ("winner-take-all", "none")
    ),
    *(
        (
            RULES[rule] | {"lifetime": 0.5},
            ValueError,
            "lifetime is 0.5; it must be None unless sparsity is 'winner-take-all'",
        )
        for rule in ("top-n", "k-largest", "none")
    ),
]


@pytest.mark.parametrize(("settings", "error", "message"), BAD, ids=lambda value: str(value)[:60])
def test_a_bad_parameter_is_named_with_what_it_must_be(settings, error, message):
    assert message in refusal(error, layer(**settings).fit, images(n=6))


@pytest.mark.parametrize(
    "settings",
    [
        *({"momentum": value} for value in (0, 0.0, np.float32(0.5), 0.999)),
        *({name: 0} for name in COUNTS_FROM_0),
    ],
    ids=str,
)
def test_values_at_the_ends_of_what_is_allowed_are_fine(settings):
    made = layer(**{"n_epochs": 1, **settings}).fit(images(n=6))
    assert made.n_epochs_done_ == made.n_epochs
    for name, value in settings.items():
        assert getattr(made, name) is value


@pytest.mark.parametrize("rule", ["top-n", "k-largest"])
def test_more_survivors_than_units_leave_the_rest_of_their_slots_silent(rule):
    x = images(n=6)
    made = layer(sparsity=rule, n_active=4 * 8 * 7 + 10).fit(x)
    np.testing.assert_array_equal(made.usage(x), made.feature_maps(x).any(axis=(2, 3)).mean(axis=0))


@pytest.mark.parametrize("name", COUNTS)
def test_a_bad_count_is_told_the_least_that_it_may_be(name):
    least = 0 if name in COUNTS_FROM_0 else 1
    for value, error in ((least - 1, ValueError), (3.0, TypeError)):
        message = refusal(error, layer(**{name: value}).fit, images(n=6))
        assert message.endswith(f"integer of at least {least}")


def test_a_generator_is_no_random_state():
    message = refusal(TypeError, layer(random_state=np.random.default_rng(0)).fit, images(n=6))
    assert message.endswith("it must be an integer of at least 0")
