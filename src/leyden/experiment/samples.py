"""How many rows train, how many validate, how many test, and which."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from leyden.errors import ConfigError, DataError, suggest
from leyden.types import Rows

__all__ = ["PARTS", "Samples", "check_samples", "count_rows", "draw_parts", "plain_samples"]

PARTS = ("train", "val", "test")
_TEST = 0.25  # of the rows, where nothing is said
_TINY = 1e-6  # what sums and products of fractions may be off by, in single precision too

Samples: TypeAlias = Mapping[str, Any]
"""For some of ``PARTS`` a fraction in (0, 1], or a whole number of rows."""


def plain_samples(samples: Any) -> Any:
    """Make numbers of NumPy Python's own, and a fraction of nothing the number 0; leave the rest.

    Example:
        >>> plain_samples({"train": np.int64(40), "test": 0.0})
        {'train': 40, 'test': 0}
    """
    if not isinstance(samples, Mapping):
        return samples
    plain = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in samples.items()
    }
    return {name: 0 if value == 0.0 else value for name, value in plain.items()}


def check_samples(samples: Any) -> None:
    """Refuse samples that no data could have.

    Raises:
        ConfigError: If there is no such part, a number is out of range, or fractions exceed 1.
    """
    if samples is None:
        return
    if not isinstance(samples, Mapping):
        problem = f"Expected `samples` to be a dictionary, but got {samples!r}."
        raise ConfigError(f"{problem} Pass such as {{'train': 0.8, 'test': 0.2}}.")
    for name, value in samples.items():
        if name not in PARTS:
            problem = f"Expected `samples` of {', '.join(PARTS)}, but got {name!r}."
            raise ConfigError(f"{problem} {suggest(str(name), PARTS)}")
        _check_number(name, value)
    total = sum(value for value in samples.values() if isinstance(value, float))
    if total > 1 + _TINY:
        problem = "Expected the fractions of `samples` to be 1 at most together"
        raise ConfigError(f"{problem}, but got {total:g} of {dict(samples)!r}.")


def _check_number(name: str, value: object) -> None:
    fraction = isinstance(value, float) and 0 < value <= 1
    least = 1 if name == "train" else 0
    if not (fraction or (type(value) is int and value >= least)):
        kinds = f"a fraction in (0, 1] or a whole number from {least}"
        raise ConfigError(f"Expected `samples` of {name!r} to be {kinds}, but got {value!r}.")


def count_rows(samples: Samples | None, num_rows: int) -> dict[str, int]:
    """Work out how many rows each part gets.

    Args:
        samples: What was asked for; of ``train`` and ``test``, one that is missing gets the rest,
            and a fraction gets one at least. ``None`` for a quarter to test.
        num_rows: How many there are.

    Returns:
        The numbers of all parts, which may be zero but for ``train``.

    Raises:
        DataError: If there are not enough.

    Example:
        >>> count_rows({"train": 0.7, "val": 0.1}, 10)
        {'train': 7, 'val': 1, 'test': 2}
        >>> count_rows({"test": 3}, 10)
        {'train': 7, 'val': 0, 'test': 3}
    """
    asked = dict(samples or {})
    if "train" not in asked:
        asked.setdefault("test", _TEST)
    counts = {name: _count(asked.get(name, 0), num_rows) for name in PARTS}
    rest = num_rows - sum(counts.values())
    whole = [value for value in asked.values() if isinstance(value, float)]
    if "train" not in asked or (len(whole) == len(asked) and abs(sum(whole) - 1) <= _TINY):
        counts["train"] += rest  # that of fractions which make up the whole is one of rounding
    elif "test" not in asked:
        counts["test"] = rest
    _check_counts(counts, asked, num_rows)
    return counts


def _count(part: Any, num_rows: int) -> int:
    return max(1, math.floor(part * num_rows + _TINY)) if isinstance(part, float) else int(part)


def _check_counts(counts: Mapping[str, int], asked: Samples, num_rows: int) -> None:
    used = sum(counts.values())
    empty = [name for name in PARTS if not counts[name] and (asked.get(name) or name == "train")]
    if used > num_rows or min(counts.values()) < 0 or empty:
        problem = f"Expected enough rows, or sets of shards, for `samples` of {dict(asked)!r}"
        raise DataError(f"{problem}, but there are {num_rows} in all. Ask for less, or bring more.")
    if used < num_rows:
        share = f"{used:,} of {num_rows:,} ({used / num_rows:.0%})"
        warnings.warn(f"`samples` make use of {share} only.", stacklevel=2)


def draw_parts(
    samples: Samples | None, num_rows: int, *, shuffle: bool, seed: int
) -> dict[str, Rows]:
    """Choose the rows of each part.

    Args:
        samples: See ``count_rows``.
        num_rows: How many there are.
        shuffle: Whether they are drawn; else they are taken in their order, those to train first.
        seed: Decides the draw.

    Returns:
        Indices of rows, ``(rows,)``, of each part that has any; no two share one.

    Raises:
        DataError: If there are not enough.
    """
    counts = count_rows(samples, num_rows)
    order = np.random.default_rng(seed).permutation(num_rows) if shuffle else np.arange(num_rows)
    ends = np.cumsum(list(counts.values()))
    parts = np.split(order[: ends[-1]], ends[:-1])
    return {name: part for name, part in zip(counts, parts, strict=True) if len(part)}
