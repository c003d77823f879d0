from typing import Any

import pytest
from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.loggers.logger import DummyLogger

from leyden.errors import ConfigError
from leyden.experiment.runs import sort_callbacks, split_training, trainer_for
from leyden.lifecycle import StageCallback

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "max_epochs": 2}


class Late:
    def on_train_end(self) -> None:
        pass


def test_callbacks_are_sorted_by_their_kind() -> None:
    timer, stage, late = Timer(), StageCallback(), Late()
    assert sort_callbacks([stage, timer, late]) == ([stage, late], [timer])


def test_what_is_no_callback_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`on_fit_model_end\(\)`, but got 'early'"):
        sort_callbacks(["early"])


def test_a_training_is_told_in_two_ways() -> None:
    assert split_training({"epochs": 3, "batch_size": 8}) == ({"max_epochs": 3}, 8)
    assert split_training({"max_steps": 3}) == ({"max_steps": 3}, None)
    with pytest.raises(ConfigError, match="`max_epochs` to be told once, but got it twice"):
        split_training({"epochs": 3, "max_epochs": 3})


def test_a_trainer_has_what_was_told_and_our_defaults() -> None:
    logger, own = DummyLogger(), DummyLogger()
    told = {**QUIET, "gradient_clip_val": 1.0, "logger": own, "callbacks": Timer()}
    with trainer_for(told, {}, loggers=[logger], callbacks=[ModelCheckpoint()]) as trainer:
        assert trainer.loggers == [own, logger]
        assert (trainer.max_epochs, trainer.gradient_clip_val) == (2, 1.0)
        assert trainer.num_sanity_val_steps == 0
        names = [type(callback).__name__ for callback in trainer.callbacks]  # type: ignore[attr-defined] # set outside its class
        assert names == ["Timer", "ModelCheckpoint"]


@pytest.mark.parametrize(
    ("trainer", "training", "problem"),
    [
        ({"max_epoch": 3}, {}, r"but got 'max_epoch'. Did you mean 'max_epochs'\?"),
        ({}, {}, r"to say how long it takes, but it does not. Pass such as training="),
        (
            {"max_epochs": 3},
            {"max_epochs": 4},
            r"`max_epochs` to be told once, .* `trainer` too",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(trainer: Any, training: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        trainer_for(trainer, training, loggers=[]).__enter__()


def test_a_trainer_that_is_given_is_left_as_it_was() -> None:
    own = EarlyStopping("loss")
    given: Any = Trainer(**QUIET, logger=False, enable_checkpointing=False, callbacks=[own])  # type: ignore[arg-type] # checked when run
    before = list(given.callbacks)
    with trainer_for(given, {}, loggers=[DummyLogger()], callbacks=[Timer()]) as lent:
        assert lent == given
        assert len(given.loggers) == 1
        assert isinstance(given.callbacks[0], Timer)
    assert (given.loggers, given.callbacks) == ([], before)


def test_a_trainer_that_is_given_is_told_nothing_more() -> None:
    given = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    with pytest.raises(ConfigError, match="`training` to be told to the trainer that was given"):
        trainer_for(given, {"max_epochs": 3}, loggers=[]).__enter__()


@pytest.mark.parametrize("callbacks", [Timer(), StageCallback, [Late], [Timer]])
def test_callbacks_come_in_a_list_and_are_made(callbacks: Any) -> None:
    with pytest.raises(ConfigError, match=r"^Expected (`callbacks` to be a list|callbacks of)"):
        sort_callbacks(callbacks)


@pytest.mark.parametrize("epochs", ["3", -2, 1.5, True])
def test_epochs_are_counted(epochs: Any) -> None:
    with pytest.raises(ConfigError, match=r"`epochs` to be a whole number from 1, or -1"):
        split_training({"epochs": epochs})
