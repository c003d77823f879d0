"""The figure of a run's metrics, kept current."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from matplotlib import image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.callbacks import HistoryFigure
from leyden.runs import RunDir
from leyden.tracking import FileLogger

LOADER: DataLoader[Any] = DataLoader(TensorDataset(torch.ones(4, 32)), batch_size=2)


class Logging(BoringModel):
    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.step(batch[0])
        self.log("train/loss", loss)
        return loss

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", self.step(batch[0]))

    @override
    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test/loss", self.step(batch[0]))


class Erasing(Callback):
    """Note at the start of each epoch whether there is a figure, and remove it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[bool] = []

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append(self.path.exists())
        self.path.unlink(missing_ok=True)


def make_trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    defaults: dict[str, Any] = {"logger": FileLogger(folder), "max_epochs": 3}
    return Trainer(
        callbacks=list(callbacks),
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
        **(defaults | options),
    )


def test_figure_is_there_after_fit(tmp_path: Path) -> None:
    make_trainer(tmp_path, HistoryFigure()).fit(Logging(), LOADER, LOADER)
    assert image.imread(RunDir(tmp_path).history_path).ndim == 3
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.csv", "history.png"}


@pytest.mark.parametrize(
    ("seconds", "seen"), [(0.0, [False, True, True]), (1e9, [False, True, False])]
)
def test_epochs_are_drawn_when_due(tmp_path: Path, seconds: float, seen: list[bool]) -> None:
    erasing = Erasing(RunDir(tmp_path).history_path)
    figure = HistoryFigure(every_seconds=seconds)
    make_trainer(tmp_path, figure, erasing).fit(Logging(), LOADER)
    assert erasing.seen == seen
    assert erasing.path.exists()  # the end of training is always due


def test_test_is_drawn(tmp_path: Path) -> None:
    path = RunDir(tmp_path).history_path
    trainer = make_trainer(tmp_path, HistoryFigure())
    trainer.fit(Logging(), LOADER)
    before = path.read_bytes()
    trainer.test(Logging(), LOADER, verbose=False)
    assert path.read_bytes() != before


def test_interrupted_run_is_drawn(tmp_path: Path) -> None:
    class Interrupting(Callback):
        @override
        def on_train_batch_end(self, *args: Any) -> None:
            raise RuntimeError("out of luck")

    trainer = make_trainer(tmp_path, HistoryFigure(), Interrupting())
    with pytest.raises(RuntimeError, match="out of luck"):
        trainer.fit(Logging(), LOADER)
    assert RunDir(tmp_path).history_path.exists()  # though nothing has been logged yet


def test_exception_before_setup_is_survived(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    HistoryFigure().on_exception(trainer, BoringModel(), KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_path_may_be_chosen(tmp_path: Path) -> None:
    figure = HistoryFigure(tmp_path / "pictures" / "all.png")
    make_trainer(tmp_path, figure, max_epochs=1).fit(Logging(), LOADER)
    assert (tmp_path / "pictures" / "all.png").exists()
    assert not RunDir(tmp_path).history_path.exists()


def test_missing_logger_is_told_once(tmp_path: Path) -> None:
    figure = HistoryFigure()
    trainer = make_trainer(tmp_path, figure, logger=False, max_epochs=1)
    with pytest.warns(UserWarning, match=r"no `FileLogger`\. Pass `Trainer\(logger=FileLogger"):
        trainer.fit(Logging(), LOADER)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        figure.setup(trainer, BoringModel(), "test")
    assert list(tmp_path.iterdir()) == []


def test_figures_of_two_files_are_told_apart(tmp_path: Path) -> None:
    assert HistoryFigure().state_key != HistoryFigure(tmp_path / "a.png").state_key


def test_development_run_leaves_nothing(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, HistoryFigure(), fast_dev_run=True)
    trainer.fit(Logging(), LOADER)
    assert list(tmp_path.iterdir()) == []


def test_disk_that_refuses_ends_no_run_is_told_once_and_hides_no_error(tmp_path: Path) -> None:
    class Breaking(Callback):
        @override
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise RuntimeError("out of luck")

    (tmp_path / "full").write_text("a file")  # where a folder is to be
    figure = HistoryFigure(tmp_path / "full" / "history.png", every_seconds=0.0)
    with (
        pytest.warns(UserWarning, match="history of the run could not be written") as caught,
        pytest.raises(RuntimeError, match="out of luck"),
    ):
        make_trainer(tmp_path, figure, Breaking(), max_epochs=3).fit(Logging(), LOADER)
    assert len([one for one in caught if "could not be written" in str(one.message)]) == 1
