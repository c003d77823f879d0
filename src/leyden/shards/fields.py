"""Several inputs of one row: which arrays, columns, folders or files they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from leyden.errors import ConfigError, DiscoveryError, ShardError
from leyden.shards.labels import shorten
from leyden.shards.pieces import Piece

__all__ = [
    "Fields",
    "Inputs",
    "check_rows",
    "check_sets",
    "describe_fields",
    "find_places",
    "name_inputs",
]

Inputs: TypeAlias = Mapping[str, str | Sequence[str]] | Sequence[str] | None
"""What the inputs are: names, or a mapping from names in a batch; ``None`` for the only array."""

Fields: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""Where each input is, by its name in a batch: an array, columns of a table, or a place."""


def name_inputs(inputs: Inputs) -> Fields:
    """Put what a user writes into one form.

    Args:
        inputs: Names, or a mapping from names in a batch to names or lists of columns.

    Returns:
        The source of each input, in the order given; nothing for ``None``.

    Raises:
        ConfigError: If there is nothing in it, a name twice, or something that is no name.

    Example:
        >>> name_inputs(["image", "meta"])
        {'image': 'image', 'meta': 'meta'}
        >>> name_inputs({"image": "img", "meta": ["age", "weight"]})
        {'image': 'img', 'meta': ('age', 'weight')}
    """
    if inputs is None:
        return {}
    pairs = _pair(inputs)
    if not pairs or not all(_is_name(name) and _is_source(source) for name, source in pairs):
        problem = f"Expected `inputs` to be names, or a mapping from names, but got {inputs!r}."
        raise ConfigError(f"{problem} Write it as inputs=['image', 'meta'].")
    columns = [source for _, source in pairs if not isinstance(source, str)]
    for names in ([name for name, _ in pairs], *columns):
        if len(set(names)) < len(names):
            problem = f"Expected each name once in `inputs`, but got {list(names)!r}."
            raise ConfigError(f"{problem} Remove the second.")
    return dict(pairs)


def _pair(inputs: Any) -> list[tuple[Any, Any]]:
    if isinstance(inputs, Mapping):
        return [
            (name, tuple(source) if _is_list(source) else source) for name, source in inputs.items()
        ]
    return [(name, name) for name in inputs] if _is_list(inputs) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_source(value: Any) -> bool:
    return _is_name(value) or (
        isinstance(value, tuple) and value != () and all(map(_is_name, value))
    )


def describe_fields(fields: Fields) -> str:
    """Tell where each input is from, in one line.

    Example:
        >>> describe_fields({"image": "img", "meta": ("age", "weight")})
        'image: img; meta: age, weight'
    """
    return "; ".join(
        f"{name}: {source if isinstance(source, str) else ', '.join(source)}"
        for name, source in fields.items()
    )


def find_places(path: Path, fields: Fields) -> dict[str, Path]:
    """Find the folders or files that the inputs are kept in, if each has one of its own.

    Args:
        path: The folder that they are in.
        fields: The source of each input.

    Returns:
        The folder or file of each input; nothing if there is none of such a name in ``path``.

    Raises:
        ConfigError: If one input has a folder of its own, and another is columns of a table.
    """
    sources = {name: source for name, source in fields.items() if isinstance(source, str)}
    if not path.is_dir() or not any((path / source).exists() for source in sources.values()):
        return {}
    for name, source in fields.items():
        if name not in sources:
            problem = f"Expected a folder or file for {name!r}, as for other `inputs`"
            raise ConfigError(f"{problem}, but got {list(source)!r}. Pack its columns apart.")
    return {name: path / source for name, source in sources.items()}


def check_rows(fields: Fields, pieces: Sequence[Piece], *, num_axes: int = 1) -> None:
    """Make sure that all inputs of one file have as many rows.

    Args:
        fields: The inputs; none if there is one array without a name.
        pieces: The whole array of each, in that order.
        num_axes: Axes that count; 2 for arrays ``(sets, rows, ...)``.

    Raises:
        ShardError: If one has more rows, or fewer, than the first.
    """
    first, *_ = pieces
    for name, piece in zip(fields, pieces, strict=False):
        if piece.shape[:num_axes] != first.shape[:num_axes]:
            wanted, got = (" x ".join(map(str, p.shape[:num_axes])) for p in (first, piece))
            problem = f"Expected {wanted} rows in {name!r}, as in {next(iter(fields))!r}"
            raise ShardError(f"{problem}, but got {got}.", path=piece.path)


def check_sets(path: Path, lengths: Mapping[str, Mapping[int, int]]) -> None:
    """Make sure that inputs from different places have the same sets, with as many rows.

    Args:
        path: The folder that the places are in, for the error.
        lengths: Rows of each set, by set number, of each input.

    Raises:
        DiscoveryError: If they differ; it lists all sets where they do.
    """
    numbers = sorted({number for found in lengths.values() for number in found})
    rows = {n: {name: found.get(n) for name, found in lengths.items()} for n in numbers}
    problems = [
        f"set {number}: {', '.join(f'{_count(count)} in {name}' for name, count in found.items())}"
        for number, found in rows.items()
        if len(set(found.values())) > 1
    ]
    if problems:
        listing = "\n".join(shorten(problems))
        problem = f"Expected the same sets and rows for all inputs, but in {path}:\n{listing}"
        raise DiscoveryError(f"{problem}\nMend the files, or leave one out of `inputs`.")


def _count(rows: int | None) -> str:
    return "none" if rows is None else f"{rows} rows"
