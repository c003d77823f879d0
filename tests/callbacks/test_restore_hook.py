import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.callbacks import CheckpointHook, RestoreHook, StageHooks
from leyden.errors import MissingPathError, ResumeError
from leyden.lifecycle import RunView

Quick = Callable[..., Trainer]


@pytest.fixture
def trained(quick: Quick, tmp_path: Path) -> Path:
    """Checkpoints of the steps 5, 10 and 12."""
    hooks = StageHooks([CheckpointHook(interval=5)])
    quick(hooks, max_epochs=2, limit_train_batches=6).fit(BoringModel())
    return tmp_path / "checkpoints"


class Noting:
    """Notes weights and step before the first epoch."""

    def attach(self, run: RunView) -> None:
        self.run = run

    def before_epoch(self, epoch: int) -> None:
        self.step = self.run.global_step
        self.weight = self.run.module.layer.weight.detach().clone()

    def is_from(self, path: Path) -> bool:
        state = torch.load(path, weights_only=True)["state_dict"]
        return torch.equal(self.weight, state["layer.weight"])


def begin(quick: Quick, *arguments: Any, **options: Any) -> Noting:
    noting = Noting()
    hooks = StageHooks([RestoreHook(*arguments, **options), noting])
    quick(hooks, limit_train_batches=1).fit(BoringModel())
    return noting


def test_the_highest_step_is_the_newest_whatever_was_touched(quick: Quick, trained: Path) -> None:
    os.utime(trained / "model-5.ckpt", (4e9, 4e9))
    noting = begin(quick)
    assert noting.step == 12
    assert noting.is_from(trained / "model-12.ckpt")


def test_a_path_may_be_named(quick: Quick, trained: Path) -> None:
    noting = begin(quick, trained / "model-5.ckpt")
    assert noting.step == 5
    assert noting.is_from(trained / "model-5.ckpt")


def test_training_anew_counts_from_zero(quick: Quick, trained: Path) -> None:
    noting = begin(quick, trained, retrain=True)
    assert noting.step == 0
    assert noting.is_from(trained / "model-12.ckpt")


def test_the_step_of_a_foreign_checkpoint_is_in_its_name(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "epoch=1-step=33.ckpt"
    torch.save({"state_dict": BoringModel().state_dict()}, path)
    assert begin(quick, path).step == 33


def test_a_resumed_run_is_left_alone(quick: Quick, trained: Path) -> None:
    noting = Noting()
    hooks = StageHooks([RestoreHook(trained / "model-5.ckpt"), noting])
    options = {"max_epochs": 3, "limit_train_batches": 6}
    quick(hooks, **options).fit(BoringModel(), ckpt_path=trained / "model-12.ckpt")
    assert noting.is_from(trained / "model-12.ckpt")


def test_only_the_first_epoch_is_restored(quick: Quick, trained: Path) -> None:
    noting = Noting()
    hooks = StageHooks([RestoreHook(trained / "model-5.ckpt"), noting])
    quick(hooks, max_epochs=2, limit_train_batches=6).fit(BoringModel())
    assert noting.step == 11
    assert not noting.is_from(trained / "model-5.ckpt")


def test_without_checkpoints_training_begins_anew(quick: Quick) -> None:
    assert begin(quick).step == 0


def test_a_path_that_does_not_exist_is_an_error(quick: Quick, tmp_path: Path) -> None:
    with pytest.raises(
        MissingPathError, match=r"Expected `path` to exist, but got '.*missing.ckpt'"
    ):
        begin(quick, tmp_path / "missing.ckpt")


def test_a_broken_checkpoint_is_an_error_of_ours(quick: Quick, tmp_path: Path) -> None:
    (tmp_path / "half.ckpt").write_bytes(b"PK half of it")
    with pytest.raises(ResumeError, match=r"half\.ckpt"):
        begin(quick, tmp_path / "half.ckpt")
