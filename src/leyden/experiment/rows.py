"""Rows to predict from: whether they are what a model was trained on, and in its order."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from lightning import LightningModule
from torch import Tensor

from leyden.data import TimeWindows
from leyden.data.assembly import Block
from leyden.data.cut import WindowCut
from leyden.errors import DataError, suggest
from leyden.modules import SupervisedModule
from leyden.shards.sources.arrays import as_array
from leyden.types import Array

__all__ = ["RawRows", "arrange", "check_shapes", "input_names", "read_rows"]

RawRows: TypeAlias = Array | Tensor | Sequence[Any] | Mapping[str, Any]
"""Rows ``(rows, ...)``, or several inputs of them by name."""

_T = TypeVar("_T")


def input_names(module: LightningModule) -> tuple[str, ...] | None:
    """Tell what the inputs of a module are called, in the order that it was trained with.

    Returns:
        Their names, ``("",)`` for one without a name; ``None`` if the module does not know.
    """
    shapes = _input_shapes(module)
    return None if shapes is None else tuple(shapes)


def _input_shapes(module: LightningModule) -> dict[str, tuple[int, ...]] | None:
    told = module.hparams.get("input_shape") if isinstance(module, SupervisedModule) else None
    if told is None:
        return None
    named = told if isinstance(told, Mapping) else {"": told}
    return {name: tuple(shape) for name, shape in named.items()}


def arrange(inputs: Mapping[str, _T], names: Sequence[str] | None) -> dict[str, _T]:
    """Put inputs into the order of training, on which a network may rely.

    Args:
        inputs: Something for each input, by its name, ``""`` if it has none.
        names: What ``input_names`` says; ``None`` for any names, in the order given.

    Raises:
        DataError: If one is missing, or there are others.
    """
    if names is None:
        return dict(inputs)
    wanted, got = f"Expected inputs called {', '.join(names)}", tuple(map(str, inputs))
    if "" in names and got != ("",):
        problem = "Expected one array of rows, without a name, but got a dictionary"
        raise DataError(f"{problem} of {', '.join(got) or 'nothing'}. Pass the array alone.")
    if got == ("",) and "" not in names:
        remedy = "Pass a dictionary of arrays, or a file that has them by name."
        raise DataError(f"{wanted}, but got one array without a name. {remedy}")
    if unknown := [name for name in got if name not in names]:
        raise DataError(f"{wanted}, but got {unknown[0]!r}. {suggest(unknown[0], names)}")
    if missing := [name for name in names if name not in got]:
        raise DataError(f"{wanted}, but got no {', '.join(missing)}. Add what is missing.")
    return {name: inputs[name] for name in names}


def read_rows(rows: RawRows, names: Sequence[str] | None) -> dict[str, Array]:
    """Take rows for arrays, in the order of training.

    Args:
        rows: As they are on disk.
        names: See ``arrange``.

    Returns:
        Arrays ``(rows, ...)``, of as many rows each, by name.

    Raises:
        DataError: If there are no rows, they are no numbers, or do not go together.
    """
    given: Mapping[str, Any] = rows if isinstance(rows, Mapping) else {"": rows}
    problem = "Expected at least one row of numbers to predict from"
    arrays = {name: as_array(array) for name, array in arrange(given, names).items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or not array.ndim or not len(array):
            raise DataError(f"{problem}, but got {array.dtype} of shape {array.shape}{_of(name)}.")
    if not arrays:
        raise DataError(f"{problem}, but got an empty dictionary.")
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        got = ", ".join(f"{count} in {name!r}" for name, count in counts.items())
        raise DataError(f"Expected as many rows of every input, but got {got}.")
    return arrays


def check_shapes(
    inputs: Mapping[str, Tensor], module: LightningModule, windows: TimeWindows | None
) -> None:
    """Make sure that rows, or what windows cut out of them, are of the shape trained on.

    Args:
        inputs: Preprocessed rows by name, in the order of training.
        module: The module; nothing is checked if it does not know its shapes.
        windows: How rows are cut along time, if they are.

    Raises:
        DataError: If they are not.
    """
    expected = _input_shapes(module) or {}
    rows = {name: tuple(array.shape[1:]) for name, array in inputs.items()}
    cut = rows if windows is None else _cut_shapes(inputs, windows)
    for name, shape in expected.items():
        if cut[name] != shape:
            what = "rows" if windows is None else "rows to cut into windows"
            problem = f"Expected {what} of shape {shape}{_of(name)} after preprocessing"
            raise DataError(f"{problem}, but got {rows[name]}. Pass (rows, ...), as in training.")


def _cut_shapes(inputs: Mapping[str, Tensor], windows: TimeWindows) -> dict[str, tuple[int, ...]]:
    """Find the shapes of the first window; of rows without a time axis, those of rows."""
    some: Any = {name: array[:0] for name, array in inputs.items()}
    if next(iter(some.values())).ndim > 1:
        some, _, _ = WindowCut(windows)(Block(some, None, None), 0, 0)
    return {name: tuple(array.shape[1:]) for name, array in some.items()}


def _of(name: str) -> str:
    return f" in {name!r}" if name else ""
