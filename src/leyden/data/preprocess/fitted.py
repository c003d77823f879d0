"""What preprocessors have learned, as plain values that load without unpickling."""

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from leyden.data.preprocess.likeness import is_alike
from leyden.errors import ConfigError, ResumeError
from leyden.generators import attributes_of
from leyden.types import Array

__all__ = [
    "blank",
    "capture",
    "class_path",
    "is_estimator",
    "learned_names",
    "learns",
    "restore",
    "settings_of",
    "settle",
    "tells_all",
    "with_tuples",
]

_HINT = "Give it `state_dict` and `load_state_dict`, or use another."
_LIST = "List its steps instead of it."
_CHAINS = ("sklearn.pipeline.Pipeline", "sklearn.pipeline.FeatureUnion")  # of what is in them
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def is_estimator(step: Any) -> bool:
    """Say whether a preprocessor is one of scikit-learn's kind, which take ``(rows, features)``."""
    return hasattr(step, "get_params") and hasattr(step, "set_params")


def learns(step: Any) -> bool:
    """Say whether a preprocessor has to be fitted."""
    tags = getattr(step, "__sklearn_tags__", None)  # since scikit-learn 1.6
    if tags is not None and not tags().requires_fit:
        return False
    return hasattr(step, "fit") or hasattr(step, "partial_fit")


def blank(step: Any) -> Any:
    """Copy a preprocessor without what it has learned, where that can be told apart."""
    if is_estimator(step):
        return type(step)(**deepcopy(step.get_params(deep=False)))
    return deepcopy(step)


def with_tuples(step: Any) -> Any:
    """Put tuples in the place of lists, which are all that YAML and JSON have.

    Args:
        step: Changed where it is of scikit-learn's kind and an argument is a tuple by default.

    Returns:
        The same step.
    """
    if is_estimator(step):
        usual = {one.name: one.default for one in _parameters(type(step))}
        given = step.get_params(deep=False)
        tuples = {
            name: tuple(value)
            for name, value in given.items()
            if isinstance(value, list) and isinstance(usual.get(name), tuple)
        }
        step.set_params(**tuples)
    return step


def class_path(step: Any) -> str:
    """Name the class of an object by where users import it from.

    Example:
        >>> from sklearn.preprocessing import StandardScaler
        >>> class_path(StandardScaler())
        'sklearn.preprocessing.StandardScaler'
    """
    return _path(type(step))


def settings_of(step: Any, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write down how a preprocessor was made, so that another can be told from it.

    Args:
        step: Not fitted.
        given: The arguments that its class was called with; ``None`` if nobody knows. Where it is
            neither an estimator nor a dataclass, attributes called like arguments are taken then.

    Returns:
        Numbers, strings, lists and dictionaries; what is none of these is named.
    """
    if is_estimator(step):
        found = step.get_params(deep=class_path(step) in _CHAINS)
    elif is_dataclass(step) and not isinstance(step, type):
        found = asdict(step)
    else:
        found = _arguments(step, given)
    return {name: _plain(value) for name, value in found.items()}


def tells_all(step: Any) -> bool:
    """Say whether the settings of a preprocessor are all that it was made with."""
    return is_estimator(step) or is_dataclass(step)


def _arguments(step: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    named = [one for one in _parameters(type(step)) if one.kind in _BY_NAME]
    if given is not None:
        usual = {one.name: one.default for one in named if one.default is not one.empty}
        return {**usual, **given}
    held = attributes_of(step)
    return {
        one.name: held[name] for one in named for name in (f"_{one.name}", one.name) if name in held
    }


def _parameters(kind: type) -> list[Parameter]:
    try:
        return list(signature(kind).parameters.values())
    except ValueError:  # of a class that is not written in Python
        return []


def learned_names(step: Any, unfitted: Any) -> list[str]:
    """List the attributes in which a preprocessor keeps what it has learned.

    Args:
        step: Fitted.
        unfitted: What it was before, or another that was made in the same way.

    Returns:
        Those that fitting has added or changed, and those that are named for it.
    """
    before, habitual = attributes_of(unfitted), _learned(step)
    return [
        name
        for name, value in attributes_of(step).items()
        if name in habitual or name not in before or not is_alike(before[name], value)
    ]


def capture(step: Any, names: Collection[str] | None = None) -> dict[str, Any]:
    """Write down what a fitted preprocessor has learned.

    Args:
        step: The preprocessor; one with a ``state_dict`` is asked for that.
        names: See ``learned_names``; ``None`` to go by scikit-learn's habit: all that are no
            arguments of an estimator, and those of others that end in an underscore.

    Returns:
        Numbers, strings, lists, dictionaries and tensors, by attribute.

    Raises:
        ConfigError: If something is learned that cannot be written down so.
    """
    if hasattr(step, "state_dict"):
        return {name: _encode(value, name) for name, value in step.state_dict().items()}
    held = attributes_of(step)
    found = _learned(step) if names is None else {name: held[name] for name in names}
    if not found:
        problem = f"Expected {class_path(step)} to keep what it learns in attributes of its own"
        raise ConfigError(f"{problem}, such as `mean_`, but got none. {_HINT}")
    return {name: _encode(value, f"{class_path(step)}.{name}") for name, value in found.items()}


def restore(step: Any, state: dict[str, Any]) -> Any:
    """Make a fitted preprocessor of what was written down.

    Args:
        step: One made in the same way; it is left as it is.
        state: What ``capture`` returned.

    Returns:
        A copy of ``step`` that has learned what ``state`` says.

    Raises:
        ResumeError: If ``state`` holds what ``capture`` does not write.
    """
    fresh = blank(step)
    learned = {name: _decode(value) for name, value in state.items()}
    if hasattr(fresh, "load_state_dict"):
        fresh.load_state_dict(learned)
    else:
        for name, value in learned.items():
            object.__setattr__(fresh, name, value)  # also where a class refuses it once made
    return fresh


def settle(step: Any, unfitted: Any) -> Any:
    """Make of a fitted preprocessor what a checkpoint will make of it.

    Args:
        step: Fitted.
        unfitted: What it was before.

    Returns:
        A copy of ``unfitted`` that has learned the same.

    Raises:
        ConfigError: If what it has learned cannot be written down, or would be had again otherwise.
    """
    names = learned_names(step, unfitted)
    state = capture(step, names)
    again = restore(unfitted, state)
    if hasattr(step, "state_dict"):
        pairs = {"state_dict()": (state, capture(again))}
    else:
        found, had = attributes_of(step), attributes_of(again)
        pairs = {name: (found[name], had[name]) for name in names}
    for name, (learned, loaded) in pairs.items():
        if not is_alike(learned, loaded):
            problem = f"Expected {class_path(step)}.{name} to be the same once it is loaded"
            kinds = f"{type(loaded).__qualname__} in the place of {type(learned).__qualname__}"
            raise ConfigError(f"{problem}, but got another {kinds}. {_HINT}")
    return again


def _learned(step: Any) -> dict[str, Any]:
    """What a preprocessor holds under a name that says that it is learned."""
    held = attributes_of(step)
    if is_estimator(step):
        settings = step.get_params(deep=False)
        return {name: value for name, value in held.items() if name not in settings}
    return {name: value for name, value in held.items() if name.endswith("_")}


def _path(kind: type) -> str:
    module = [part for part in kind.__module__.split(".") if not part.startswith("_")]
    return ".".join([*module, kind.__qualname__])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if value is None or type(value) in (bool, int, float, str):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)


class _Kind(NamedTuple):
    """How values of a type are written down, and had again."""

    of: type
    encode: Callable[[Any, str], Any]
    decode: Callable[[Any], Any]


def _encode(value: Any, name: str) -> Any:
    if value is None or type(value) in (bool, int, float, str) or isinstance(value, Tensor):
        return value
    for label, kind in _KINDS.items():
        if isinstance(value, kind.of) and not (kind.of is object and not is_estimator(value)):
            return {"kind": label, "value": kind.encode(value, name)}
    raise _unstorable(value, name)


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value.get("kind") not in _KINDS:
        known = ", ".join(_KINDS)
        raise ResumeError(f"Expected a `kind` out of {known}, but got {value.get('kind')!r}.")
    return _KINDS[value["kind"]].decode(value["value"])


def _encode_array(array: Array, name: str) -> Any:
    if array.dtype.kind == "O":
        return {"shape": list(array.shape), "items": _encode_items(array.ravel(), name)}
    try:
        return torch.from_numpy(np.array(array, order="C"))
    except TypeError:
        raise _unstorable(array, name) from None


def _decode_array(value: Any) -> Array:
    if isinstance(value, Tensor):
        return np.array(value.numpy())
    array = np.empty(len(value["items"]), object)
    for index, item in enumerate(value["items"]):
        array[index] = _decode(item)
    return array.reshape(value["shape"])


def _encode_items(items: Any, name: str) -> list[Any]:
    return [_encode(item, name) for item in items]


def _decode_items(items: list[Any]) -> list[Any]:
    return [_decode(item) for item in items]


def _encode_random_state(random_state: np.random.RandomState, name: str) -> Any:
    state: Any = random_state.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":  # the only one that a new RandomState takes
        raise _unstorable(random_state, name)
    return _encode(state, name)


def _decode_random_state(value: Any) -> np.random.RandomState:
    random_state = np.random.RandomState()
    random_state.set_state(_decode(value))
    return random_state


def _encode_csr_matrix(matrix: Any, name: str) -> list[Any]:
    return _encode_items((matrix.data, matrix.indices, matrix.indptr, matrix.shape), name)


def _decode_csr_matrix(value: list[Any]) -> Any:
    *arrays, shape = _decode_items(value)
    return csr_matrix(tuple(arrays), shape=shape)


def _encode_estimator(estimator: Any, name: str) -> dict[str, Any]:
    path = class_path(estimator)
    if _find_estimator(path) is not type(estimator):
        raise _unstorable(estimator, name)
    attributes = {key: _encode(value, f"{name}.{key}") for key, value in vars(estimator).items()}
    return {"type": path, "attributes": attributes}


def _decode_estimator(value: dict[str, Any]) -> Any:
    kind = _find_estimator(value["type"])
    if kind is None:
        raise ResumeError(f"Expected a class of scikit-learn, but got {value['type']!r}.")
    estimator = kind.__new__(kind)
    vars(estimator).update({key: _decode(item) for key, item in value["attributes"].items()})
    return estimator


def _find_estimator(path: str) -> Any:
    """Look up a class of scikit-learn's; nothing else is to be had by a name in a file."""
    module, _, name = path.rpartition(".")
    if not module.startswith("sklearn."):
        return None
    kind = getattr(import_module(module), name, None)
    return kind if isinstance(kind, type) and is_estimator(kind) else None


def _unstorable(value: Any, name: str) -> ConfigError:
    problem = f"Expected {name} to be numbers that can be written to a checkpoint"
    remedy = _LIST if name.startswith(_CHAINS[0]) else _HINT
    return ConfigError(f"{problem}, but got {type(value).__qualname__}. {remedy}")


_KINDS = {
    "array": _Kind(np.ndarray, _encode_array, _decode_array),
    "number": _Kind(
        np.generic,
        lambda value, name: _encode_array(np.asarray(value), name),
        lambda value: value.numpy()[()],
    ),
    "list": _Kind(list, _encode_items, _decode_items),
    "tuple": _Kind(tuple, _encode_items, lambda items: tuple(_decode_items(items))),
    "dictionary": _Kind(
        dict,
        lambda value, name: [_encode_items(pair, name) for pair in value.items()],
        lambda pairs: {_decode(key): _decode(value) for key, value in pairs},
    ),
    "slice": _Kind(
        slice,
        lambda value, name: _encode_items((value.start, value.stop, value.step), name),
        lambda parts: slice(*_decode_items(parts)),
    ),
    "random_state": _Kind(np.random.RandomState, _encode_random_state, _decode_random_state),
    "csr_matrix": _Kind(csr_matrix, _encode_csr_matrix, _decode_csr_matrix),
    "dtype": _Kind(np.dtype, lambda value, _: value.str, np.dtype),
    "estimator": _Kind(object, _encode_estimator, _decode_estimator),
}
