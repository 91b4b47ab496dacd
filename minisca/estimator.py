"""scikit-learn's conventions without scikit-learn: the base class of every estimator here.

A constructor stores its arguments unchanged under their own names and does nothing else; `fit` sets
attributes that end in an underscore. That is all `sklearn.base.clone`, `Pipeline` and
`GridSearchCV` rely on. And the one way to save and load what `fit` has set.
"""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from minisca.files.checkpoint import (
    CheckpointError,
    as_read,
    fitting,
    load_checkpoint,
    require,
    require_learned,
    save_checkpoint,
)
from minisca.types import Array, PathLike
from minisca.validation import check_fitted, check_learned


class Estimator:
    """Parameters read from the constructor's signature: get, set, show, save and load them.

    To be saved, a subclass says what it learns: the arrays in `_learned_arrays`, all else in
    `_learned_numbers`. The attributes have these names and an underscore.
    """

    if TYPE_CHECKING:  # of what `_store` and `_set_learned` set, a type checker knows nothing

        def __getattr__(self, name: str) -> Any: ...

    #: "classifier", "transformer" or None, as scikit-learn names them.
    _estimator_type: str | None = None
    #: Whether X is images (n, c, h, w) or the like, and cannot be rows (n, features).
    _takes_images = True
    #: The learned array whose presence means that the estimator is fitted.
    _main: str | None = None
    #: {name: function of name and value that checks it} of what is learned and no array.
    _learned_numbers: ClassVar[Mapping[str, Any]] = {}
    #: Settings that only old files have: {name: whether it mattered that it had this value}.
    _deleted_settings: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def _defaults(cls):
        """{argument name: default} of the constructor, in its order."""
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(
                    f"the constructor of {cls.__name__} takes {parameter}; it must name every "
                    "argument, for get_params, clone, save and load to know them"
                )
        return {parameter.name: parameter.default for parameter in parameters}

    def _store(self, arguments):
        """Set the attributes that the constructor's arguments are, given its `locals()`."""
        vars(self).update((name, value) for name, value in arguments.items() if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """{argument name: value}.

        With `deep`, also the parameters of estimators among the values, as "name__parameter", and
        of lists of estimators, as "name__0" (the estimator) and "name__0__parameter".
        """
        parameters = {}
        for name in self._defaults():
            value = getattr(self, name)
            parameters[name] = value
            if deep:
                parameters.update(_nested(name, value))
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Set constructor arguments by name, nested ones as `get_params` names them; returns self.

        Raises ValueError for an unknown name, listing the valid ones.
        """
        valid = self._defaults()
        for name in parameters:
            if name.partition("__")[0] not in valid:
                raise ValueError(
                    f"{name!r} is not a parameter of {type(self).__name__}; "
                    f"it must be one of {', '.join(map(repr, valid))}"
                )
        # Fewest underscores first: a list is replaced before its elements are changed.
        for name in sorted(parameters, key=lambda name: name.count("__")):
            first, _, rest = name.partition("__")
            value = parameters[name]
            setattr(self, first, _replaced(first, getattr(self, first), rest, value))
        return self

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError, naming it, for a bad constructor argument."""

    def _set_learned(self, **learned):
        """Set attributes, all in one exchange: an interrupt finds none of them new, or all."""
        vars(self).update(learned)

    def save(self, path: PathLike) -> None:
        """Write the fitted estimator to one file: whole or not at all, an .npz without pickle.

        Missing folders are made, no extension is added. Raises NotFittedError before `fit`,
        ValueError if a parameter that shapes what was learned was changed after it, and for
        whatever else `load` would refuse; OSError that names the file if it cannot be written.
        """
        self._check_as_fitted()
        arrays, settings = self.to_file()
        self.from_file(path, arrays, as_read(settings))
        save_checkpoint(path, type(self).__name__, arrays, settings)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """The estimator that `save(path)` wrote.

        Raises CheckpointError, naming the file, for any other or a damaged one; OSError, naming it
        too, if it cannot be opened or read; MemoryError if the memory does not hold it.
        """
        return cls.from_file(path, *load_checkpoint(path, cls.__name__))

    def to_file(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """What a file of the fitted estimator holds: {name: array}, and a dict for JSON."""
        arrays = {name: getattr(self, f"{name}_") for name in self._learned_arrays()}
        numbers = {name: getattr(self, f"{name}_") for name in self._learned_numbers}
        return arrays, {"parameters": self.get_params(deep=False), **numbers}

    @classmethod
    def from_file(cls, path: PathLike, arrays: dict[str, Array], settings: dict[str, Any]) -> Self:
        """The estimator that `to_file` described.

        Raises CheckpointError, naming `path`, if something is missing or does not fit.
        """
        estimator, _ = cls._constructed(path, settings)
        require(path, {}, {}, settings, estimator._learned_numbers)
        with fitting(path):
            for name, check in estimator._learned_numbers.items():
                setattr(estimator, f"{name}_", check(name, settings[name]))
        learned = estimator._learned_arrays()
        require_learned(path, arrays, learned)
        for name in learned:
            setattr(estimator, f"{name}_", arrays[name])
        return estimator

    @classmethod
    def _constructed(cls, path, settings):
        """An estimator with a file's parameters, and those that are deleted and mattered."""
        require(path, {}, {}, settings, ("parameters",))
        with fitting(path):
            if not isinstance(settings["parameters"], dict):
                raise TypeError(f"parameters is {settings['parameters']!r}; it must be by name")
            parameters, mattered = dict(settings["parameters"]), {}
            for name, matters in cls._deleted_settings.items():
                if name in parameters and matters(parameters[name]):
                    mattered[name] = parameters.pop(name)
                elif name not in cls._defaults():
                    parameters.pop(name, None)
            try:
                estimator = cls(**parameters)
            except TypeError as error:
                raise TypeError(f"it has other parameters: {error}") from error
            estimator.check_parameters()
        return estimator, mattered

    def _learned_arrays(self):
        """{name of an array: what it must be, a `minisca.files.checkpoint.Learned`}."""
        return {}

    def _learned_shapes(self):
        return {name: wanted.shape for name, wanted in self._learned_arrays().items()}

    def _check_as_fitted(self):
        """Raise NotFittedError before `fit`, and for learned arrays replaced by what is none."""
        check_fitted(self, f"{self._main}_")
        shapes = self._learned_shapes()
        check_learned({name: getattr(self, f"{name}_") for name in shapes}, shapes)

    def __repr__(self):
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, default in self._defaults().items()
            # By their text, because == between arrays is no yes or no.
            if default is inspect.Parameter.empty or repr(getattr(self, name)) != repr(default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_is_fitted__(self):
        """Whether `fit` has set anything (scikit-learn's `check_is_fitted` asks)."""
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def __sklearn_tags__(self):
        """What scikit-learn 1.6 and later asks of an estimator; only scikit-learn calls this."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        is_classifier = self._estimator_type == "classifier"
        is_transformer = hasattr(self, "transform")
        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=is_classifier),
            classifier_tags=ClassifierTags() if is_classifier else None,
            transformer_tags=TransformerTags(preserves_dtype=[]) if is_transformer else None,
            input_tags=InputTags(two_d_array=not self._takes_images),
        )


def check_resumable(path, mine, saved, but=("verbose",)):
    """Raise CheckpointError if two estimators' parameters differ, `but` these; saved: at `path`."""
    mine, theirs = mine.get_params(deep=False), saved.get_params(deep=False)
    for name in mine:
        if name not in but and as_read(mine[name]) != as_read(theirs[name]):
            raise CheckpointError(
                f"{path} was trained with {name}={theirs[name]!r}; to resume from it, "
                f"{name} must be that, not {mine[name]!r}"
            )


def _nested(name, value):
    """The deep parameters of one argument: those of an estimator, or of a list of them."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return {f"{name}__{key}": item for key, item in value.get_params().items()}
    found = {}
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if hasattr(item, "get_params") and not isinstance(item, type):
                found[f"{name}__{index}"] = item
                found.update(_nested(f"{name}__{index}", item))
    return found


def _replaced(name, current, path, value):
    """`current` with the parameter at `path` ("", "0", "l2", "0__l2") set to `value`."""
    if not path:
        return value
    if isinstance(current, list | tuple):
        index, _, rest = path.partition("__")
        if not index.isdecimal() or int(index) >= len(current):
            raise ValueError(f"{name} has no element {index!r}; it has {len(current)}, from 0")
        items = list(current)  # the caller's own list stays as it is
        items[int(index)] = _replaced(f"{name}__{index}", items[int(index)], rest, value)
        return type(current)(items)
    if not hasattr(current, "set_params"):
        raise ValueError(f"{name} is {current!r}, which has no parameter {path!r}")
    return current.set_params(**{path: value})
