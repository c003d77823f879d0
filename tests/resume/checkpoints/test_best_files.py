"""A run that goes on writes the files of `ModelCheckpoint` under the names of the first time."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from leyden.resume.checkpoints.best_files import files_of, overwrite_later_files


class Mine(Checkpoint):
    """Writes files, in a way of its own."""

    def __init__(self, dirpath: Path) -> None:
        self.dirpath = dirpath


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
    overwrite_later_files([callback], before)
    assert exists(callback, early)
    assert [exists(callback, late) for _ in range(2)] == [False, True]
    assert not exists(callback, tmp_path / "other.ckpt")


def test_callback_without_later_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "early.ckpt").touch()
    callback = ModelCheckpoint(tmp_path)
    overwrite_later_files([callback], files_of([callback]))
    assert "file_exists" not in vars(callback)


def test_callback_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    callback = Mine(tmp_path)
    (tmp_path / "late.ckpt").touch()
    overwrite_later_files([callback], [[]])
    assert vars(callback) == {"dirpath": tmp_path}


def test_callbacks_that_were_not_there_keep_their_files(tmp_path: Path) -> None:
    (tmp_path / "early.ckpt").touch()
    callback = ModelCheckpoint(tmp_path)
    overwrite_later_files([callback], [])
    assert exists(callback, tmp_path / "early.ckpt")
