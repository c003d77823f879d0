"""The trainer of an experiment, and the callbacks that it is given."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.model_helpers import is_overridden

from leyden.data import AutoDataModule
from leyden.errors import ConfigError, suggest
from leyden.experiment.history import name_metric
from leyden.lifecycle import StageCallback, check_methods

__all__ = ["can_test", "evaluate_weights", "sort_callbacks", "split_training", "trainer_for"]

_DEFAULTS: Mapping[str, Any] = {"log_every_n_steps": 1, "num_sanity_val_steps": 0}
_ENDS = ("max_epochs", "max_steps", "max_time", "fast_dev_run")
_MOMENTS = tuple(name for name in vars(StageCallback) if name.startswith("on_"))


def sort_callbacks(callbacks: Any) -> tuple[list[Any], list[Callback]]:
    """Tell callbacks of steps, without arguments, from those of Lightning.

    Raises:
        ConfigError: If something is neither.
    """
    if not isinstance(callbacks, Sequence):
        problem = "Expected `callbacks` to be a list"
        raise ConfigError(f"{problem}, but got {callbacks!r}. Pass it in a list.")
    stages = [each for each in callbacks if not isinstance(each, Callback)]
    for callback in stages:
        if isinstance(callback, type) or not any(
            callable(getattr(callback, name, None)) for name in _MOMENTS
        ):
            problem = (
                "Expected callbacks of Lightning, or with methods such as `on_fit_model_end()`"
            )
            raise ConfigError(f"{problem}, but got {callback!r}. Known: {', '.join(_MOMENTS)}.")
        check_methods(callback, _MOMENTS)
    return stages, [each for each in callbacks if isinstance(each, Callback)]


def split_training(training: Mapping[str, Any] | None) -> tuple[dict[str, Any], int | None]:
    """Tell arguments of the trainer from the size of a batch.

    Args:
        training: What ``Model`` was told.

    Returns:
        Arguments of ``lightning.Trainer``, and rows of a batch, ``None`` if they are not told.

    Raises:
        ConfigError: If an argument is not known.
    """
    settings = dict(training or {})
    batch_size = settings.pop("batch_size", None)
    if "epochs" in settings:
        _refuse_twice(settings, {"max_epochs"}, where="training")
        settings["max_epochs"] = settings.pop("epochs")
    epochs = settings.get("max_epochs")
    if epochs is not None and (type(epochs) is not int or epochs < -1):
        problem = "Expected `epochs` to be a whole number from 1, or -1 for no end"
        raise ConfigError(f"{problem}, but got {epochs!r}.")
    return settings, batch_size


def _refuse_twice(given: Mapping[str, Any], others: set[str], *, where: str) -> None:
    if twice := sorted(others & given.keys()):
        problem = f"Expected `{twice[0]}` to be told once, but got it twice, in `{where}` too"
        raise ConfigError(f"{problem}. Remove one of the two.")


@contextmanager
def trainer_for(
    trainer: Trainer | Mapping[str, Any],
    training: Mapping[str, Any],
    *,
    loggers: Sequence[Logger],
    callbacks: Sequence[Callback] = (),
    fits: bool = True,
) -> Iterator[Trainer]:
    """Have a trainer with loggers and callbacks; one that was given is left as it was.

    Args:
        trainer: A trainer, or its arguments.
        training: More arguments of a trainer that is made.
        loggers: Where metrics go, in addition to the trainer's own.
        callbacks: What else is called.
        fits: Whether it is to train.

    Raises:
        ConfigError: If arguments are not known, or the training has no end.
    """
    if isinstance(trainer, Trainer):
        if training:
            problem = "Expected `training` to be told to the trainer that was given"
            raise ConfigError(f"{problem}, but got {dict(training)!r}. Leave it out.")
        with _lent(trainer, loggers, callbacks):
            yield trainer
        return
    _refuse_twice(training, set(trainer), where="trainer")
    yield _make({**training, **trainer}, loggers, callbacks, fits=fits)


def _make(
    settings: dict[str, Any],
    loggers: Sequence[Logger],
    callbacks: Sequence[Callback],
    *,
    fits: bool,
) -> Trainer:
    known = signature(Trainer).parameters
    if unknown := [str(name) for name in settings if name not in known]:
        problem = "Expected arguments of `lightning.Trainer`, `epochs` or `batch_size`"
        near = suggest(unknown[0], [*known, "epochs", "batch_size"])
        raise ConfigError(f"{problem}, but got {unknown[0]!r}. {near}")
    if fits and not any(settings.get(name) for name in _ENDS):
        problem = "Expected `training` to say how long it takes, but it does not"
        raise ConfigError(f"{problem}. Pass such as training={{'epochs': 10}}.")
    every = [*_listed(settings.pop("callbacks", None)), *callbacks]
    own = settings.pop("logger", None)
    return Trainer(
        **{
            **_DEFAULTS,
            "enable_checkpointing": any(isinstance(each, Checkpoint) for each in every),
            "enable_model_summary": settings.get("enable_progress_bar", True),
            **settings,
        },
        callbacks=every,
        logger=[*(_listed(own) if own not in (True, False) else []), *loggers],
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


@contextmanager
def _lent(trainer: Any, loggers: Sequence[Logger], callbacks: Sequence[Callback]) -> Iterator[None]:
    """Give a trainer loggers and callbacks for a while."""
    own_loggers, own_callbacks = list(trainer.loggers), list(trainer.callbacks)
    trainer.loggers = [*own_loggers, *loggers]
    trainer.callbacks = [*callbacks, *own_callbacks]  # checkpoints stay the last
    try:
        yield
    finally:
        trainer.loggers, trainer.callbacks = own_loggers, own_callbacks


def can_test(data: LightningDataModule, module: LightningModule) -> bool:
    """Say whether there is something to test, and something to test on."""
    is_there = (
        data.has("test")
        if isinstance(data, AutoDataModule)
        else is_overridden("test_dataloader", data, LightningDataModule)
    )
    return is_there and is_overridden("test_step", module, LightningModule)


def evaluate_weights(
    trainer: Trainer, module: LightningModule, data: LightningDataModule
) -> dict[str, float]:
    """Test the weights as they are.

    Returns:
        Metrics by name, ``test_<name>``.
    """
    results = trainer.test(module, datamodule=data, verbose=False)
    return {
        name_metric(name, phase="test"): float(value)
        for result in results
        for name, value in result.items()
    }
