"""The run in one picture, kept current."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from matplotlib import image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.callbacks import RunCard
from leyden.errors import ResumeError
from leyden.tracking import FileLogger

LOADER: DataLoader[Any] = DataLoader(TensorDataset(torch.ones(4, 32)), batch_size=2)
Quick = Callable[..., Trainer]


class Logging(BoringModel):
    """Its validation loss is the number of steps made."""

    def __init__(self, filters: tuple[int, ...] = (32, 64)) -> None:
        super().__init__()
        self.save_hyperparameters()

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.step(batch[0])
        self.log("train/loss", loss)
        return loss

    @override
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("val/loss", float(self.global_step))

    @override
    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/loss", 1.0)


class Looking(Callback):
    """Note at the start of each epoch whether there is a card, and remove it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[bool] = []

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(self.path.exists())
        self.path.unlink(missing_ok=True)


def refuse(path: Path) -> Path:
    """Give a place where nothing can be written: a folder is to be where a file is."""
    path.write_text("a file")
    return path / "card.png"


def test_card_is_there_after_fit_and_nothing_else_is(quick: Quick, tmp_path: Path) -> None:
    quick(RunCard()).fit(Logging(), LOADER, LOADER)
    assert image.imread(tmp_path / "card.png").ndim == 3
    assert [path.name for path in tmp_path.iterdir()] == ["card.png"]


@pytest.mark.parametrize(
    ("seconds", "seen"), [(0.0, [False, True, True]), (1e9, [False, True, False])]
)
def test_card_is_drawn_when_due(
    quick: Quick, tmp_path: Path, seconds: float, seen: list[bool]
) -> None:
    looking = Looking(tmp_path / "card.png")
    quick(RunCard(every_seconds=seconds), looking, max_epochs=3).fit(Logging(), LOADER, LOADER)
    assert looking.seen == seen  # the sanity check before the first epoch leaves none
    assert looking.path.exists()  # the end of training is always due


def test_validation_alone_and_test_are_drawn(quick: Quick, tmp_path: Path) -> None:
    trainer, path = quick(RunCard()), tmp_path / "card.png"
    trainer.validate(Logging(), LOADER, verbose=False)
    before = path.read_bytes()
    trainer.test(Logging(), LOADER, verbose=False)
    assert path.read_bytes() != before


def test_history_is_what_was_seen_if_no_file_has_it(quick: Quick) -> None:
    card = RunCard()
    quick(card, max_epochs=2).fit(Logging(), LOADER, LOADER)
    steps, values = card._history()["val/loss"]
    assert (steps.tolist(), values.tolist()) == ([1, 3], [2.0, 4.0])
    assert card._history()["train/loss"][0].tolist() == [1, 3]


def test_value_of_an_earlier_validation_is_not_a_new_one(quick: Quick) -> None:
    card = RunCard()
    trainer = quick(card, max_epochs=5, check_val_every_n_epoch=2)
    trainer.fit(Logging(), LOADER, LOADER)
    assert card._history()["val/loss"][0].tolist() == [3, 7]
    assert card._history()["train/loss"][0].tolist() == [1, 3, 5, 7, 9]


def test_history_is_that_of_the_file(quick: Quick, tmp_path: Path) -> None:
    card, logger = RunCard(), FileLogger(tmp_path)
    quick(card, logger=logger, max_epochs=2, log_every_n_steps=1).fit(Logging(), LOADER, LOADER)
    assert card.state_dict()["seen"] == {}
    assert card._history()["train/loss"][0].tolist() == [0, 1, 2, 3]


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_what_was_seen_survives_json_and_a_resume(quick: Quick, tmp_path: Path) -> None:
    quick(RunCard(), max_epochs=2, enable_checkpointing=True).fit(Logging(), LOADER, LOADER)
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    card = RunCard()
    trainer = quick(card, max_epochs=3, enable_checkpointing=True)
    trainer.fit(Logging(), LOADER, LOADER, ckpt_path=checkpoint)
    assert card._history()["val/loss"][0].tolist() == [1, 3, 5]
    other = RunCard()
    other.load_state_dict(json.loads(json.dumps(card.state_dict())))
    assert other.state_dict() == card.state_dict()


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(ResumeError, match="version of the state to be 1, but got 2"):
        RunCard().load_state_dict({"version": 2})


def test_cards_of_two_files_are_told_apart(tmp_path: Path) -> None:
    assert RunCard().state_key != RunCard(tmp_path / "a.png").state_key


def test_disk_that_refuses_ends_no_run_and_is_told_once(quick: Quick, tmp_path: Path) -> None:
    card = RunCard(refuse(tmp_path / "full"), every_seconds=0.0)
    with pytest.warns(UserWarning, match="could not be written") as caught:
        quick(card, max_epochs=2).fit(Logging(), LOADER, LOADER)
    told = [str(one.message) for one in caught if "card of the run" in str(one.message)]
    assert len(told) == 1
    (tmp_path / "full").unlink()
    quick(card).fit(Logging(), LOADER, LOADER)
    assert (tmp_path / "full" / "card.png").exists()  # tried again


def test_interrupted_run_is_drawn(quick: Quick, tmp_path: Path) -> None:
    class Interrupting(Callback):
        @override
        def on_train_batch_end(self, *args: Any) -> None:
            raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        quick(RunCard(), Interrupting()).fit(Logging(), LOADER)
    assert (tmp_path / "card.png").exists()


def test_exception_before_setup_is_survived(quick: Quick, tmp_path: Path) -> None:
    RunCard().on_exception(quick(), BoringModel(), KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_development_run_leaves_nothing(quick: Quick, tmp_path: Path) -> None:
    quick(RunCard(), fast_dev_run=True).fit(Logging(), LOADER, LOADER)
    assert list(tmp_path.iterdir()) == []


def test_training_is_the_same_with_and_without(quick: Quick) -> None:
    found = []
    for callbacks in ([], [RunCard(every_seconds=0.0)]):
        torch.manual_seed(0)
        model = Logging()
        quick(*callbacks, max_epochs=2).fit(model, LOADER, LOADER)
        found.append([*model.state_dict().values(), torch.rand(3)])
    assert all(map(torch.equal, *found))


def test_card_says_what_is_known(quick: Quick, tmp_path: Path) -> None:
    card = RunCard(exclude=["device", "learning*"])
    best = ModelCheckpoint(tmp_path, monitor="val/loss")
    trainer, model = quick(card, best, enable_checkpointing=True, max_epochs=2), Logging()
    trainer.fit(model, LOADER, LOADER)
    blocks = card._blocks(trainer, model, {"test/loss": (np.array([0, 4]), np.array([9.0, 0.5]))})
    assert list(blocks) == ["HYPERPARAMETERS", "TRAIN STATE", "TRAIN DATA", "VAL DATA", "METRICS"]
    assert blocks["HYPERPARAMETERS"] == {
        "module": "Logging",
        "parameters": "66",
        "optimizer": ["SGD"],
        "filters": (32, 64),
    }
    assert blocks["TRAIN STATE"] == {
        "epoch": 2,
        "step": 4,
        "batches per epoch": "2",
        "best val/loss": 2.0,
        "precision": "32-true",
        "processes": 1,
    }
    assert blocks["METRICS"]["val/loss"] == 4.0
    assert blocks["METRICS"]["test/loss"] == 0.5  # of an earlier stage


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where nobody may")
def test_folder_without_permission_ends_no_run(quick: Quick, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.warns(UserWarning, match="could not be written"):
            quick(RunCard()).fit(Logging(), LOADER, LOADER)
    finally:
        tmp_path.chmod(0o700)
