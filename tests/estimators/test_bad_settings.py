"""Whatever is wrong with a layer's settings, an exception at the boundary says what."""

import itertools

import numpy as np
import pytest

from tests.support.layers import RULES, images, layer, refusal

COUNTS_FROM_0 = ("n_epochs", "warmup_steps")
COUNTS = ("n_maps", "pool_width", "pool_stride", "batch_size", "filter_width", *COUNTS_FROM_0)
NUMBERS = ("learning_rate", "momentum", "init_scale", "lifetime", "encoding_bias")
INTERVALS = {
    "(0, inf)": {"learning_rate": (0, -0.1, np.nan, np.inf), "init_scale": (0, -1)},
    "[0, 1)": {"momentum": (1, 1.5, -0.1)},
    "[0, inf)": {"encoding_bias": (-0.5, np.inf)},
    "(0, 1]": {"lifetime": (0, 1.01, np.nan)},
}
NO_INTEGERS = (True, 3.0, "3", None, np.array([3]))
SEEDS = ("0", 1.5, True, np.random.default_rng(0))
RULE_NAMES = "'winner-take-all', 'top-n', 'k-largest', 'none'"
CHOICES = {
    ("sparsity", RULE_NAMES): ("winner_take_all", None, ["none"], np.array(["none", "top-n"])),
    ("schedule", "'linear', 'constant'"): ("step", "cosine", None),
    ("dtype", "'float32', 'float64'"): ("float16", np.float32, np.dtype("float32")),
    ("backend", "'auto', 'cpu'"): ("tpu", None),
}

#: (settings, error, what its message says)
BAD = [
    *(
        ({name: value}, TypeError, f"{name} is {value!r}; it must be an ")
        for name, value in itertools.product(COUNTS, NO_INTEGERS)
    ),
    *(
        ({name: value}, ValueError, f"{name} is {value}; it must be an ")
        for name, value in itertools.product(COUNTS, (0, -1))
        if value < 0 or name not in COUNTS_FROM_0
    ),
    ({"filter_width": 4}, ValueError, "filter_width is 4; it must be an odd integer of at least 1"),
    *(
        ({name: value}, ValueError, f"{name} is {value}; it must be a number in {interval}")
        for interval, table in INTERVALS.items()
        for name, values in table.items()
        for value in values
    ),
    *(
        ({name: value}, TypeError, f"{name} is {value!r}; it must be a number in ")
        for name, value in itertools.product(NUMBERS, (True, "0.1", [0.1], 0.1j))
    ),
    *(
        ({name: value}, ValueError, f"{name} is {value!r}; it must be one of {choices}")
        for (name, choices), values in CHOICES.items()
        for value in values
    ),
    *(
        ({name: value}, TypeError, f"{name} is {value!r}; it must be True or False")
        for name, value in itertools.product(("tied", "normalise_filters"), ("yes", 1, None))
    ),
    *(
        ({"random_state": value}, TypeError, f"random_state is {value!r}; it must be an integer")
        for value in SEEDS
    ),
    ({"random_state": -1}, ValueError, "random_state is -1; it must be an integer of at least 0"),
    *(
        (
            {"sparsity": rule},
            ValueError,
            f"n_active is None; sparsity='{rule}' needs the number of units that survive in "
            f"every {per}",
        )
        for rule, per in (("top-n", "map"), ("k-largest", "image"))
    ),
    *(
        (
            {"sparsity": rule, "n_active": value},
            error,
            f"n_active is {value}; it must be an integer of at least 1",
        )
        for rule in ("top-n", "k-largest")
        for value, error in ((0, ValueError), (0.5, TypeError))
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
