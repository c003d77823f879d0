"""Data, a model and tracking, from training to a file that predicts."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lightning import LightningDataModule, LightningModule, Trainer

from leyden.errors import ConfigError, suggest
from leyden.experiment.history import MetricHistory
from leyden.experiment.learned import ExperimentData, Learned
from leyden.experiment.models import class_name, make_module
from leyden.experiment.outcome import Outcome
from leyden.experiment.prediction import predict_rows
from leyden.experiment.rows import RawRows, input_names
from leyden.experiment.runs import (
    can_test,
    evaluate_weights,
    sort_callbacks,
    split_training,
    trainer_for,
)
from leyden.experiment.saving import Saved, load_experiment, save_experiment
from leyden.experiment.specs import (
    Model,
    as_plain,
    change_data,
    read_data,
    read_model,
    read_tracking,
    write,
)
from leyden.experiment.trackers import tracking_run
from leyden.lifecycle import StageTimer
from leyden.runs import hardware_info
from leyden.types import Array

__all__ = ["Experiment"]

_PARTS = ("data", "model", "tracking", "trainer")


class Experiment:
    """A system of supervised learning: data, a model, and where results go.

    Each part is an object, or a dictionary of what it is made of. Nothing is made or read before it
    is needed. What is trained is predicted with, saved to a file of numbers and words, and loaded
    in another process without the data.

    Args:
        data: A ``Dataset``, or a dictionary of its arguments; whatever a ``Dataset`` has for its
            ``dataset``; or a ``LightningDataModule``.
        model: A ``Model``, or a dictionary of its arguments; or a ``LightningModule``, or an
            ``nn.Module`` for a network.
        tracking: A ``Tracking``, or a dictionary of its arguments; or Lightning loggers; ``None``
            for no trackers.
        trainer: Arguments of ``lightning.Trainer``, in addition to those of the training; or a
            trainer.

    Raises:
        ConfigError: If an argument is not known, or out of range.

    Example:
        >>> experiment = Experiment(
        ...     data={"dataset": {"type": "digits"}, "samples": {"train": 200, "test": 100}},
        ...     model={"model": {"type": "mlp", "hidden": [16]}, "training": {"epochs": 1}},
        ... )
        >>> experiment.to_dict()["model"]["training"]
        {'epochs': 1}
    """

    def __init__(
        self,
        *,
        data: Any,
        model: Any,
        tracking: Any = None,
        trainer: Trainer | Mapping[str, Any] | None = None,
    ) -> None:
        self._model_spec = read_model(model)
        self._tracking = read_tracking(tracking)
        self._trainer = trainer if isinstance(trainer, Trainer) else dict(trainer or {})
        _, batch_size = split_training(self._model_spec.training)
        self._data = ExperimentData(read_data(data), batch_size, Learned())
        made = self._model_spec.model
        self._module: LightningModule | None = made if isinstance(made, LightningModule) else None
        self._is_ours = self._module is None

    @property
    def module(self) -> LightningModule:
        """The module that is trained.

        Raises:
            ConfigError: If it is not made yet, for which the data has to be known.
        """
        if self._module is None:
            problem = "Expected an experiment that is trained or loaded, but it is neither"
            raise ConfigError(f"{problem}. Call `train` first.")
        return self._module

    @property
    def data(self) -> LightningDataModule:
        """The data module; made, and data fetched and loaded, when it is first asked for.

        Raises:
            LeydenError: If there is no such data.
        """
        return self._data.module

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the predictions 0, 1, ... stand for; ``None`` if they have no names."""
        return self._data.learned.class_names

    def train(
        self, callbacks: Sequence[Any] = (), *, ckpt_path: str | Path | None = None
    ) -> Outcome:
        """Train, then evaluate on the test part if there is one.

        The steps are those of ``leyden.lifecycle.STEPS``. A second call goes on with the weights
        and the preprocessors of the first.

        Args:
            callbacks: Callbacks of Lightning, and objects with methods without arguments such as
                ``on_fit_model_begin``; see ``StageCallback``.
            ckpt_path: A checkpoint to go on from, as with ``Trainer.fit``; ``None`` to begin.

        Returns:
            How long the steps took, metrics, and what they ran on.

        Raises:
            LeydenError: If data, model or trackers cannot be made.
        """
        stages, others = sort_callbacks(callbacks)
        settings, _ = split_training(self._model_spec.training)
        params = (
            {} if self._module is not None and not self._is_ours else self._model_spec.parameters
        )
        timer, history = StageTimer(stages), MetricHistory()
        with (
            timer.train(),
            tracking_run(
                self._tracking, model_params=params, training_params=self._model_spec.training or {}
            ) as trackers,
            trainer_for(
                self._trainer, settings, loggers=[*trackers, history], callbacks=others
            ) as trainer,
        ):
            data = self._data.load(timer)
            module = self._module_for(data)
            with timer.step("fit_model"):
                trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
            metrics = history.metrics
            if can_test(data, module):
                with timer.step("evaluate_model"):
                    tested = evaluate_weights(trainer, module, data)
                metrics |= {name: [value] for name, value in tested.items()}
        return Outcome(timer.elapsed, metrics, hardware_info())

    def evaluate(self) -> dict[str, float]:
        """Evaluate on the test part; trackers hear nothing of it.

        Returns:
            Metrics by name, ``test_<name>``.

        Raises:
            ConfigError: If there is nothing to test, or nothing to test on.
        """
        module, data = self.module, self.data
        if not can_test(data, module):
            problem = "Expected data with a test part, and a model with `test_step`"
            raise ConfigError(f"{problem}, but one is missing. Pass `samples` with 'test'.")
        settings, _ = split_training(self._model_spec.training)
        with trainer_for(self._trainer, settings, loggers=[], fits=False) as trainer:
            return evaluate_weights(trainer, module, data)

    def predict(self, rows: RawRows) -> Array:
        """Predict: numbers of classes, numbers, or what an autoencoder makes of the rows.

        Args:
            rows: ``(rows, ...)``, as the data has them on disk; several inputs by name, in any
                order.

        Returns:
            ``(rows, ...)``; of an autoencoder that was trained on windows of time, ``(rows,
            windows, size, ...)``. One-hot labels are predicted as numbers of classes all the same.

        Raises:
            ConfigError: If nothing is trained yet.
            DataError: If inputs are missing, or there are others, or the rows do not suit
                preprocessors or model.
        """
        described = self._describe(rows)
        for name in ("classes", "predictions"):
            if name in described:
                return described[name]
        problem = f"Expected `predict_step` of {class_name(self.module)} to give `predictions`"
        raise ConfigError(f"{problem}, but got {', '.join(described)}. Add them.")

    def predict_proba(self, rows: RawRows) -> Array:
        """Give the probability of every class.

        Args:
            rows: ``(rows, ...)``, as the data has them on disk; several inputs by name, in any
                order.

        Returns:
            ``(rows, classes)``.

        Raises:
            ConfigError: If nothing is trained yet, or the model is not probabilistic.
            DataError: If inputs are missing, or there are others, or the rows do not suit
                preprocessors or model.
        """
        described = self._describe(rows)
        if "probabilities" not in described:
            problem = "Expected a model that gives probabilities"
            remedy = "Use `predict`, or a classifier."
            raise ConfigError(f"{problem}, but got {class_name(self.module)}. {remedy}")
        return described["probabilities"]

    def to_dict(self) -> dict[str, Any]:
        """Write down what the experiment is made of, for ``from_dict`` and JSON.

        Raises:
            ConfigError: If a part is an object.
        """
        trainer = self._trainer
        if isinstance(trainer, Trainer):
            problem = "Expected `trainer` to be told in words and numbers, but got an object"
            raise ConfigError(f"{problem}. Pass a dictionary.")
        return {
            "data": write(self._data.spec, what="data"),
            "model": write(self._model_spec, what="model"),
            "tracking": write(self._tracking, what="tracking"),
            "trainer": as_plain(trainer),
        }

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Self:
        """Make an experiment of a dictionary.

        Args:
            parts: ``data`` (or ``dataset``), ``model``, and perhaps ``tracking`` and ``trainer``.

        Raises:
            ConfigError: If a key is not known or missing.
        """
        given: Any = parts
        if not isinstance(given, Mapping):
            problem = "Expected the parts of an experiment in a dictionary"
            raise ConfigError(f"{problem}, but got {parts!r}. Pass `data` and `model`.")
        named = {("data" if name == "dataset" else name): part for name, part in parts.items()}
        if unknown := [str(name) for name in named if name not in _PARTS]:
            problem = f"Expected the parts of an experiment, but got {unknown[0]!r}."
            raise ConfigError(f"{problem} {suggest(unknown[0], _PARTS)}")
        if missing := [name for name in ("data", "model") if name not in named]:
            raise ConfigError(f"Expected `{missing[0]}` of an experiment, but there is none.")
        return cls(**named)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights, what preprocessors have learned, and what was told, to a file.

        The file holds numbers and words: nothing in it is run when it is loaded. Objects are not
        saved; what was told by names and dictionaries is.

        Args:
            path: Such as ``"trained.zip"``; replaced once all is written. Its folder is made if it
                does not exist.

        Raises:
            WriteError: If no file can be there: it is a folder, or below a file, or may not be
                written. Nothing is changed then.
            ConfigError: If nothing is trained yet, or a part of the module cannot be saved.
        """
        saved = Saved(
            data=self._data.spec,
            model=self._model_spec,
            tracking=self._tracking,
            trainer=self._trainer if isinstance(self._trainer, Mapping) else {},
            learned=self._data.learned,
        )
        save_experiment(Path(path), saved, self.module)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        data: Any = None,
        model: LightningModule | None = None,
        tracking: Any = None,
        trainer: Trainer | Mapping[str, Any] | None = None,
        trust: Collection[str] = (),
    ) -> Self:
        """Load an experiment, ready to predict; and to train further, where its data is at hand.

        A file that holds anything but an experiment is refused, and so is one that names a class of
        any package but those that make models.

        Args:
            path: What ``save`` wrote.
            data: What to change of the data: some arguments of ``Dataset`` in a dictionary, or what
                is to be its ``dataset``; or a ``Dataset`` or a ``LightningDataModule`` instead.
            model: A module to load the weights into, where it was made of objects.
            tracking: Instead of what was saved.
            trainer: Instead of what was saved.
            trust: Packages of which the file may name classes, such as ``["my_project"]``. These
                are imported and made, so they can do whatever your own code can.

        Raises:
            MissingPathError: If there is no such file.
            DataError: If it is damaged, or no experiment, names what is not trusted, or describes a
                network that is far larger than its weights.
            ConfigError: If a module has to be given.
        """
        saved, module = load_experiment(Path(path), trust=trust, model=model)
        loaded = cls(
            data=change_data(saved.data, data),
            model=Model(module, saved.model.training),
            tracking=saved.tracking if tracking is None else tracking,
            trainer=saved.trainer if trainer is None else trainer,
        )
        loaded._model_spec, loaded._is_ours = saved.model, model is None
        loaded._data.learned = saved.learned
        return loaded

    def _module_for(self, data: LightningDataModule) -> LightningModule:
        if self._module is None:
            self._module = make_module(self._model_spec.model, data)
        if self._is_ours or not self._tracking.log_model_params:
            # Trackers were told what they are to be told.
            self._module.save_hyperparameters({}, logger=False)
        return self._module

    def _describe(self, rows: RawRows) -> dict[str, Array]:
        module = self.module
        inputs = self._data.prepare(rows, input_names(module))
        return predict_rows(module, inputs, self._data.windows)
