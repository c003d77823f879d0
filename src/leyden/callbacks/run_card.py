"""Keep a run in one picture."""

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.callbacks.kept_figure import KeptFigure
from leyden.callbacks.run_facts import data_state, hyper_parameters, last_metrics, train_state
from leyden.callbacks.run_folder import folder_to_write
from leyden.errors import check_number, check_version
from leyden.report import draw_card
from leyden.runs import RunDir
from leyden.tracking import FileLogger, History, epoch_ends, log_figure, read_metrics
from leyden.types import Phase

__all__ = ["RunCard"]


class RunCard(Callback):
    """Keep a picture of the run current: how it was set up, how far it has come, how it went.

    It has hyper-parameters, the state of training and of the data, the last metrics, and the
    history of all metrics of a phase beside them. It is drawn at ends of validations and train
    epochs, at the end of training and testing, and when the run is broken off. The history is that
    of the ``FileLogger`` among the trainer's loggers; without one, the card keeps what it sees at
    these moments. Lightning averages the metrics of a train epoch after that epoch's end, so the
    next drawing shows them. Those at the end of training and testing are handed to loggers that
    take figures, as ``card``. A development run (``fast_dev_run``) leaves no card.

    Args:
        path: The PNG file; ``card.png`` in the folder of the run if ``None``.
        every_seconds: Time from one drawing to the next within training.
        exclude: Facts to leave out: names in which ``*`` stands for any part.

    Raises:
        ConfigError: If ``every_seconds`` is below zero.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[RunCard()])
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        every_seconds: float = 30.0,
        exclude: str | Sequence[str] = (),
    ) -> None:
        super().__init__()
        check_number("every_seconds", every_seconds, 0)
        self._path = None if path is None else Path(path)
        self._every_seconds = every_seconds
        self._exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        self._target: Path | None = None
        self._metrics_path: Path | None = None
        self._seen: dict[str, dict[int, float]] = {}  # values by step, by name
        self._last: dict[str, float] = {}
        self._drawn_at = -float("inf")
        self._file = KeptFigure("card")

    @cached_property  # which Lightning asks for in every hook of every step
    @override
    def state_key(self) -> str:
        # By its name, which stays when the folder of the run is moved.
        return self._generate_state_key(path=None if self._path is None else self._path.name)

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._target = self._metrics_path = None
        self._last = {}
        if stage == "fit":
            self._seen = {}
        folder = folder_to_write(trainer)
        if folder is None:
            return
        loggers = [logger for logger in trainer.loggers if isinstance(logger, FileLogger)]
        self._metrics_path = loggers[0].metrics_path if loggers else None
        self._target = self._path or RunDir(folder).card_path

    @override
    def state_dict(self) -> dict[str, Any]:
        seen = {
            name: {str(step): value for step, value in curve.items()}
            for name, curve in self._seen.items()
        }
        return {"version": 1, "seen": seen}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the metrics that were seen.

        Raises:
            ResumeError: If the state is of another version of leyden; nothing is changed then.
        """
        check_version(state_dict, 1)
        self._seen = {
            name: {int(step): value for step, value in curve.items()}
            for name, curve in state_dict["seen"].items()
        }

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._note(trainer)
            self._draw_if_due(trainer, pl_module)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note(trainer)  # averages of the epoch before; at its end they are not final

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw_if_due(trainer, pl_module)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note(trainer)
        self._draw(trainer, pl_module, is_last=True)

    @override
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note(trainer)
        self._draw(trainer, pl_module, is_last=True)

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._draw(trainer, pl_module)

    def _note(self, trainer: Trainer) -> None:
        """Note what was logged last; every rank asks, for some metrics are computed together."""
        self._last = last_metrics(trainer)
        if self._target is None or self._metrics_path is not None:
            return
        step = max(0, trainer.global_step - 1)
        for name, value in self._last.items():
            curve = self._seen.setdefault(name, {})
            if not curve or next(reversed(curve.values())) != value:  # else it is still the old one
                curve[step] = value

    def _draw_if_due(self, trainer: Trainer, module: LightningModule) -> None:
        if time.monotonic() - self._drawn_at >= self._every_seconds:
            self._draw(trainer, module)

    def _draw(self, trainer: Trainer, module: LightningModule, *, is_last: bool = False) -> None:
        if self._target is None:
            return
        history = self._history()
        shown = {name: curve for name, curve in history.items() if _has_phase(name)}
        blocks = self._blocks(trainer, module, shown)
        figure = draw_card(blocks, shown, epoch_ends=epoch_ends(history))
        self._file.write(figure, self._target)
        if is_last:
            log_figure(trainer.loggers, "card", figure, trainer.global_step)
        self._drawn_at = time.monotonic()

    def _history(self) -> History:
        if self._metrics_path is not None:
            return read_metrics(self._metrics_path) if self._metrics_path.exists() else {}
        return {
            name: (np.array(list(curve), dtype=np.int64), np.array(list(curve.values())))
            for name, curve in self._seen.items()
        }

    def _blocks(
        self, trainer: Trainer, module: LightningModule, history: History
    ) -> dict[str, dict[str, Any]]:
        logged = {name: float(values[-1]) for name, (_, values) in history.items() if len(values)}
        blocks = {
            "HYPERPARAMETERS": hyper_parameters(trainer, module),
            "TRAIN STATE": train_state(trainer),
            "TRAIN DATA": data_state(trainer, Phase.TRAIN),
            "VAL DATA": data_state(trainer, Phase.VAL),
            "METRICS": {**logged, **self._last},
        }
        return {
            title: {name: value for name, value in facts.items() if not self._is_excluded(name)}
            for title, facts in blocks.items()
            if facts
        }

    def _is_excluded(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._exclude)


def _has_phase(name: str) -> bool:
    return name.partition("/")[0] in tuple(Phase)
