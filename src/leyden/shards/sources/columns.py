"""Columns of a table that is read in pieces: what they hold, and their numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from leyden.types import Array

__all__ = ["MAX_CLASSES", "Column", "encode", "look", "numbers"]

MAX_CLASSES = 100_000
"""Different texts that a column of labels may have."""

_DECIMAL_COMMA = r"^[-+]?\d+(,\d+)?$"
_TRUE, _FALSE = pa_csv.ConvertOptions().true_values, pa_csv.ConvertOptions().false_values
_PARSED = (np.dtype(np.int64), np.dtype(np.bool_), np.dtype(np.float64))  # as Arrow tries them


@dataclass(frozen=True, slots=True)
class Column:
    """What is known of a column after some of it was seen.

    Args:
        dtypes: Those that all of its numbers can have, the best first; none where it holds
            something else.
        kind: What it holds, for people.
        gaps: Cells without a value.
        first_gap: The row of the first of them, from zero; ``None`` without any.
        texts: The different texts, as far as they are kept: more than ``MAX_CLASSES`` are not.
    """

    dtypes: tuple[np.dtype[Any], ...]
    kind: str
    gaps: int
    first_gap: int | None = None
    texts: frozenset[str] = frozenset()

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Of its numbers; ``None`` where it holds something else."""
        return self.dtypes[0] if self.dtypes else None

    def merge(self, other: "Column") -> "Column":
        """Tell what is known after both parts were seen."""
        texts = self.texts if len(self.texts) > MAX_CLASSES else self.texts | other.texts
        first = other.first_gap if self.first_gap is None else self.first_gap
        gaps = self.gaps + other.gaps, first
        dtypes = tuple(dtype for dtype in self.dtypes if dtype in other.dtypes)
        others = [part.kind for part in (self, other) if not part.dtypes] or ["text"]
        return Column(dtypes, self.kind if dtypes else others[0], *gaps, texts)


def look(cells: pa.Array, start: int, *, parse: bool, keep_texts: bool) -> Column:
    """Find out what a piece of a column holds.

    Args:
        cells: The piece.
        start: Rows before it.
        parse: Whether texts may stand for numbers.
        keep_texts: Whether the different texts are wanted.
    """
    is_text = _is_text(cells.type)
    cells = _texts(cells) if is_text else cells
    gaps = cells.null_count, _first_gap(cells, start)
    if is_text:
        dtypes = tuple(dtype for dtype in _PARSED if parse and _is_parsed(cells, dtype))
        texts = pc.unique(cells.drop_null()).to_pylist() if keep_texts else ()
        kind = "numbers" if dtypes else "text"
        if parse and not dtypes and _all_match(cells, _DECIMAL_COMMA):
            kind = "numbers with commas, which need points,"
        return Column(dtypes, kind, *gaps, frozenset(texts))
    if _is_number(cells.type):
        dtype = pa.array([], cells.type).to_numpy(zero_copy_only=False).dtype
        return Column((dtype,), "numbers", *gaps)
    return Column((), str(cells.type), *gaps)


def _first_gap(cells: pa.Array, start: int) -> int | None:
    if not cells.null_count:
        return None
    index: int = pc.index(cells.is_null(), pa.scalar(value=True)).as_py()
    return start + index


def numbers(cells: pa.Array, dtype: np.dtype[Any]) -> Array:
    """Take the numbers out of a piece of a column.

    Args:
        cells: Numbers, or texts that stand for them; no gaps.
        dtype: What to make of them; of texts, one of those that all of them can have.
    """
    if _is_text(cells.type):
        cells = _parse(_texts(cells), dtype)
    array: Array = cells.to_numpy(zero_copy_only=False)
    return array.astype(dtype, copy=False)


def encode(cells: pa.Array, class_names: tuple[str, ...]) -> Array:
    """Replace texts by their places among the names of the classes, int64 ``(rows,)``."""
    codes = pc.index_in(_texts(cells), value_set=pa.array(class_names, pa.string()))
    return numbers(codes, np.dtype(np.int64))


def _all_match(cells: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())


def _texts(cells: pa.Array) -> pa.Array:
    """Take texts for one type of text, without white space around them; an empty one is a gap."""
    texts = pc.utf8_trim_whitespace(pc.cast(cells, pa.string()))
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _is_parsed(texts: pa.Array, dtype: np.dtype[Any]) -> bool:
    """Say whether all texts stand for numbers of a dtype, as Arrow reads a table."""
    if dtype.kind == "b":
        known = pa.array([*_TRUE, *_FALSE, None], pa.string())
        return bool(pc.all(pc.is_in(texts, value_set=known)).as_py())
    try:
        _parse(texts, dtype)
    except pa.ArrowInvalid:
        return False
    return True


def _parse(texts: pa.Array, dtype: np.dtype[Any]) -> pa.Array:
    if dtype.kind == "b":
        return pc.is_in(texts, value_set=pa.array(_TRUE, pa.string()))
    return pc.cast(texts, pa.from_numpy_dtype(dtype))


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
