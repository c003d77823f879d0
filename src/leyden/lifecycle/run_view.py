"""What a hook is shown of the run it is part of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from leyden.errors import ResumeError

__all__ = ["Counters", "RunView", "Stage"]

Stage: TypeAlias = str | tuple[str, str]
"""A stage, or ``("val_end", "train:epoch")``: the end of the validation that ends an epoch."""


@dataclass(slots=True)
class Counters:
    """How much has been done, over all epochs and resumed runs.

    Args:
        num_iters: Train steps; EDflow's global step, DeepTrain's iterations.
        num_batches: Train batches, each with all its time windows.
        num_epochs: Train epochs that have ended.
        num_val_iters: Validation steps.
        num_val_batches: Validation batches, each with all its time windows.
        num_validations: Validations that have ended.
    """

    num_iters: int = 0
    num_batches: int = 0
    num_epochs: int = 0
    num_val_iters: int = 0
    num_val_batches: int = 0
    num_validations: int = 0

    def state_dict(self) -> dict[str, int]:
        """Write the counters down."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from other counters.

        Args:
            state: What ``state_dict`` returned.

        Raises:
            ResumeError: If it has other names.
        """
        names = {entry.name for entry in fields(self)}
        if set(state) != names:
            problem = f"Expected counters to be {sorted(names)}, but got {sorted(state)}."
            raise ResumeError(f"{problem} The checkpoint is of another version.")
        for name, value in state.items():
            setattr(self, name, value)


class RunView:
    """A run as its hooks see it.

    Args:
        trainer: The Lightning trainer.
        module: The module that is trained.
        folder: Folder of the run.

    Attributes:
        trainer: The Lightning trainer.
        module: The module that is trained.
        folder: Folder of the run.
        counters: How much has been done.
        stage: The stage that callbacks are being called at.
        outputs: What the train or validation step that has just ended returned.
        batch: The batch of that step.
    """

    def __init__(self, trainer: Any, module: Any, folder: Path) -> None:
        self.trainer, self.module, self.folder = trainer, module, folder
        self.counters = Counters()
        self.stage: Stage | None = None
        self.outputs: Any = None
        self.batch: Any = None
        self._requests: list[Path] = []

    @property
    def data(self) -> Any:
        """The data module; ``None`` where there are only loaders."""
        return self.trainer.datamodule

    @property
    def epoch(self) -> int:
        """The train epoch, from zero."""
        return int(self.trainer.current_epoch)

    @property
    def global_step(self) -> int:
        """Train batches so far, whatever the number of optimizers and of batches to a step."""
        return self.counters.num_iters

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files; none does in a development run."""
        return bool(self.trainer.is_global_zero and not self.trainer.fast_dev_run)

    def log_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """Hand numbers to every logger of the trainer.

        Args:
            metrics: Numbers by name.
            step: The step they belong to.
        """
        for logger in self.trainer.loggers:
            logger.log_metrics(dict(metrics), step=step)

    def save_checkpoint(self, path: Path) -> None:
        """Have the trainer save a checkpoint as soon as all hooks have had their turn.

        All processes must ask for it. At the end of an epoch, it is saved after the validation.

        Args:
            path: The file.
        """
        self._requests.append(path)

    @property
    def has_requests(self) -> bool:
        """Whether a checkpoint has been asked for and not been saved yet."""
        return bool(self._requests)

    def take_requests(self) -> list[Path]:
        """Return the checkpoints asked for, and forget them."""
        requests, self._requests = self._requests, []
        return requests
