"""Which sets are kept in memory, and reading them there."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, TypeAlias

import numpy as np
import psutil
from rich.console import Console
from rich.progress import track

from leyden.data.gather import ShardStore
from leyden.errors import ConfigError, DataError
from leyden.shards import Catalog
from leyden.shards.numbering import list_some
from leyden.types import Array

__all__ = ["Preload", "Preloader", "check_preload"]

Preload: TypeAlias = Literal["all"] | str | int | Sequence[int] | Array | None
"""``"all"`` sets, as many as fit into ``"4GiB"`` or a number of bytes, set numbers, or none."""

_UNITS = {"": 1, "k": 1, "m": 2, "g": 3, "t": 4}
_SHARE = 0.8  # of the memory that is free


def check_preload(preload: Preload) -> int | tuple[int, ...] | None:
    """Make sense of what is to be kept in memory.

    Args:
        preload: See ``Preload``.

    Returns:
        A budget in bytes, or set numbers; ``None`` for all sets.

    Raises:
        ConfigError: If it is none of these.

    Example:
        >>> check_preload("4GiB"), check_preload("1.5 MB"), check_preload([3, 7])
        (4294967296, 1500000, (3, 7))
    """
    given: Any = preload.tolist() if isinstance(preload, np.ndarray) else preload
    if given is None:
        return 0
    if _is_whole(given) and given >= 0:
        return int(given)
    if isinstance(given, str):
        if given == "all":
            return None
        if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", given.strip().lower()):
            number, unit, binary = found.groups()
            base = 1024 if binary else 1000
            return int(float(number) * base ** (_UNITS[unit] if unit else 0))
    elif isinstance(given, Sequence) and all(map(_is_whole, given)):
        return tuple(map(int, given))
    problem = f"Expected `preload` to be 'all', a size, set numbers or None, but got {preload!r}."
    raise ConfigError(f"{problem} Write a size as '4GiB'.")


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


class Preloader:
    """Reads sets into memory, phase after phase, for as long as there is room.

    What does not fit is read from its files as it is needed, as if it had not been asked for.

    Args:
        preload: See ``Preload``.

    Raises:
        ConfigError: If ``preload`` is of no known kind.
    """

    def __init__(self, preload: Preload) -> None:
        self._wanted = check_preload(preload)
        self._used = 0

    def check(self, catalogs: Iterable[Catalog]) -> None:
        """Make sure that sets exist which are wanted by their numbers.

        Raises:
            DataError: If one does not.
        """
        known = {number for catalog in catalogs for number in catalog.set_numbers}
        numbers = self._wanted if isinstance(self._wanted, tuple) else ()
        if unknown := [number for number in numbers if number not in known]:
            problem = f"Expected `preload` to name sets that exist, but got {unknown}."
            raise DataError(f"{problem} Known: {list_some(sorted(known))}.")

    def fill(self, store: ShardStore) -> None:
        """Read the sets of a store, in the order of their numbers.

        Raises:
            ShardError: If a shard is missing or broken.
        """
        if self._wanted == 0:
            return
        named = self._wanted if isinstance(self._wanted, tuple) else None
        numbers = [n for n in store.catalog.set_numbers if named is None or n in named]
        sizes = {number: store.set_bytes(number) for number in numbers}
        free = int(_SHARE * psutil.virtual_memory().available)
        budget = self._wanted - self._used if isinstance(self._wanted, int) else free
        fitting = _fit(sizes, min(budget, free))
        kept, total = sum(sizes[number] for number in fitting), sum(sizes.values())
        self._used += kept
        if kept < total:
            warnings.warn(
                f"`preload` has {_size(min(budget, free))} for {len(sizes)} sets of {_size(total)}:"
                f" {len(fitting)} sets, {_size(kept)}, are kept in memory, and"
                f" {len(sizes) - len(fitting)} sets, {_size(total - kept)}, are read from their"
                " files.",
                stacklevel=2,
            )
        for number in _shown(fitting, kept):
            store.preload(number)


def _fit(sizes: Mapping[int, int], budget: int) -> list[int]:
    """Choose from the first on what fits, leaving out what does not."""
    fitting, used = [], 0
    for number, size in sizes.items():
        if used + size <= budget:
            fitting.append(number)
            used += size
    return fitting


def _shown(numbers: Sequence[int], num_bytes: int) -> Iterable[int]:
    """Show progress to people, where it takes a while."""
    console = Console(stderr=True)
    hidden = not console.is_terminal or num_bytes < 1 << 30
    return track(numbers, "Preloading", console=console, transient=True, disable=hidden)


def _size(num_bytes: int) -> str:
    size, units = float(num_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.3g} {units[0]}"
