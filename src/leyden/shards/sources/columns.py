"""Columns of a table that is read in pieces: what they hold, and their numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leyden.types import Array

__all__ = ["MAX_CLASSES", "Column", "encode", "look", "numbers"]

MAX_CLASSES = 100_000
"""Different texts that a column of labels may have."""

_DECIMAL_COMMA = r"^[-+]?\d+(,\d+)?$"


@dataclass(frozen=True, slots=True)
class Column:
    """What is known of a column after some of it was seen.

    Args:
        dtype: Of its numbers; ``None`` where it holds something else.
        kind: What it holds, for people.
        gaps: Cells without a value.
        first_gap: The row of the first of them, from zero; ``None`` without any.
        texts: The different texts, as far as they are kept: more than ``MAX_CLASSES`` are not.
    """

    dtype: np.dtype[Any] | None
    kind: str
    gaps: int
    first_gap: int | None = None
    texts: frozenset[str] = frozenset()

    def merge(self, other: "Column") -> "Column":
        """Tell what is known after both parts were seen."""
        texts = self.texts if len(self.texts) > MAX_CLASSES else self.texts | other.texts
        first = other.first_gap if self.first_gap is None else self.first_gap
        gaps = self.gaps + other.gaps, first
        if self.dtype is None or other.dtype is None:
            kind = self.kind if self.dtype is None else other.kind
            return Column(None, kind, *gaps, texts)
        return Column(np.result_type(self.dtype, other.dtype), self.kind, *gaps, texts)


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
        dtype = _parsed_dtype(cells) if parse else None
        texts = pc.unique(cells.drop_null()).to_pylist() if keep_texts else ()
        kind = "text" if dtype is None else "numbers"
        if dtype is None and parse and _all_match(cells, _DECIMAL_COMMA):
            kind = "numbers with commas, which need points,"
        return Column(dtype, kind, *gaps, frozenset(texts))
    if _is_number(cells.type):
        dtype = pa.array([], cells.type).to_numpy(zero_copy_only=False).dtype
        return Column(dtype, "numbers", *gaps)
    return Column(None, str(cells.type), *gaps)


def _first_gap(cells: pa.Array, start: int) -> int | None:
    if not cells.null_count:
        return None
    index: int = pc.index(cells.is_null(), pa.scalar(value=True)).as_py()
    return start + index


def numbers(cells: pa.Array, dtype: np.dtype[Any]) -> Array:
    """Take the numbers out of a piece of a column.

    Args:
        cells: Numbers, or texts that stand for them; no gaps.
        dtype: What to make of them.
    """
    if _is_text(cells.type):
        cells = pc.cast(_texts(cells), pa.from_numpy_dtype(dtype))
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


def _parsed_dtype(texts: pa.Array) -> np.dtype[Any] | None:
    for dtype in (np.dtype(np.int64), np.dtype(np.float64)):
        try:
            pc.cast(texts, pa.from_numpy_dtype(dtype))
        except pa.ArrowInvalid:
            continue
        return dtype
    return None


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))
