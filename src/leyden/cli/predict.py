"""``leyden predict``: what a trained model says of new rows."""

import argparse
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from leyden.cli.facts import print_facts
from leyden.cli.guard import guarded
from leyden.cli.prediction_files import OUTPUTS
from leyden.cli.predictor import Predictor, find_predictor
from leyden.data import AutoDataModule
from leyden.data.origin import rows_of
from leyden.errors import ConfigError, DataError, MissingPathError, suggest, suggest_beside
from leyden.experiment.rows import RawRows
from leyden.files import refuse_input, replacing
from leyden.shards import name_inputs
from leyden.shards.fields import Fields
from leyden.shards.sources import TABLE_EXTENSIONS, Source, Table, choose_source
from leyden.types import Array, Phase

__all__ = ["run_predict"]

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class _Predicted:
    """What was predicted.

    Args:
        rows: For how many rows.
        classes: How many of each class, if there are classes.
    """

    rows: int
    classes: Mapping[Any, int]


def run_predict(arguments: argparse.Namespace) -> int:
    """Predict as the command line says.

    Args:
        arguments: What ``add_predict`` made of it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C.
    """
    return guarded(lambda: _predict(arguments))


def _predict(arguments: argparse.Namespace) -> None:
    target = arguments.output or Path(f"{arguments.input.stem}-predictions.parquet")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        predictor = find_predictor(
            arguments.run,
            checkpoint=arguments.checkpoint,
            threshold=arguments.threshold,
            trust=arguments.trust,
        )
        found = predict_file(
            predictor,
            arguments.input,
            target,
            label_column=arguments.label_column,
            drop=arguments.drop,
        )
    classes = [(f"class {name}", count) for name, count in sorted(found.classes.items())]
    print_facts([("predictions", target), ("rows", found.rows), *classes])


def predict_file(
    predictor: Predictor,
    source: Path,
    target: Path,
    *,
    label_column: str | None = None,
    drop: Sequence[str] = (),
) -> _Predicted:
    """Predict for every row of a file or a folder, and write that, whole or not at all.

    Args:
        predictor: What predicts.
        source: A folder of shards, or a file of rows.
        target: A ``.parquet``, ``.csv`` or ``.npy`` file to make or replace.
        label_column: A column of a table that is no input.
        drop: More of them.

    Returns:
        How many rows there were, and how many of each class.

    Raises:
        WriteError: If no file can be there, or it is what is read.
        LeydenError: If there are no such rows, or they do not fit the model.
    """
    if target.suffix not in OUTPUTS:
        problem = (
            f"Expected the predictions to go to a file of a known kind, but got {target.name!r}."
        )
        raise ConfigError(f"{problem} {suggest(target.suffix, OUTPUTS)}")
    rows = _rows_of(source, predictor, label_column, drop)
    refuse_input(target, source)
    counts: dict[Any, int] = {}
    total = 0
    with replacing(target) as temporary, closing(OUTPUTS[target.suffix](temporary)) as output:
        for keys, inputs in rows:
            found = predictor(inputs)
            output.add({**keys, **found})
            total += len(keys["row"])
            chosen = found.get("class_name", found.get("class"))
            if chosen is not None and chosen.ndim == 1:
                for name, count in zip(*np.unique(chosen, return_counts=True), strict=True):
                    counts[name.item()] = counts.get(name.item(), 0) + int(count)
        if not total:
            raise DataError(f"Expected at least one row in {source}, but got none.")
    return _Predicted(total, counts)


def _rows_of(
    path: Path, predictor: Predictor, label_column: str | None, drop: Sequence[str]
) -> Iterator[tuple[dict[str, Array], RawRows]]:
    """Read rows, with their places."""
    if not path.exists():
        problem = f"Expected `INPUT` to be a folder or a file of rows, but got {str(path)!r}"
        raise MissingPathError(f"{problem}, which does not exist. {suggest_beside(path)}")
    if path.suffix.lower() in TABLE_EXTENSIONS and path.is_file():
        table = Table(path, label_column, drop)
        if fields := name_inputs(predictor.options.get("inputs")):
            return _from_columns(table, fields)
        return _from_source(table, _places(table.column_names, predictor.column_names, path))
    if label_column is not None or drop:
        option = "--drop" if drop else "--label-column"
        raise ConfigError(f"Expected a table for `{option}`, but got {path.name!r}.")
    if path.suffix.lower() == ".npy":
        return _from_source(choose_source(path), None)
    return _from_shards(path, predictor)


def _places(
    found: Sequence[str] | None, trained: Sequence[str] | None, path: Path
) -> list[int] | None:
    """Find each column that was trained on; ``None`` where all are in their order, or nameless.

    Raises:
        DataError: If one is missing, or there are others.
    """
    if found is None or trained is None or tuple(found) == tuple(trained):
        return None
    missing = [name for name in trained if name not in found]
    unknown = [name for name in found if name not in trained]
    if missing or unknown:
        parts = (("without", missing), ("with", unknown))
        got = " and ".join(
            f"{word} {', '.join(map(repr, names))}" for word, names in parts if names
        )
        problem = f"Expected the columns that the model was trained on, but got {path.name} {got}."
        remedy = "Leave other columns out with --drop." if unknown else "Add what is missing."
        raise DataError(f"{problem} {remedy}")
    return [found.index(name) for name in trained]


def _from_columns(table: Table, fields: Fields) -> Iterator[tuple[dict[str, Array], RawRows]]:
    """Read several inputs, each of one column or of several; others are left out, as in training.

    Raises:
        DataError: If a column is missing.
    """
    columns = {name: [at] if isinstance(at, str) else list(at) for name, at in fields.items()}
    wanted = [column for of_one in columns.values() for column in of_one]
    found = table.column_names or ()
    _places([column for column in found if column in wanted], wanted, table.path)
    others = [column for column in found if column not in wanted]
    chosen = replace(table, drop=(*table.drop, *others))
    for keys, inputs in _from_source(chosen, _places(chosen.column_names, wanted, table.path)):
        parts = np.split(inputs, np.cumsum([len(of_one) for of_one in columns.values()])[:-1], 1)
        yield (
            keys,
            {
                name: part[:, 0] if isinstance(at, str) else part
                for (name, at), part in zip(fields.items(), parts, strict=True)
            },
        )


def _from_source(
    source: Source, places: list[int] | None
) -> Iterator[tuple[dict[str, Array], Array]]:
    source.check()
    start = 0
    for block in source.blocks(0, _ROWS_AT_ONCE):
        inputs = block.inputs if places is None else block.inputs[:, places]
        yield {"row": np.arange(start, start + len(block))}, inputs
        start += len(block)


def _from_shards(path: Path, predictor: Predictor) -> Iterator[tuple[dict[str, Array], RawRows]]:
    inside = path / Phase.PREDICT
    data = AutoDataModule(
        inside if inside.is_dir() else path,
        labels=None,
        batch_size=_ROWS_AT_ONCE,
        shuffle="none",
        **predictor.options,
    )
    found = data.catalogs[Phase.TRAIN].column_names
    places = _places(found, predictor.column_names, path)
    for index in range(len(data.plan(Phase.TRAIN, 0))):
        origin = data.origin(Phase.TRAIN, 0, index)
        keys = dict(zip(("set_number", "row"), rows_of(origin.slices), strict=True))
        batch: Any = data.fetch(Phase.TRAIN, 0, index)
        yield keys, batch if places is None else batch[:, places]
