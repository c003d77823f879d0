"""A tracker that fails does not stop a training, and is named once."""

import errno
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import CSVLogger, Logger
from typing_extensions import override

from leyden.callbacks import ExactResume, RunCard
from leyden.resume import latest_checkpoint, load
from leyden.tracking import (
    FileLogger,
    MLflowTracker,
    TensorBoardTracker,
    log_file,
    log_image,
    read_metrics,
    tolerate,
)
from leyden.types import Tolerant

NAMED = r"^The tracker Failing has failed and is told nothing more; the run goes on\. OSError: "
METHODS = ["log_metrics", "log_hyperparams", "save", "finalize", "experiment", "log_file"]


class Failing(Logger):
    """A tracker of somebody's, one method of which raises from the second call on."""

    name = version = "failing"

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method, self.calls = method, [0, 0]

    def happen(self, method: str) -> None:
        is_it = method == self.method
        self.calls[is_it] += 1
        if is_it and self.calls[1] > 1:
            raise OSError(errno.ENOSPC, "No space left\n on device")

    @property
    def experiment(self) -> Any:
        self.happen("experiment")
        return self

    @override
    def log_metrics(self, *_: Any, **__: Any) -> None:
        self.happen("log_metrics")

    @override
    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        self.happen("log_hyperparams")

    @override
    def save(self) -> None:
        self.happen("save")

    @override
    def finalize(self, status: str) -> None:
        self.happen("finalize")

    def log_file(self, path: Path, folder: str) -> None:
        self.happen("log_file")


def trainer_with(tracker: Logger, folder: Path, *callbacks: Any, **options: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "limit_train_batches": 3,
        "limit_val_batches": 1,
        "log_every_n_steps": 1,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    loggers = [FileLogger(folder), tracker]
    return Trainer(logger=loggers, callbacks=list(callbacks), **(defaults | options))


class Logging(BoringModel):
    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        output: Any = super().training_step(batch, batch_idx)
        self.log("train/loss", output["loss"])
        return output


@pytest.mark.parametrize("method", METHODS)
def test_training_goes_on_and_the_tracker_is_named_once(tmp_path: Path, method: str) -> None:
    tracker = tolerate(Failing(method))
    trainer = trainer_with(tracker, tmp_path)

    def fit_twice() -> None:
        for epochs in (2, 4):
            trainer.fit_loop.max_epochs = epochs
            tracker.log_hyperparams({})
            trainer.fit(Logging())
            log_file(trainer.loggers, tmp_path / "metrics.csv")

    with pytest.warns(UserWarning, match=NAMED + r".*No space left on device") as caught:
        fit_twice()
    assert len([one for one in caught if "The tracker" in str(one.message)]) == 1
    assert tracker.calls[1] == 2  # it is not asked again
    assert read_metrics(tmp_path / "metrics.csv")["train/loss"][0].tolist() == list(range(12))


def test_what_is_no_failure_ends_the_training(tmp_path: Path) -> None:
    class Interrupted(Failing):
        @override
        def log_metrics(self, *_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tolerate(Interrupted("none")).log_metrics({}, 0)


def test_a_tracker_that_works_is_what_it_was(tmp_path: Path) -> None:
    tracker = tolerate(CSVLogger(tmp_path, name="some", version="1"))
    assert tolerate(tracker) is tracker
    assert isinstance(tracker, CSVLogger)
    assert isinstance(tracker, Tolerant)
    assert type(tracker).__qualname__ == "CSVLogger"
    tracker.log_metrics({"a": 1.0}, 0)
    tracker.save()
    assert (tmp_path / "some" / "1" / "metrics.csv").read_text() == "a,step\n1.0,0\n"
    again = pickle.loads(pickle.dumps(tolerate(Failing("save"))))
    assert isinstance(again, Failing)
    assert isinstance(again, Tolerant)


def test_the_file_of_metrics_is_never_done_without(tmp_path: Path) -> None:
    assert not isinstance(tolerate(FileLogger(tmp_path)), Tolerant)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own
def test_a_server_that_is_not_there_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tracker = tolerate(MLflowTracker(tmp_path / "run", tracking_uri="http://127.0.0.1:9"))
    resume = ExactResume(tmp_path / "checkpoints", every_n_steps=2)
    trainer = trainer_with(tracker, tmp_path, resume, RunCard(every_seconds=1e9))
    with pytest.warns(
        UserWarning, match="The tracker MLflowTracker has failed .*127.0.0.1"
    ) as all_:
        trainer.fit(Logging())
    assert sum("The tracker" in str(one.message) for one in all_) == 1
    assert len(read_metrics(tmp_path / "metrics.csv")["train/loss"][0]) == 6


def test_a_tracker_that_fails_stands_where_it_stood_last(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    checkpoints = tmp_path / "checkpoints"
    tracker = tolerate(TensorBoardTracker(tmp_path))

    def fit(tracker: Logger, epochs: int) -> None:
        trainer = trainer_with(tracker, tmp_path, ExactResume(checkpoints), max_epochs=epochs)
        trainer.fit(Logging(), ckpt_path=latest_checkpoint(checkpoints))

    fit(tracker, 1)
    path = latest_checkpoint(checkpoints)
    assert path is not None
    stood = load(path)["leyden.resume"]["loggers"][1]
    failing: Any = tolerate(TensorBoardTracker(tmp_path))
    with pytest.warns(UserWarning, match="TensorBoardTracker has failed .* IndexError: index 5"):
        failing.attempt(lambda: np.zeros(3)[5])
    fit(failing, 2)
    path = latest_checkpoint(checkpoints)
    assert path is not None
    assert load(path)["global_step"] == 6
    assert load(path)["leyden.resume"]["loggers"][1] == stood


def test_pictures_do_not_stop_a_training_either(tmp_path: Path) -> None:
    tracker: Any = tolerate(Failing("experiment"))
    image = np.zeros((4, 4, 3), np.uint8)
    log_image([tracker], "image", image, 0)
    with pytest.warns(UserWarning, match=NAMED):
        log_image([tracker], "image", image, 1)
    log_image([tracker], "image", image, 2)
    assert tracker.calls[1] == 2
