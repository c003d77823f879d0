"""A run that goes on writes the files of `ModelCheckpoint` under the names of the first time."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from typing_extensions import override

from leyden.callbacks import ExactResume
from leyden.resume.checkpoints.best_files import files_of, overwrite_later_files


class Mine(Checkpoint):
    """Writes files, in a way of its own."""

    def __init__(self, dirpath: Path) -> None:
        self.dirpath = dirpath


class Logging(BoringModel):
    """Logs its loss."""

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        output: Any = super().training_step(batch, batch_idx)
        self.log("loss", output["loss"])
        return output


def exists(callback: ModelCheckpoint, path: Path) -> bool:
    trainer: Any = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    return callback.file_exists(str(path), trainer)


def test_files_are_listed_for_each_callback(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
    callbacks: list[Checkpoint] = [
        ModelCheckpoint(tmp_path),
        Mine(tmp_path / "none"),
        Mine(tmp_path),
    ]
    assert files_of([*callbacks, ModelCheckpoint()]) == [["a", "b"], [], ["a", "b"], []]


def test_later_file_is_overwritten_once_and_earlier_ones_never(tmp_path: Path) -> None:
    early, late = tmp_path / "early.ckpt", tmp_path / "late.ckpt"
    callback = ModelCheckpoint(tmp_path)
    early.touch()
    before = files_of([callback])
    late.touch()
    overwrite_later_files([callback], before, {})
    assert exists(callback, early)
    assert [exists(callback, late) for _ in range(2)] == [False, True]
    assert not exists(callback, tmp_path / "other.ckpt")


def test_later_file_is_still_later_if_the_run_is_broken_off_again(tmp_path: Path) -> None:
    callback = ModelCheckpoint(tmp_path)
    before = files_of([callback])
    for name in ("late.ckpt", "later.ckpt"):
        (tmp_path / name).touch()
    overwrite_later_files([callback], before, {})
    assert files_of([callback]) == before
    assert not exists(callback, tmp_path / "late.ckpt")  # it is written now
    assert files_of([callback]) == [["late.ckpt"]]


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists:UserWarning")
def test_a_run_may_go_on_from_a_file_of_the_callback(tmp_path: Path) -> None:
    def fit(ckpt_path: Path | None = None) -> dict[str, int]:
        best = ModelCheckpoint(
            tmp_path / "best", "best", monitor="loss", save_top_k=-1, save_last=True
        )
        trainer = Trainer(
            max_epochs=3,
            limit_train_batches=2,
            limit_val_batches=0,
            callbacks=[ExactResume(tmp_path / "checkpoints"), best],
            logger=False,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Logging(), ckpt_path=ckpt_path)
        paths = (tmp_path / "best").iterdir()
        return {path.name: torch.load(path, weights_only=True)["global_step"] for path in paths}

    files = fit()
    assert files == {"best.ckpt": 2, "best-v1.ckpt": 4, "best-v2.ckpt": 6, "last.ckpt": 6}
    assert fit(tmp_path / "best" / "best.ckpt") == files


def test_callback_without_later_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "early.ckpt").touch()
    callback = ModelCheckpoint(tmp_path)
    overwrite_later_files([callback], files_of([callback]), {})
    assert "file_exists" not in vars(callback)


def test_callback_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    callback = Mine(tmp_path)
    (tmp_path / "late.ckpt").touch()
    overwrite_later_files([callback], [[]], {})
    assert vars(callback) == {"dirpath": tmp_path}


def test_callbacks_that_were_not_there_keep_their_files(tmp_path: Path) -> None:
    (tmp_path / "early.ckpt").touch()
    callback = ModelCheckpoint(tmp_path)
    overwrite_later_files([callback], [], {})
    assert exists(callback, tmp_path / "early.ckpt")
