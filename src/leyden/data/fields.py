"""The preparation of several arrays of inputs, each by its name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from leyden.data.augment import Augmentation
from leyden.data.picks import Picks
from leyden.data.preparation import Preparation
from leyden.data.preprocess import Preprocessing
from leyden.errors import ConfigError, suggest
from leyden.recipes import build
from leyden.shards import Catalog
from leyden.types import Array

__all__ = ["Augmentors", "FieldPreparation", "Preprocessors"]

Preprocessors: TypeAlias = Sequence[Any] | Preprocessing | Mapping[str, Any] | None
"""What ``Preprocessing`` takes, or ``None``; where inputs have names, by these names."""

Augmentors: TypeAlias = Sequence[Any] | Augmentation | Mapping[str, Any] | None
"""What ``Augmentation`` takes, or ``None``; where inputs have names, by these names."""

_WHOLE = "augmentation"  # the type of a dictionary with all of its arguments


class FieldPreparation:
    """What is done to each array of inputs on its way to the model.

    Args:
        names: The arrays' names; ``()`` if there is one only, without a name.
        preprocessors: See ``Preprocessing``.
        augmentors: See ``Augmentation``, all of whose arguments a dictionary with the type
            ``"augmentation"`` may have. A row has the same randomness in all its arrays, so that
            the same augmentors move an image and its mask alike.
        seed: Decides what augmentors do.

    Raises:
        ConfigError: If a preprocessor, an augmentor or a name is not known.
    """

    def __init__(
        self,
        names: Sequence[str],
        preprocessors: Preprocessors,
        augmentors: Augmentors,
        *,
        seed: int,
    ) -> None:
        fitted = _by_name("preprocessors", preprocessors, names)
        drawn = _by_name("augmentors", _make_whole(augmentors), names)
        self._parts = {
            name: Preparation(fitted.get(name, ()), drawn.get(name, ()), seed=seed)
            for name in names or ("",)
        }
        self._has_names = bool(names)

    def __bool__(self) -> bool:
        """Say whether there are preprocessors, which have a state."""
        return any(self._parts.values())

    def works(self, *, augments: bool) -> bool:
        """Say whether anything is done to rows; see ``Preparation.works``."""
        return any(part.works(augments=augments) for part in self._parts.values())

    @property
    def is_fitted(self) -> bool:
        """Whether the training rows have been seen."""
        return all(part.is_fitted for part in self._parts.values())

    @property
    def sample_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each array, as the model is given it."""
        return {name: part.sample_shape for name, part in self._parts.items()}

    def fit(self, train: Catalog) -> None:
        """Learn from the training rows; see ``Preparation.fit``."""
        for name, part in self._parts.items():
            part.fit(train.fields[name] if self._has_names else train, train)

    def apply(
        self, name: str, inputs: Array, picks: Picks, epoch: int, *, augments: bool
    ) -> Tensor:
        """Prepare rows of one array; see ``Preparation.apply``."""
        return self._parts[name].apply(inputs, picks, epoch, augments=augments)

    def state_dict(self) -> dict[str, Any]:
        """Write down what was learned."""
        if not self._has_names:
            return self._parts[""].state_dict()
        return {name: part.state_dict() for name, part in self._parts.items() if part}

    def check_state(self, state_dict: dict[str, Any]) -> None:
        """Refuse a state that cannot be taken over; see ``Preparation.check_state``."""
        for part, saved in self._with_states(state_dict):
            part.check_state(saved)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was learned, instead of fitting.

        Raises:
            ResumeError: If it is of other preprocessors, or of none.
        """
        self.check_state(state_dict)
        for part, saved in self._with_states(state_dict):
            part.load_state_dict(saved)

    def _with_states(self, state_dict: dict[str, Any]) -> Iterator[tuple[Preparation, Any]]:
        """Give the parts that learned something, or are said to, and what they learned."""
        for name, part in self._parts.items():
            saved = state_dict.get(name, {}) if self._has_names else state_dict
            if part or saved:
                yield part, saved


def _by_name(what: str, given: Any, names: Sequence[str]) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not names:
        if isinstance(given, Mapping):
            problem = f"Expected `{what}` to be a list, but got {dict(given)!r}."
            raise ConfigError(f"{problem} Only inputs with names take them by name.")
        _check_list(what, given)
        return {"": given}
    if not isinstance(given, Mapping):
        if isinstance(given, Sequence) and len(given) == 0:
            return {}
        problem = f"Expected `{what}` by the names of the inputs, but got {given!r}."
        raise ConfigError(f"{problem} Pass such as {{{names[0]!r}: [...]}}.")
    if unknown := [str(name) for name in given if name not in names]:
        problem = f"Expected `{what}` by the names of the inputs, but got {unknown[0]!r}."
        raise ConfigError(f"{problem} {suggest(unknown[0], names)}")
    told = {name: each for name, each in given.items() if each is not None}
    for name, each in told.items():
        _check_list(f"{what}.{name}", each)
    return told


def _make_whole(augmentors: Any) -> Any:
    """Make what dictionaries with the type ``"augmentation"`` describe, and leave the rest."""
    if not isinstance(augmentors, Mapping):
        return augmentors
    if augmentors.get("type") == _WHOLE:
        return build(augmentors, {_WHOLE: Augmentation}, what="augmentors")
    return {name: _make_whole(each) for name, each in augmentors.items()}


def _check_list(what: str, given: object) -> None:
    """Make sure that it is no single one of them."""
    is_one = isinstance(given, str | Mapping)
    if is_one or not isinstance(given, Iterable | Preprocessing | Augmentation):
        problem = f"Expected `{what}` to be a list, but got {given!r}."
        raise ConfigError(f"{problem} Pass [{given!r}].")
