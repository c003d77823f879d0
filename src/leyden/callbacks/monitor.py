"""What all monitors share: when they look, and where their figures go."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from leyden.errors import ConfigError, check_version
from leyden.lifecycle import Counters, Every, find_window

__all__ = ["BetweenSteps", "Monitor", "check_in_step"]

_STATE_VERSION = 1


class Monitor(Callback):
    """Looks at a module from time to time, and hands all figures of a look to the loggers at once.

    Figures are logged by rank zero, with the optimizer step that was made last, counted from zero
    as Lightning counts when it logs: with manual optimization, a batch is a step. Counts go on
    after a resumed checkpoint.

    Args:
        every: When to look.
        identity: What tells it from another monitor of its kind in a checkpoint.

    Attributes:
        figures: The figures of the last look, by name.
        step: The step they were logged with; ``None`` before the first look.

    Raises:
        ConfigError: If ``every`` is something else.
    """

    def __init__(self, every: Every, **identity: Any) -> None:
        super().__init__()
        if not isinstance(every, Every):
            raise ConfigError(
                f"Expected `every` to be such as Every(batches=50), but got {every!r}. "
                "It is in leyden.lifecycle."
            )
        self.every, self._identity = every, identity
        self.figures: dict[str, float] = {}
        self.step: int | None = None
        self._unit = every.unit
        self._counters = Counters()

    @cached_property  # which Lightning asks for in every hook of every step
    @override
    def state_key(self) -> str:
        return self._generate_state_key(every=str(self.every), **self._identity)

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":  # a checkpoint that is resumed is loaded after this
            self._counters, self.figures, self.step = Counters(), {}, None

    @override
    def state_dict(self) -> dict[str, Any]:
        return {
            "version": _STATE_VERSION,
            "counters": self._counters.state_dict(),
            "figures": dict(self.figures),
            "step": self.step,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting where another run was.

        Raises:
            ResumeError: If the state is of another version of leyden; nothing is changed then.
        """
        check_version(state_dict, _STATE_VERSION)
        counters = Counters()
        counters.load_state_dict(state_dict["counters"])
        self._counters = counters
        self.figures, self.step = dict(state_dict["figures"]), state_dict["step"]

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._counters.num_iters += 1
        self._counters.num_batches += find_window(trainer, batch_idx).is_last

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._counters.num_epochs += 1

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._counters.num_validations += 1

    def _is_due(self, unit: str) -> bool:
        """Say whether to look, where something has just been counted."""
        return unit == self._unit and self.every.due(getattr(self._counters, f"num_{unit}"))

    def _is_due_in_step(self, trainer: Trainer, batch_idx: int) -> bool:
        """Say whether to look at the train step that is being made."""
        counters, unit = self._counters, self._unit
        if unit == "iters":
            return self.every.due(counters.num_iters + 1)
        if unit == "batches":
            is_due = self.every.due(counters.num_batches + 1)
            return is_due and find_window(trainer, batch_idx).is_last
        is_last = unit == "epochs" and trainer.is_last_batch
        return is_last and self.every.due(counters.num_epochs + 1)

    def _log(self, trainer: Trainer, figures: Mapping[str, float]) -> None:
        """Keep figures, and have all loggers write them in one call each."""
        self.figures, self.step = dict(figures), _last_step(trainer)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics({"epoch": trainer.current_epoch, **figures}, step=self.step)


def _last_step(trainer: Trainer) -> int:
    """Count as Lightning does when it logs, which with manual optimization counts batches."""
    is_automatic = getattr(trainer.lightning_module, "automatic_optimization", True)
    last = trainer.global_step - 1 if is_automatic else trainer.fit_loop.total_batch_idx
    return max(0, last)


class BetweenSteps(Monitor):
    """A monitor of what stays from one train step to the next."""

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_due = self._unit != "epochs" and self._is_due_in_step(trainer, batch_idx)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if is_due:
            self._look(trainer, pl_module)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._is_due("epochs"):
            self._look(trainer, pl_module)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if self._is_due("validations") and not trainer.sanity_checking:
            self._look(trainer, pl_module)

    @abstractmethod
    def _look(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look, and log what is found."""


def check_in_step(every: Every) -> None:
    """Refuse frequencies of what happens outside of train steps.

    Args:
        every: When to look.

    Raises:
        ConfigError: If it counts validations.
    """
    if every.unit == "validations":
        raise ConfigError(
            "Expected `every` to count epochs, batches or iters, for there is nothing to look at "
            f"after a validation, but got {str(every)!r}."
        )
