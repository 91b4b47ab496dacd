"""What a study searches: the settings that its file declares, and the runs that they make.

A file is TOML: `design`, and two tables, [training] (what decides a trained layer) and [encoding]
(what is done with it afterwards), of settings and lists of values, the first of which is the base:

    design = "star"     the base, and every other value by itself, everything else at its base
    design = "grid"     every combination

`score` is what is to be small: "validation_error_percent", the default; "validation_loss", the mean
of the classifier's own loss on the validation images, which tells smaller differences apart; or
"reconstruction_error" of the validation images, for which no classifier is fitted. A table [below]
fixes a first layer, on whose pooled maps the study's own layer is trained. `data` is "mnist", the
default, or "cifar10", whose images are whitened.

`labels` in [encoding] is how many training images' labels the classifier has. The others are then
judged with the validation images: of 40,000 more errors come to light than of 10,000, and layers
that differ by a tenth of them can be told apart.
"""

import hashlib
import itertools
import json
import math
from pathlib import Path
from typing import NamedTuple

from common.data_files import FileError, read_toml
from features.scaling import SCALINGS

import minisca
from minisca.validation import check_integer

#: What data a study may be of, and the name of the original.
DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10"}
DESIGNS = ("star", "grid")
SCORES = ("validation_error_percent", "validation_loss", "reconstruction_error")
CLASSIFIERS = {"logistic": minisca.LogisticRegression, "svm": minisca.LinearSVM}
#: More values than make so many runs of a seed are a mistake in a file.
MOST_POINTS = 100_000
#: What a file writes where Python has None: TOML has no such value.
OFF = "off"

_LAYER = minisca.SparseConvAutoencoder().get_params(deep=False)
del _LAYER["flat"]  # the form of the features, which is the scripts' own
#: A layer's settings that decide its features, and not what it learns.
OF_FEATURES = ("encoding_bias", "encoding_contrast", "pool_width", "pool_stride", "pool_origin")
_NOT_TRAINED = (*OF_FEATURES, "random_state", "backend", "verbose")

#: Settings that came after the first records: in a run's name and settings only where declared.
LATER = ("centre", "init_filters")
#: Defaults of everything that may be declared. input_scaling: "none", "contrast" (each image
#: contrast-normalised), a way to scale the maps below, or a factor.
TRAINING = {n: value for n, value in _LAYER.items() if n not in (*_NOT_TRAINED, *LATER)}
TRAINING |= {"input_scaling": "none"}
ENCODING = {name: _LAYER[name] for name in ("encoding_bias", "pool_width", "pool_stride")}
ENCODING |= {"feature_scaling": "none", "classifier": "logistic", "l2": 1e-3}
ENCODING |= {"max_iter": 200, "tol": 1e-5}  # nearer the minimum than a classifier's default
#: Settings that layers had once, at the value of all today's: part of a run's name and settings, so
#: that what was measured then is found.
GONE = {"init_bias": 0.0, "normalise_filters": False}
#: What may be declared beside, in [encoding], and is not in a run's settings where it is not.
OPTIONAL = {"labels": None, "pool_origin": _LAYER["pool_origin"], "encoding_contrast": None}


class Run(NamedTuple):
    """One configuration: all settings by name, those declared and those at their defaults."""

    training: dict
    encoding: dict
    seed: int

    def settings(self):
        return {**GONE, **self.training, **self.encoding}


class Space(NamedTuple):
    """A study file, checked: values by setting, the base first; the fixed layer below, or None."""

    name: str
    design: str
    training: dict
    encoding: dict
    below: dict | None
    score: str
    data: str

    def base(self):
        return {name: values[0] for name, values in {**self.training, **self.encoding}.items()}

    def runs(self, seeds):
        """Every run of the study, those of one trained layer one after the other."""
        declared = {**self.training, **self.encoding}
        choices = list(declared.values())
        points = itertools.product(*choices) if self.design == "grid" else _star(choices)
        groups = {}  # the first place of a layer decides when it is trained
        for point, seed in itertools.product(points, seeds):
            values = (None if value == OFF else value for value in point)
            settings = dict(zip(declared, values, strict=True))
            training = TRAINING | {name: settings[name] for name in self.training}
            encoding = ENCODING | {name: settings[name] for name in self.encoding}
            run = Run(training, encoding, seed)
            groups.setdefault(digest(training, seed), []).append(run)
        return [run for group in groups.values() for run in group]

    def own(self, records):
        """Those of the records whose settings are those of one of the study's runs.

        Records of a value that layers no longer take, the schedule "cosine" or one of a setting
        that is `GONE`, count where the study had them with all else the same.
        """
        declared = [run.settings() for run in self.runs([0])]

        def of_today(settings):
            linear = {"schedule": "linear"} if settings["schedule"] == "cosine" else {}
            return settings | linear | GONE

        return [record for record in records if of_today(record["settings"]) in declared]


def _star(values):
    base = tuple(choices[0] for choices in values)
    yield base
    for place, choices in enumerate(values):
        for other in choices[1:]:
            yield (*base[:place], other, *base[place + 1 :])


def digest(*parts):
    """A short name for settings: the same in every process and on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_space(path):
    """The Space that the TOML file `path` declares; FileError says what is wrong with it."""
    path = Path(path)
    declared = read_toml(path)
    known = {"design", "training", "encoding", "below", "score", "data"}
    for name in declared.keys() - known:
        raise FileError(f"{path} has {name!r}; it may have {', '.join(sorted(known))}")
    design = declared.get("design")
    if design not in DESIGNS:
        raise FileError(f"design is {design!r} in {path}; it must be one of {', '.join(DESIGNS)}")
    training = _checked(path, "training", declared, TRAINING | dict.fromkeys(LATER))
    encoding = _checked(path, "encoding", declared, ENCODING | OPTIONAL)
    _checked(path, "below", declared, _LAYER)
    score = declared.get("score", SCORES[0])
    if score not in SCORES:
        raise FileError(f"score is {score!r} in {path}; it must be one of {', '.join(SCORES)}")
    data = declared.get("data", "mnist")
    if not isinstance(data, str) or data not in DATA:
        raise FileError(f"data is {data!r} in {path}; it must be one of {', '.join(DATA)}")
    space = Space(path.stem, design, training, encoding, declared.get("below"), score, data)
    choices = [len(values) for values in (*training.values(), *encoding.values())]
    if (math.prod(choices) if design == "grid" else sum(choices)) > MOST_POINTS:
        raise FileError(f"{path} declares more than {MOST_POINTS:,} runs: too many values")
    for run in space.runs([0]):  # settings that depend on each other
        try:
            options = {n: value for n, value in run.training.items() if n != "input_scaling"}
            minisca.SparseConvAutoencoder(**options).check_parameters()
            options = {name: run.encoding[name] for name in ("l2", "max_iter", "tol")}
            CLASSIFIERS[run.encoding["classifier"]](**options).check_parameters()
        except (TypeError, ValueError) as error:
            raise FileError(f"{path} declares a run that cannot be made: {error}") from error
    return space


def _checked(path, table, declared, allowed):
    """A table's {name: its values}: known names, and values as the estimators check them."""
    listed, values = table != "below", declared.get(table, {})  # the layer below is fixed
    if not isinstance(values, dict):
        raise FileError(f"{path} has {table} = {values!r}; it must be a table, [{table}]")
    found = {
        name: value if listed and isinstance(value, list) else [value]
        for name, value in values.items()
    }
    for name, values in found.items():
        where = f"{name} in [{table}] of {path}"
        if name not in allowed:
            raise FileError(f"{where} is no setting; it must be one of {', '.join(allowed)}")
        if not values or len(set(map(repr, values))) < len(values):
            raise FileError(f"{where} is {values!r}; it must be values, none of them twice")
        for value in values:
            try:
                _check_value(name, None if value == OFF else value)
            except (TypeError, ValueError) as error:
                raise FileError(f"{where}: {error}") from error
    return found


def _check_value(name, value):
    choices = {
        "feature_scaling": SCALINGS,
        "classifier": tuple(CLASSIFIERS),
        "input_scaling": ("contrast", *SCALINGS),
    }
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _LAYER:
        if name not in ("sparsity", "n_active", "lifetime"):  # which depend on each other
            minisca.SparseConvAutoencoder(**{name: value}).check_parameters()
    elif name in choices:
        factor = name == "input_scaling" and number and 0 < value < math.inf
        if not factor and not (isinstance(value, str) and value in choices[name]):
            raise ValueError(f"{value!r} is none of {', '.join(choices[name])}")
    elif name == "labels":
        check_integer("labels", value)
    else:  # l2, max_iter, tol
        minisca.LogisticRegression(**{name: value}).check_parameters()
