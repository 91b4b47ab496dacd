"""Parameters are the constructor's arguments: got, set and shown by name, nested ones too."""

import numpy as np
import pytest
from sklearn.base import clone

from minisca.estimator import Estimator


class Scaler(Estimator):
    def __init__(self, factor=1.0, weights=None):
        self.factor = factor
        self.weights = weights


class Chain(Estimator):
    def __init__(self, layers, n_epochs=1):
        self.layers = layers
        self.n_epochs = n_epochs


def test_parameters_are_the_constructor_arguments_unchanged_and_set_params_sets_them():
    weights = [1, 2]
    scaler = Scaler(weights=weights)
    assert scaler.get_params() == {"factor": 1.0, "weights": weights}
    assert scaler.get_params()["weights"] is weights
    assert scaler.set_params(factor=3) is scaler.set_params() is scaler
    assert scaler.factor == 3


@pytest.mark.parametrize("name", ["facto", "mean_", "facto__x"])
def test_an_unknown_parameter_is_refused_with_the_valid_names_and_sets_nothing(name):
    scaler = Scaler()
    message = f"'{name}' is not a parameter of Scaler; it must be one of 'factor', 'weights'"
    with pytest.raises(ValueError, match=message):
        scaler.set_params(**{"factor": 5, name: 1})
    assert scaler.factor == 1.0


def test_parameters_of_listed_estimators_are_reached_by_index():
    layers = [Scaler(factor=1), Chain([])]
    chain = Chain(layers)
    deep = chain.get_params()
    assert list(chain.get_params(deep=False)) == ["layers", "n_epochs"]
    assert deep["layers__0"] is layers[0]
    assert deep["layers__0__factor"] == 1
    assert deep["layers__1__n_epochs"] == 1
    chain.set_params(layers__0__factor=4, layers__1=Scaler(), layers__1__factor=6)
    assert [layer.factor for layer in chain.layers] == [4, 6]
    assert isinstance(layers[1], Chain)  # the list that was passed in is not written to
    chain.set_params(layers__0__factor=8, layers=[Scaler()])  # the list first, then its elements
    assert chain.layers[0].factor == 8
    both = Scaler(factor=1), Scaler(factor=2)
    chain.set_params(layers=both, layers__1=Scaler(), layers__1__factor=3)
    assert type(chain.layers) is tuple  # what was a tuple stays one
    assert [layer.factor for layer in (*chain.layers, *both)] == [1, 3, 1, 2]


def test_parameters_of_an_estimator_argument_are_reached_by_name():
    outer = Scaler(weights=Scaler())
    assert outer.get_params()["weights__factor"] == 1.0
    assert outer.set_params(weights__factor=2).weights.factor == 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layers__2__factor": 1}, "layers has no element '2'; it has 1, from 0"),
        ({"layers__x": 1}, "layers has no element 'x'"),
        ({"layers__0__l2": 1}, "'l2' is not a parameter of Scaler"),
        ({"n_epochs__l2": 1}, "n_epochs is 1, which has no parameter 'l2'"),
    ],
)
def test_an_unknown_nested_parameter_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Chain([Scaler()]).set_params(**parameters)


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(Scaler()) == "Scaler()"
    assert repr(Scaler(factor=2)) == "Scaler(factor=2)"
    assert repr(Scaler(weights=np.arange(2))) == "Scaler(weights=array([0, 1]))"
    assert repr(Chain([Scaler(factor=2)])) == "Chain(layers=[Scaler(factor=2)])"


def test_a_constructor_that_does_not_name_its_arguments_is_told_so():
    class Open(Scaler):
        def __init__(self, note="", **options):
            super().__init__(**options)
            self.note = note

    for use in (Open.get_params, repr, lambda made: made.set_params(note="b"), clone):
        with pytest.raises(TypeError, match=r"constructor of Open takes \*\*options; it must name"):
            use(Open(note="a"))
