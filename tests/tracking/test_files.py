"""Metrics in a file of the run's folder, and back."""

import copy
import pickle
import resource
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from leyden.errors import DataError, MissingPathError
from leyden.runs import RunDir
from leyden.tracking import FileLogger, epoch_ends, read_metrics


@pytest.fixture
def logger(tmp_path: Path) -> FileLogger:
    return FileLogger(tmp_path)


def test_row_is_in_the_file_when_the_call_returns(logger: FileLogger) -> None:
    logger.log_metrics({"train/loss": 0.5, "epoch": 0}, step=9)
    assert logger.metrics_path.read_text() == "epoch,step,train/loss\n0,9,0.5\n"


def test_new_metric_widens_the_header_in_order(logger: FileLogger) -> None:
    logger.log_metrics({"train/loss": 0.5, "epoch": 0}, step=9)
    logger.log_metrics({"val/loss": 0.25, "lr": 0.1, "epoch": 0}, step=9)
    logger.log_metrics({"train/loss": 0.125}, step=19)
    expected = "epoch,step,lr,train/loss,val/loss\n0,9,,0.5,\n0,9,0.1,,0.25\n,19,,0.125,\n"
    assert logger.metrics_path.read_text() == expected


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 2**53])
def test_values_come_back_exactly(logger: FileLogger, value: float) -> None:
    logger.log_metrics({"x": value}, step=1)
    assert read_metrics(logger.metrics_path)["x"][1].tolist() == [value]


def test_infinity_and_nan_come_back(logger: FileLogger) -> None:
    for value in (float("nan"), float("inf"), float("-inf")):
        logger.log_metrics({"x": value}, step=1)
    np.testing.assert_array_equal(
        read_metrics(logger.metrics_path)["x"][1], [np.nan, np.inf, -np.inf]
    )


def test_tensors_and_numpy_numbers_become_numbers(logger: FileLogger) -> None:
    metrics = {"a": torch.tensor(0.1), "b": np.float32(0.1), "c": torch.tensor([3]), "d": True}
    logger.log_metrics(metrics, step=1)
    values = [read_metrics(logger.metrics_path)[name][1].item() for name in "abcd"]
    assert values == [0.10000000149011612, 0.10000000149011612, 3.0, 1.0]


@pytest.mark.parametrize("value", ["high", None, torch.zeros(2), np.zeros(2)])
def test_what_is_not_a_number_is_refused(logger: FileLogger, value: object) -> None:
    with pytest.raises(DataError, match=r"Expected metric `x` to be a number, but got "):
        logger.log_metrics({"x": value}, step=1)
    assert not logger.metrics_path.exists()


def test_step_is_found_where_it_is(logger: FileLogger) -> None:
    logger.log_metrics({"x": 1.0})
    logger.log_metrics({"x": 2.0, "step": 7})
    logger.log_metrics({"x": 3.0, "step": 7}, step=8)
    logger.log_metrics({"x": 4.0})
    assert read_metrics(logger.metrics_path)["x"][0].tolist() == [0, 7, 8, 3]


def test_second_logger_continues_the_file(tmp_path: Path) -> None:
    FileLogger(tmp_path).log_metrics({"b": 1.0}, step=1)
    second = FileLogger(tmp_path)
    second.log_metrics({"b": 2.0}, step=2)
    second.log_metrics({"a": 3.0})
    assert second.metrics_path.read_text() == "epoch,step,a,b\n,1,,1.0\n,2,,2.0\n,2,3.0,\n"


def test_half_a_row_of_a_killed_process_is_dropped(tmp_path: Path) -> None:
    first = FileLogger(tmp_path)
    first.log_metrics({"loss": 0.5}, step=1)
    with first.metrics_path.open("a") as file:
        file.write(",2,0.2")
    assert read_metrics(first.metrics_path)["loss"][1].tolist() == [0.5]
    FileLogger(tmp_path).log_metrics({"loss": 0.25}, step=2)
    assert first.metrics_path.read_text() == "epoch,step,loss\n,1,0.5\n,2,0.25\n"


def test_a_full_disk_is_told_with_the_file_and_leaves_no_half_row(tmp_path: Path) -> None:
    logger = FileLogger(tmp_path)
    logger.log_metrics({"loss": 0.5}, step=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = logger.metrics_path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*metrics\.csv'"):
            logger.log_metrics({"loss": 0.25}, step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert logger.metrics_path.stat().st_size == size + 3
    FileLogger(tmp_path).log_metrics({"loss": 0.125}, step=2)
    assert logger.metrics_path.read_text() == "epoch,step,loss\n,1,0.5\n,2,0.125\n"


def test_names_may_hold_commas_and_quotes(logger: FileLogger) -> None:
    logger.log_metrics({'f1, "macro"': 0.5}, step=1)
    logger.log_metrics({"ä": 0.25}, step=2)
    assert set(read_metrics(logger.metrics_path)) == {"epoch", 'f1, "macro"', "ä"}


def test_only_rank_zero_writes(logger: FileLogger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger.log_metrics({"x": 1.0}, step=1)
    assert not logger.metrics_path.exists()


def test_logger_lives_in_the_run_folder(tmp_path: Path) -> None:
    logger = FileLogger(str(tmp_path))
    assert logger.metrics_path == RunDir(tmp_path).metrics_path
    assert {logger.save_dir, logger.root_dir, logger.log_dir} == {str(tmp_path)}
    assert (logger.name, logger.version) == ("", "")


def test_hyperparameters_are_not_stored(logger: FileLogger) -> None:
    logger.log_hyperparams({"lr": 0.1})
    logger.finalize("success")
    assert list(Path(logger.save_dir).iterdir()) == []


def test_logger_can_be_copied_and_sent(logger: FileLogger) -> None:
    logger.log_metrics({"x": 1.0}, step=1)
    pickle.loads(pickle.dumps(logger)).log_metrics({"x": 2.0}, step=2)
    copy.deepcopy(logger).log_metrics({"x": 3.0}, step=3)
    assert read_metrics(logger.metrics_path)["x"][1].tolist() == [1.0, 2.0, 3.0]


def test_logging_is_cheap(logger: FileLogger) -> None:
    metrics = {f"train/metric{i}": 0.1 * i for i in range(5)}
    logger.log_metrics(metrics, step=0)
    start = time.process_time()
    for step in range(1000):
        logger.log_metrics(metrics, step=step)
    assert (time.process_time() - start) / 1000 < 300e-6  # 100 us and room for a busy machine


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"Expected `path` .*metrics\.csv', which does not"):
        read_metrics(tmp_path / "metrics.csv")


@pytest.mark.parametrize("content", ["", "loss\n1\n", "epoch,step,a,a\n", "epoch,step"])
def test_foreign_header_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"Expected `header` to begin with epoch,step .*metrics"):
        read_metrics(path)


def test_foreign_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("my notes")
    with pytest.raises(DataError, match="Expected `header`"):
        FileLogger(tmp_path).log_metrics({"x": 1.0}, step=1)
    assert path.read_text() == "my notes"


@pytest.mark.parametrize(
    ("row", "problem"), [(",1,0.5,2\n", "Expected 3 columns, got 4"), (",1,high\n", "'high'")]
)
def test_broken_row_is_shown(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(f"epoch,step,loss\n{row}")
    with pytest.raises(DataError, match=rf"rows of numbers, but got .*{problem}.* in .*metrics"):
        read_metrics(path)


def test_header_alone_is_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,loss\n")
    steps, values = read_metrics(path)["loss"]
    assert (steps.dtype.name, values.dtype.name) == ("int64", "float64")
    assert len(steps) == len(values) == 0


def test_epochs_end_where_another_follows() -> None:
    steps, epochs = np.array([4, 9, 9, 14, 19, 20]), np.array([0.0, 0, 0, 1, 1, 2])
    assert epoch_ends({"epoch": (steps, epochs)}) == [9, 19]


def test_without_epochs_no_end_is_known() -> None:
    assert epoch_ends({}) == []


class Logging(BoringModel):
    @override
    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss: torch.Tensor = self.step(batch)
        self.log("train/loss", loss)
        return loss


def fit(folder: Path) -> Trainer:
    torch.manual_seed(0)
    trainer = Trainer(
        logger=FileLogger(folder),
        callbacks=ModelCheckpoint(),
        max_epochs=2,
        limit_train_batches=3,
        limit_val_batches=1,
        log_every_n_steps=1,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Logging())
    return trainer


def test_runs_with_one_seed_write_the_same_file(tmp_path: Path) -> None:
    first, second = fit(tmp_path / "a"), fit(tmp_path / "b")
    content = (tmp_path / "a" / "metrics.csv").read_bytes()
    assert content == (tmp_path / "b" / "metrics.csv").read_bytes()
    steps, _ = read_metrics(tmp_path / "a" / "metrics.csv")["train/loss"]
    assert steps.tolist() == [0, 1, 2, 3, 4, 5]
    for trainer in (first, second):
        checkpoint = Path(trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr] # there is one
        assert checkpoint.parent == RunDir(Path(str(trainer.log_dir))).checkpoints_dir
