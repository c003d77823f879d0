"""Arrays as text within a page, few enough that it stays small."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leyden.report.logged_steps import logged_steps
from leyden.types import Array, Phase

__all__ = ["Packed", "pack_curves", "pack_timeline", "thin"]

_MAX_NUMBERS = 400_000  # of all curves together: 2.1 MB of text
_MAX_ENTRIES = 120_000  # of the timeline: 2.1 MB of text
_PHASES = tuple(phase.value for phase in Phase)


@dataclass(frozen=True, slots=True)
class Packed:
    """What a page is given.

    Args:
        content: For JSON; arrays are base64 of little-endian numbers.
        kept: How many of the points or entries are there.
        total: How many there were.
    """

    content: Any
    kept: int
    total: int


def thin(values: Array, limit: int) -> Array:
    """Choose points of a curve so that it looks the same.

    The curve is cut into stretches of equal length, of each of which the lowest, the highest and
    the first value that is not a number stay, and so do the first and the last point.

    Args:
        values: Of the curve, ``(points,)``.
        limit: How many points are to be left, about; at least 2.

    Returns:
        Indices, ascending; all of them if there are no more than ``limit``.

    Example:
        >>> thin(np.array([0.0, 5.0, 1.0, 1.0, -5.0, 1.0, 1.0, 2.0]), 4).tolist()
        [0, 1, 4, 7]
    """
    count = len(values)
    if count <= limit:
        return np.arange(count)
    starts = np.linspace(0, count, max(1, limit // 2), endpoint=False).astype(int)
    lengths = np.diff([*starts, count])
    stretch = np.repeat(np.arange(len(starts)), lengths)
    is_nan = np.isnan(values)
    lowest = np.lexsort((values, is_nan, stretch))[starts]
    highest = np.lexsort((-values, is_nan, stretch))[starts]
    _, first = np.unique(stretch[is_nan], return_index=True)
    broken = np.flatnonzero(is_nan)[first]
    return np.unique(np.concatenate([[0, count - 1], lowest, highest, broken]))


def pack_curves(
    history: Mapping[str, tuple[Array, Array]], *, max_numbers: int = _MAX_NUMBERS
) -> Packed:
    """Pack curves; the longest ones are thinned until all fit.

    Args:
        history: Steps and values, ``(rows,)`` each, by name.
        max_numbers: How many numbers may be packed, about.

    Returns:
        ``axes`` and ``curves``, of which each has a name, the index of its axis and its values.
        Curves with the same steps share an axis.
    """
    curves = {name: curve for name, curve in history.items() if len(curve[0])}
    limit = _find_limit([len(steps) for steps, _ in curves.values()], max_numbers)
    axes: dict[bytes, tuple[int, Any]] = {}
    packed = []
    kept = 0
    for name, (steps, values) in curves.items():
        chosen = thin(values, limit)
        shown = steps[chosen]
        index, _ = axes.setdefault(shown.tobytes(), (len(axes), _pack_steps(shown)))
        packed.append({"name": name, "axis": index, "values": _pack(values[chosen], "<f4")})
        kept += len(chosen)
    content = {"axes": [axis for _, axis in axes.values()], "curves": packed}
    return Packed(content, kept, sum(len(steps) for steps, _ in curves.values()))


def pack_timeline(ledger: Any, *, max_entries: int = _MAX_ENTRIES) -> Packed:
    """Pack which set was used at which step, and the loss there.

    Args:
        ledger: What ``read_ledger`` returns.
        max_entries: Beyond so many, some are chosen by chance, always the same.

    Returns:
        Arrays with an entry for each set of each batch whose sets are known: ``step`` from zero,
        as metrics count; ``set``, an index of ``numbers``; ``loss``; ``phase``, an index of
        ``phases``.
    """
    sets = ledger["sets"].combine_chunks()
    rows, flat = pc.list_parent_indices(sets).to_numpy(), pc.list_flatten(sets).to_numpy()
    total = len(rows)
    if total > max_entries:
        # By chance: every k-th might be the same sets in every epoch.
        chosen = np.random.default_rng(0).choice(total, max_entries, replace=False)
        chosen.sort()
        rows, flat = rows[chosen], flat[chosen]
    numbers, index = np.unique(flat, return_inverse=True)
    loss = ledger["loss"].cast(pa.float64()).fill_null(float("nan")).to_numpy()[rows]
    phase = pc.index_in(ledger["phase"], value_set=pa.array(_PHASES)).fill_null(0).to_numpy()[rows]
    content = {
        "phases": list(_PHASES),
        "numbers": _pack_steps(numbers),
        "step": _pack_steps(logged_steps(ledger)[rows]),
        "set": _pack(index, "<u2" if len(numbers) <= 1 << 16 else "<u4"),
        "loss": _pack(loss, "<f4"),
        "phase": _pack(phase, "<u1"),
    }
    return Packed(content, len(rows), total)


def _find_limit(lengths: list[int], max_numbers: int) -> int:
    """Find how many points a curve may have; a thinned one has an axis of its own."""
    limit = max([2, *lengths])
    while limit > 2 and sum(_cost(length, limit) for length in lengths) > max_numbers:
        limit = max(2, limit * 4 // 5)
    return limit


def _cost(length: int, limit: int) -> int:
    return length if length <= limit else 2 * limit


def _pack_steps(steps: Array) -> Any:
    """Pack whole numbers, in short if they are evenly spaced."""
    stride = int(steps[1] - steps[0]) if len(steps) > 1 else 1
    if len(steps) and (np.diff(steps) == stride).all():
        return {"start": int(steps[0]), "stride": stride, "count": len(steps)}
    is_small = not len(steps) or np.abs(steps).max() < 1 << 31
    return _pack(steps, "<i4" if is_small else "<f8")


def _pack(values: Array, dtype: str) -> dict[str, str]:
    with np.errstate(over="ignore"):  # beyond single precision is infinite
        content = np.ascontiguousarray(values).astype(dtype).tobytes()
    return {"dtype": dtype[1:], "base64": base64.b64encode(content).decode()}
