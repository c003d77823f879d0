"""Collect results over an epoch."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from typing_extensions import override

from leyden.errors import DataError
from leyden.files import replacing
from leyden.lifecycle import Hook, Results
from leyden.types import Array

__all__ = ["CollectorHook"]


class CollectorHook(Hook):
    """Join the arrays that lie at paths of the results, and write them to a file after each epoch.

    ``0000120_results.npz`` holds what the epoch gave that ended with step 120: arrays joined along
    their first axis, by their paths with ``_`` for each slash. The first process writes what it saw
    itself. After an interruption in the middle of an epoch, the file holds the rest of it.

    Args:
        paths: Paths of results, with arrays or nested dictionaries of arrays.
        save_root: Where the files go; ``results`` in the folder of the run if ``None``.

    Raises:
        DataError: At a step, if something is not an array of numbers or texts.
    """

    def __init__(self, paths: Sequence[str], save_root: str | Path | None = None) -> None:
        self._paths = list(paths)
        self._save_root = None if save_root is None else Path(save_root)
        self._pieces: dict[str, list[Array]] = defaultdict(list)

    @override
    def wants(self, step: int) -> Iterable[str]:
        return self._paths

    @override
    def after_step(self, step: int, results: Results) -> None:
        if not self.run.writes:
            return
        for path in self._paths:
            for name, array in _flatten(path.replace("/", "_"), results[path]):
                self._pieces[name].append(array)

    @override
    def after_epoch(self, epoch: int) -> None:
        arrays = {name: np.concatenate(pieces) for name, pieces in self._pieces.items()}
        self._pieces.clear()
        if arrays:
            folder = self._save_root or self.run.folder / "results"
            path = folder / f"{self.run.global_step:07d}_results.npz"
            with replacing(path) as temporary:
                np.savez(temporary, **arrays)  # type: ignore[arg-type] # taken for allow_pickle


def _flatten(name: str, found: Any) -> Iterator[tuple[str, Array]]:
    if isinstance(found, Mapping):
        for key, item in found.items():
            yield from _flatten(f"{name}_{key}", item)
        return
    array = np.atleast_1d(found.detach().cpu().numpy() if isinstance(found, Tensor) else found)
    if array.dtype.hasobject:
        raise DataError(f"Expected `{name}` to be an array of numbers or texts, but got {found!r}.")
    yield name, array
