"""Set the global generators anew at chosen stages."""

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
from typing_extensions import override

from leyden.callbacks.stage_hooks import StageHooks
from leyden.errors import ConfigError, check_number, check_whole, suggest
from leyden.lifecycle import STAGES, Stage, TraingenCallback

__all__ = ["Reseeder"]

_log = logging.getLogger(__name__)

_GENERATORS: Final[dict[str, Callable[[int], Any]]] = {
    "python": random.seed,
    "numpy": np.random.seed,
    "torch": torch.manual_seed,
}
_MOST: Final = 2**32 - 1  # that NumPy takes


class Reseeder(StageHooks):
    """Raise the seeds by one, and seed the global generators, at every n-th time of a stage.

    For ``Trainer(callbacks=...)``, or among other hooks in ``StageHooks``. A run that is resumed
    begins with the seeds of its checkpoint; as saving one is a stage at which generators are
    seeded, it goes on with the numbers that the other run drew.

    Args:
        seeds: The seeds before the first time: one number for all, or numbers by ``"python"``,
            ``"numpy"`` and ``"torch"``.
        every: At every how many occurrences, by stage; ``"val_end"`` stands for the end of every
            validation.

    Raises:
        ConfigError: If a stage or generator is unknown, or a number is not whole.
    """

    def __init__(
        self, seeds: int | Mapping[str, int] = 0, every: Mapping[Stage, int] | None = None
    ) -> None:
        self._reseeding = _Reseeding(seeds, every)
        super().__init__(self._reseeding)

    @property
    def seeds(self) -> dict[str, int]:
        """What the generators were seeded with last, or the seeds before the first time."""
        return self._reseeding.seeds


class _Reseeding(TraingenCallback):
    """Counts stages, and seeds."""

    def __init__(
        self, seeds: int | Mapping[str, int] = 0, every: Mapping[Stage, int] | None = None
    ) -> None:
        self.seeds = _read_seeds(seeds)
        default: dict[Stage, int] = {"train:epoch": 2, "save": 1}
        told: Any = every
        if not isinstance(told, Mapping | None):
            problem = "Expected `every` to be numbers by stage, such as {'train:epoch': 2}"
            raise ConfigError(f"{problem}, but got {told!r}.")
        self._every = default if every is None else dict(every)
        self._counts: dict[Stage, int] = dict.fromkeys(self._every, 0)
        for stage, count in self._every.items():
            if stage not in STAGES:
                problem = f"Expected `every` to have names of stages, but got {stage!r}."
                raise ConfigError(f"{problem} {suggest(str(stage), map(str, STAGES))}")
            check_whole(f"every[{stage!r}]", count, 1)

    @override
    def on_train_iter_end(self, stage: Stage) -> None:
        self._count(stage)

    on_train_batch_end = on_train_epoch_end = on_train_iter_end
    on_val_iter_end = on_val_batch_end = on_val_epoch_end = on_val_end = on_train_iter_end
    on_save = on_train_iter_end

    @override
    def on_load(self, stage: Stage) -> None:
        self._apply()

    def _count(self, stage: Stage) -> None:
        keys: list[Stage] = [stage, "val_end"] if isinstance(stage, tuple) else [stage]
        for key in self._every.keys() & keys:
            self._counts[key] += 1
            if self._counts[key] % self._every[key] == 0:
                self.seeds = {name: seed + 1 for name, seed in self.seeds.items()}
                self._apply()

    def _apply(self) -> None:
        for name, seed in self.seeds.items():
            _GENERATORS[name](seed)
        _log.info("generators seeded: %s", self.seeds)

    def state_dict(self) -> dict[str, Any]:
        return {"seeds": dict(self.seeds), "counts": list(self._counts.values())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seeds = _read_seeds(state["seeds"])
        if len(state["counts"]) == len(self._every):  # else it was told other stages
            self._counts = dict(zip(self._every, state["counts"], strict=True))


def _read_seeds(seeds: int | Mapping[str, int]) -> dict[str, int]:
    by_name = dict(seeds) if isinstance(seeds, Mapping) else dict.fromkeys(_GENERATORS, seeds)
    if set(by_name) != set(_GENERATORS):
        problem = f"Expected `seeds` to have the keys {sorted(_GENERATORS)}"
        raise ConfigError(f"{problem}, but got {sorted(by_name)}.")
    for seed in by_name.values():
        check_whole("seeds", seed, 0)
        check_number("seeds", seed, 0, _MOST)
    return by_name
