"""What the tests of hooks share: a notebook of calls, and a quick trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer


class Notes(list[str]):
    """Calls, in their order."""

    def hook(self, name: str = "") -> Any:
        """Make a hook in EDflow's manner that knows nothing of leyden."""
        return _Steps(self, name)

    def stages(self) -> Any:
        """Make an object in DeepTrain's manner that knows nothing of leyden."""
        return _Stages(self)

    def experiment(self) -> Any:
        """Make a callback in Gymnos' manner that knows nothing of leyden."""
        return _Experiment(self)


class _Steps:
    def __init__(self, notes: Notes, name: str) -> None:
        self.notes, self.name = notes, name

    def before_epoch(self, epoch: int) -> None:
        self.notes.append(f"{self.name}before_epoch {epoch}")

    def before_step(self, step: int, fetches: Any, feeds: Any, batch: Any) -> None:
        self.notes.append(f"{self.name}before_step {step}")

    def after_step(self, step: int, fetches: Any, feeds: Any, batch: Any) -> None:
        self.notes.append(f"{self.name}after_step {step}")

    def after_epoch(self, epoch: int) -> None:
        self.notes.append(f"{self.name}after_epoch {epoch}")

    def at_exception(self, exception: BaseException) -> None:
        self.notes.append(f"{self.name}at_exception {type(exception).__name__}")


class _Stages:
    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def note(self, stage: Any) -> None:
        self.notes.append("+".join(stage) if isinstance(stage, tuple) else stage)

    on_train_iter_end = on_train_batch_end = on_train_epoch_end = note
    on_val_iter_end = on_val_batch_end = on_val_epoch_end = on_val_end = note
    on_save = on_load = note


class _Experiment:
    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def on_fit_model_begin(self) -> None:
        self.notes.append("fit_model begins")

    def on_fit_model_end(self) -> None:
        self.notes.append("fit_model ends")

    def on_evaluate_model_begin(self) -> None:
        self.notes.append("evaluate_model begins")

    def on_evaluate_model_end(self) -> None:
        self.notes.append("evaluate_model ends")


@pytest.fixture
def notes() -> Notes:
    """An empty notebook."""
    return Notes()


@pytest.fixture
def quick(tmp_path: Path) -> Callable[..., Trainer]:
    """Make a trainer of few steps that leaves no files by itself."""

    def make(*callbacks: Any, **options: Any) -> Trainer:
        defaults: dict[str, Any] = {
            "accelerator": "cpu",
            "max_epochs": 1,
            "limit_train_batches": 3,
            "limit_val_batches": 2,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": tmp_path,
        }
        return Trainer(callbacks=list(callbacks), **(defaults | options))

    return make
