"""Sets within one file: an array for each of them, or one table of rows that is cut into sets."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from leyden.errors import ConfigError, ShardError, check_whole
from leyden.shards.fields import Fields, check_rows
from leyden.shards.formats import OpenFile, format_of
from leyden.shards.headers import Headers
from leyden.shards.labels import LABEL_NAMES
from leyden.shards.numbering import list_some, number_keys
from leyden.shards.pieces import Piece, measure
from leyden.shards.readers import TEXT, reading
from leyden.types import Key

__all__ = ["Cut", "FoundSets", "LeadingAxis", "find_in_file", "open_shard"]

LeadingAxis: TypeAlias = Literal["rows", "sets"]
"""What the first axis of an array counts."""


@dataclass(frozen=True, slots=True)
class FoundSets:
    """Where the rows of each set are, and labels that lie in the same files.

    Args:
        inputs: Each input, by set number, ascending; all have the same sets.
        inside: Labels found beside them, by set number.
        rule: How they were found, for people.
        left_out: Names of what is neither.
    """

    inputs: tuple[dict[int, Piece], ...]
    inside: dict[int, Piece] = field(default_factory=dict)
    rule: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def data(self) -> dict[int, Piece]:
        """The first input, by set number."""
        return self.inputs[0]

    @property
    def lengths(self) -> dict[int, int]:
        """Rows of each set, by set number."""
        return {number: piece.num_rows for number, piece in self.data.items()}


@dataclass(frozen=True, slots=True)
class Cut:
    """How an array is cut into sets, which are numbered from 1.

    Args:
        rows_per_set: Rows of each set but the last, which may have fewer.
        leading_axis: ``"sets"`` if the array is stored ``(sets, rows, ...)``.

    Raises:
        ConfigError: If ``rows_per_set`` is below 1, or ``leading_axis`` is neither.
    """

    rows_per_set: int = 32
    leading_axis: LeadingAxis = "rows"

    def __post_init__(self) -> None:
        check_whole("rows_per_set", self.rows_per_set, 1)
        if self.leading_axis not in ("rows", "sets"):
            problem = "Expected `leading_axis` to be 'rows' or 'sets'"
            raise ConfigError(f"{problem}, but got {self.leading_axis!r}.")

    def refuse_sets(self, path: Path, what: str) -> None:
        """Make sure that nobody asks for sets along an axis where sets are found otherwise.

        Raises:
            ConfigError: If ``leading_axis`` is ``"sets"``.
        """
        if self.leading_axis == "sets":
            problem = f"Expected `leading_axis` to be 'rows' for {what}, but got 'sets'"
            raise ConfigError(f"{problem} for {path}. It is for a file of one array.")

    def __call__(self, whole: Piece) -> dict[int, Piece]:
        """Cut.

        Args:
            whole: The array.

        Raises:
            ShardError: If it has no rows, or no axis of sets.
        """
        if self.leading_axis == "sets":
            return self._along_axis(whole)
        size = int(self.rows_per_set)
        return {
            number: replace(whole, start=start, num_rows=min(size, whole.num_rows - start))
            for number, start in enumerate(range(0, whole.num_rows, size), start=1)
        }

    def _along_axis(self, whole: Piece) -> dict[int, Piece]:
        if len(whole.shape) < 2 or whole.shape[1] == 0:
            problem = f"Expected an array (sets, rows, ...), but got {whole.shape}"
            raise ShardError(f"{problem}. Pass leading_axis='rows'.", path=whole.path)
        num_sets, num_rows = whole.shape[:2]
        return {
            index + 1: replace(whole, start=index * num_rows, num_rows=num_rows, by_set=True)
            for index in range(num_sets)
        }


def find_in_file(
    path: Path,
    cut: Cut,
    headers: Headers,
    *,
    fields: Fields,
    reader: OpenFile | None,
    with_labels: bool,
) -> FoundSets:
    """Find the sets of a dataset file.

    Args:
        path: The file.
        cut: How one array is cut into sets.
        headers: Asks the file.
        fields: The arrays or columns that are the inputs; none to find the only one.
        reader: Opens the file instead of the format that its extension names.
        with_labels: Whether to look for labels in it.

    Returns:
        An array for each key that is a number, where the file has such keys and no inputs are
        named; else parts of its arrays.

    Raises:
        ConfigError: If inputs are named in a file of one array.
        DiscoveryError: If two keys are one number.
        ShardError: If the file is broken.
        FormatError: If its extension is not known.
    """
    if reader is None and not fields and not format_of(path).is_table:
        names = headers.keys(path)
        if numbered := number_keys(path, [name for name in names if name.isdecimal()]):
            cut.refuse_sets(path, "numbered arrays")
            others = tuple(name for name in names if not name.isdecimal())
            data = {n: _open_numbered(n, path, key, headers) for n, key in numbered.items()}
            return FoundSets((data,), rule=f"numbered arrays of {path.name}", left_out=others)
    wholes, labels = open_shard(
        path, headers, fields=fields, reader=reader, with_labels=with_labels
    )
    inputs = tuple(cut(whole) for whole in wholes)
    check_rows(fields, wholes, num_axes=2 if cut.leading_axis == "sets" else 1)
    how = f"{cut.rows_per_set} rows each" if cut.leading_axis == "rows" else "along its first axis"
    inside = cut(labels) if labels else {}
    return FoundSets(inputs, inside, rule=f"parts of {path.name}, {how}")


def _open_numbered(number: int, path: Path, key: str, headers: Headers) -> Piece:
    with reading(path, set_number=number):
        return _of_numbers(_with_rows(headers.measure(path, key), f"Remove the array {key!r}."))


def open_shard(
    path: Path,
    headers: Headers,
    *,
    fields: Fields,
    reader: OpenFile | None,
    with_labels: bool,
) -> tuple[list[Piece], Piece | None]:
    """Find the inputs in a file, and labels beside them.

    Args:
        path: The file.
        headers: Asks the file.
        fields: The arrays or columns that are the inputs; none to find the only one.
        reader: Opens the file instead of the format that its extension names.
        with_labels: Whether to look for labels in it.

    Raises:
        ConfigError: If inputs are named in a file of one array.
        ShardError: If the file is broken, lacks an input, or it is not plain what is what.
        FormatError: If its extension is not known.
    """
    remedy = "Remove the file."
    if fields:
        keys, label_key = _named_keys(path, headers, fields, with_labels=with_labels)
    elif reader:
        return [_of_numbers(_with_rows(measure(path, reader=reader), remedy))], None
    else:
        keys, label_key = _choose_keys(path, headers)
    inputs = [_of_numbers(_with_rows(headers.measure(path, key), remedy)) for key in keys]
    if label_key is None or not with_labels:
        return inputs, None
    return inputs, headers.measure(path, label_key)


def _with_rows(piece: Piece, remedy: str) -> Piece:
    if piece.num_rows == 0:
        raise ShardError(f"Expected at least one row, but got none. {remedy}", path=piece.path)
    return piece


def _of_numbers(piece: Piece) -> Piece:
    if piece.dtype is not None and piece.dtype.kind in TEXT.kind:
        where = f" in {piece.key!r}" if piece.key else ""
        problem = f"Expected numbers{where}, but got words, which only labels may be."
        raise ShardError(f"{problem} Encode them first.", path=piece.path)
    return piece


def _named_keys(
    path: Path, headers: Headers, fields: Fields, *, with_labels: bool
) -> tuple[list[Key], str | None]:
    """Take the inputs that are named, and choose the array or column of labels beside them.

    Raises:
        ConfigError: If the file holds one array, or columns are named that are no columns.
        ShardError: If there are several arrays of labels.
    """
    form = format_of(path)
    if form.keys is None:
        problem = f"Expected no `inputs` for a file of one array, but got {list(fields)} for {path}"
        raise ConfigError(f"{problem}. Keep each input in a folder, and name the folders.")
    used: set[str] = set()
    for name, source in fields.items():
        if not (form.is_table or isinstance(source, str)):
            problem = f"Expected one array for {name!r} in `inputs`, but got {list(source)!r}"
            raise ConfigError(f"{problem} for {path}. Lists are for columns of tables.")
        used.update([source] if isinstance(source, str) else source)
    others = _beside(path, used, headers) if with_labels else []
    return list(fields.values()), _label_name(path, others)


def _beside(path: Path, used: set[str], headers: Headers) -> list[str]:
    """List the arrays or columns of a file that are not used."""
    names = headers.headings(path)
    if not used <= set(names):  # columns that are asked for by what is in the first line have names
        names = headers.keys(path)
    return [name for name in names if name not in used]


def _label_name(path: Path, names: Iterable[str]) -> str | None:
    found = [name for name in names if name.lower() in LABEL_NAMES]
    if len(found) > 1:
        problem = f"Expected one array of labels in a shard, but got {list_some(found)}."
        raise ShardError(f"{problem} Keep one of them.", path=path)
    return found[0] if found else None


def _refuse_none(path: Path) -> None:
    """Make sure that a file of arrays that have names has one at least."""
    form = format_of(path)
    if form.keys is not None and not form.is_table:
        problem = "Expected one array, but got none at the top level of the file."
        raise ShardError(f"{problem} Those in groups are not used: copy them there.", path=path)


def _choose_keys(path: Path, headers: Headers) -> tuple[list[Key], str | None]:
    """Choose the arrays or columns of a shard: those of the inputs, and that of the labels.

    Raises:
        ShardError: If there is not one array of each.
    """
    names = headers.keys(path)
    label_name = _label_name(path, names)
    inputs = tuple(name for name in names if name != label_name)
    if not names:
        _refuse_none(path)
        return [None], None
    if not inputs:
        problem = f"Expected an array of inputs beside {label_name!r}, but there is none."
        raise ShardError(problem, path=path)
    if format_of(path).is_table:
        return [inputs], label_name
    if len(inputs) > 1:
        problem = f"Expected one array of inputs in a shard, but got {list_some(inputs)}."
        remedy = "Pass `inputs` with the names of those wanted; labels are called 'y'."
        if all(name.isdecimal() for name in inputs):
            remedy = "If the file holds all sets, pass its own path."
        raise ShardError(f"{problem} {remedy}", path=path)
    return [inputs[0]], label_name
