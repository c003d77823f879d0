"""Names of runs that tell what is trained: ``M8__cnn-BS32-filters32_64-lr2e-4__max.975``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, groupby
from pathlib import Path
from typing import Any

import numpy as np

from leyden.files import make_folder

__all__ = ["build_name", "encode_best", "encode_value", "next_number"]

_MISSING = object()
_MAX_LENGTH = 120  # characters of a name, of the 255 that a file system takes
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_NUMBERED = re.compile(r"(?:^|-)M(\d+)__")


def build_name(
    base: str,
    values: Any,
    fields: Mapping[str, str | None],
    *,
    number: int | None = None,
    best: float | None = None,
    higher_is_better: bool = False,
) -> str:
    """Build the name of a run from what tells it from others.

    Args:
        base: What the model is called.
        values: Where values are looked up: a mapping, or an object with attributes, nested.
        fields: Keys, in which dots lead inwards, and what stands before their values: ``None`` for
            the key itself, its last part; an empty text for nothing. What is missing is left out.
        number: Of the run; ``None`` for none.
        best: The best value of the monitored metric; ``None`` for none.
        higher_is_better: Which way it is.

    Returns:
        The name, of letters, digits and ``._+=,-`` only.

    Example:
        >>> values = {"data": {"batch_size": 32}, "filters": [32, 64], "optimizer": {"lr": 2e-4}}
        >>> fields = {"data.batch_size": "BS", "filters": None, "optimizer.lr": "lr"}
        >>> build_name("cnn", values, fields, number=8, best=0.97512, higher_is_better=True)
        'M8__cnn-BS32-filters32_64-lr2e-4__max.975'
    """
    parts = [base]
    for key, alias in fields.items():
        value = _look_up(values, key)
        if value is not _MISSING:
            label = key.rpartition(".")[2] if alias is None else alias
            parts.append(f"{label}{encode_value(value, key)}")
    start = "" if number is None else f"M{number}__"
    end = "" if best is None else f"__{'max' if higher_is_better else 'min'}{encode_best(best)}"
    middle = _safe("-".join(parts))[: _MAX_LENGTH - len(start) - len(end)]
    return f"{start}{middle}{end}"


def encode_value(value: Any, key: str = "") -> str:
    """Write a value shortly enough for a name.

    Args:
        value: A number, a text, a list of them, a class or any object.
        key: Of what it is the value: a ``name`` is left out, and ``timesteps`` are thousands.

    Returns:
        Its text. Numbers are without what goes without saying, equal ones in a row are there once,
        and objects are told by their class.

    Example:
        >>> [encode_value(one) for one in (2e-4, 0.5, 2.0, [2e-4, 2e-4, 2e-4, 1e-4], 32)]
        ['2e-4', '.5', '2.', '2e-4x3_1e-4', '32']
        >>> encode_value(13500, "timesteps"), encode_value((0.9, 1.1, 2))
        ('13.5k', '.9_1.1_2')
    """
    last = key.rpartition(".")[2]
    if last == "name":
        return ""
    if last == "timesteps":
        return f"{format(value / 1000, '.3f').rstrip('0').rstrip('.')}k"
    if isinstance(value, list | tuple):
        return "_".join(_runs_of([encode_value(one) for one in value]))
    if isinstance(value, np.generic):
        value = value.item()
    return _encode_float(value) if isinstance(value, float) else _encode_word(value)


def encode_best(value: float) -> str:
    """Write a metric in three decimals, without a zero before the point.

    Example:
        >>> [encode_best(one) for one in (0.97512, 0.91, 10.5, 20.0, -0.5)]
        ['.975', '.910', '10.500', '20.000', '-.500']
    """
    return _without_zero(format(value, ".3f"))


@contextmanager
def next_number(parent: Path) -> Iterator[int]:
    """Hold a number that no run below a folder has, until the folder of the run is made.

    Args:
        parent: Where runs lie, in folders of days; made if it does not exist.

    Yields:
        One more than the greatest there is, from 1; nobody else gets it meanwhile. Folders with
        other names do not matter.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with next_number(Path(folder)) as one, next_number(Path(folder)) as other:
        ...         (one, other)
        (1, 2)
    """
    make_folder(parent)
    for number in count(max(_numbers_of_runs(parent), default=0) + 1):
        marker = parent / f".M{number}"
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            if number in _numbers_of_runs(parent):  # since it was looked for
                continue
            yield number
            return
        finally:
            marker.unlink()


def _numbers_of_runs(parent: Path) -> set[int]:
    found = (_NUMBERED.search(path.name) for path in parent.glob("*/*M*__*"))
    return {int(match[1]) for match in found if match}


def _look_up(values: Any, key: str) -> Any:
    """Find a value by its whole key, or part by part."""
    found = _one(values, key)
    for part in key.split(".") if found is _MISSING else ():
        found = _one(values if found is _MISSING else found, part)
        if found is _MISSING:
            return _MISSING
    return found


def _one(values: Any, key: str) -> Any:
    if isinstance(values, Mapping):
        return values.get(key, _MISSING)
    return getattr(values, key, _MISSING)


def _runs_of(texts: Sequence[str]) -> list[str]:
    """Write equal texts in a row once, with their number."""
    groups = [(text, len(list(group))) for text, group in groupby(texts)]
    return [text if number == 1 else f"{text}x{number}" for text, number in groups]


def _encode_float(value: float) -> str:
    if value and abs(value) < 0.01:
        digits, _, power = format(value, ".2e").partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return _without_zero(format(value, ".3f").rstrip("0")) if value else "0."


def _encode_word(value: Any) -> str:
    if isinstance(value, str):
        return value.rpartition(".")[2] if _IMPORT_PATH.fullmatch(value) else value
    if value is None or isinstance(value, int):
        return str(value)
    kind = value if hasattr(value, "__name__") else type(value)
    return str(kind.__name__)


def _without_zero(text: str) -> str:
    return re.sub(r"^(-?)0\.(?=\d)", r"\1.", text)


def _safe(text: str) -> str:
    """Keep what every file system and every shell takes as it is."""
    return re.sub(r"[^A-Za-z0-9._+=,-]+", "_", text)
