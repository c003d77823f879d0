"""Defects of an older system in saving a run and going on with it; none of them is here."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from typing_extensions import override

from leyden.callbacks import ExactResume
from leyden.errors import ResumeError
from leyden.generators import global_state, restore_global_state
from leyden.resume import CheckpointStore, latest_checkpoint, load


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    state = global_state()
    yield
    restore_global_state(state)


def trainer_with(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "limit_train_batches": 2,
        "limit_val_batches": 3,
        "num_sanity_val_steps": 0,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
    }
    return Trainer(callbacks=list(callbacks), **(defaults | options))


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file become longer than some bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Pausing(BoringModel):
    """Is interrupted in a batch of its last validation."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []
        self.ends = 0

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self.seen.append((self.current_epoch, batch_idx))
        if self.seen == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]:
            os.kill(os.getpid(), signal.SIGINT)

    @override
    def on_validation_end(self) -> None:
        self.ends += 1


# D27: an interrupted validation after the last epoch was never finished by training on.
def test_last_validation_is_finished_when_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)  # as in a notebook, `fit` returns
    module, trainer = Pausing(), trainer_with(tmp_path, ExactResume(tmp_path / "c"))
    trainer.fit(module)
    assert (len(module.seen), module.ends, trainer.global_step) == (5, 1, 4)
    trainer.fit(module)
    assert module.seen == [(epoch, batch) for epoch in range(2) for batch in range(3)]
    assert (module.ends, trainer.global_step) == (2, 4)


# D33: temporary checkpoints were named so that they were not found.
@pytest.mark.parametrize("step", [1, 3])
def test_whatever_is_written_is_found(tmp_path: Path, step: int) -> None:
    class Failing(Callback):
        @override
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int
        ) -> None:
            if trainer.global_step == step:
                raise OSError("out of luck")

    folder = tmp_path / "c"
    with pytest.raises(OSError, match="out of luck"):
        trainer_with(tmp_path, Failing(), ExactResume(folder, every_n_steps=1)).fit(BoringModel())
    newest = latest_checkpoint(folder)
    assert newest is not None
    assert newest == max(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    trainer = trainer_with(tmp_path, ExactResume(folder))
    trainer.fit(BoringModel(), ckpt_path=newest)
    assert trainer.global_step == 4
    finished = latest_checkpoint(folder)
    assert finished is not None
    assert load(finished)["global_step"] == 4


class Better(BoringModel):
    """Gets better with every epoch; the disk is full while its second best is written."""

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", -float(self.current_epoch))


class Filling(ModelCheckpoint):
    """Has a full disk where the second best checkpoint is written."""

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 0:
            return super().on_validation_end(trainer, pl_module)
        with full_disk():
            return super().on_validation_end(trainer, pl_module)


# D34: the best checkpoint was deleted before a better one was written.
def test_best_checkpoint_stays_until_a_better_one_is_written(tmp_path: Path) -> None:
    best = Filling(
        tmp_path / "best", monitor="val/loss", filename="{epoch}", save_on_train_epoch_end=False
    )
    trainer = trainer_with(tmp_path, ExactResume(tmp_path / "c"), best, enable_checkpointing=True)
    with pytest.raises(OSError, match="File too large"):
        trainer.fit(Better())
    kept = tmp_path / "best" / "epoch=0.ckpt"
    assert torch.load(kept, weights_only=True)["global_step"] == 2


# D34: nor does any other one go before the next is there.
def test_only_checkpoint_stays_until_the_next_one_is_written(tmp_path: Path) -> None:
    store, content = CheckpointStore(tmp_path, keep=1), {"weight": torch.ones(1000)}
    store.open()
    assert store.write(content, step=1, wait=True)
    with full_disk(), pytest.warns(UserWarning, match="of step 2 could not be written"):
        assert store.write(content, step=2, wait=True) is False
    assert latest_checkpoint(tmp_path) == tmp_path / "000001-step=1.ckpt"
    assert store.write(content, step=3, wait=True)
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["000002-step=3.ckpt"]
    store.close()


class Unsaveable(Callback):
    """Has a state that no checkpoint can hold."""

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"file": lambda: None}


# D36: a state that could not be saved was left out with a warning.
def test_state_that_cannot_be_saved_is_an_error_at_once(tmp_path: Path) -> None:
    trainer = trainer_with(tmp_path, Unsaveable(), ExactResume(tmp_path / "c", every_n_steps=1))
    with pytest.raises(ResumeError, match=r"(?s)Unsaveable/file"):
        trainer.fit(BoringModel())
    assert trainer.global_step <= 1
    assert latest_checkpoint(tmp_path / "c") is None
