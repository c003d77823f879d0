"""What predicts: the model of a run or a saved experiment, with what prepares its rows."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningModule
from omegaconf import OmegaConf
from torch import Tensor

from leyden.cli.trained import load_trained
from leyden.data import AutoDataModule, TimeWindows
from leyden.errors import ConfigError
from leyden.experiment.learned import ExperimentData
from leyden.experiment.prediction import (
    Chains,
    load_chains,
    predict_rows,
    states_by_name,
    transform,
)
from leyden.experiment.rows import RawRows, input_names
from leyden.experiment.saving import load_experiment
from leyden.shards import find_manifest, name_inputs
from leyden.shards.phases import phase_folder
from leyden.types import Array, Phase

__all__ = ["Predictor", "find_predictor"]

_DISCOVERY = ("reader", "inputs", "leading_axis", "rows_per_set", "pattern")


@dataclass(frozen=True)
class Predictor:
    """Something trained that predicts.

    Args:
        module: With its weights.
        prepare: Preprocesses rows as those that were trained on.
        windows: How rows are cut along time, if they are.
        class_names: What the classes 0, 1, ... are called, if they have names.
        column_names: What the columns of a row are called, if they have names.
        options: How folders are to be read: arguments of ``AutoDataModule``.
    """

    module: LightningModule
    prepare: Callable[[RawRows], dict[str, Tensor]]
    windows: TimeWindows | None
    class_names: tuple[str, ...] | None
    column_names: tuple[str, ...] | None
    options: Mapping[str, Any]

    def __call__(self, rows: RawRows) -> dict[str, Array]:
        """Predict.

        Args:
            rows: ``(rows, ...)``, as the data has them on disk.

        Returns:
            ``class``, ``class_name`` and ``probabilities``, or what else the model gives, by name.
        """
        found = predict_rows(self.module, self.prepare(rows), self.windows)
        if "classes" in found and "class" not in found:
            found = {"class": found.pop("classes"), **found}
        numbers = found.get("class")
        if self.class_names is not None and numbers is not None and numbers.ndim == 1:
            names = np.array(self.class_names)
            found = {"class": numbers, "class_name": names[numbers], **found}
        return found


def find_predictor(
    path: Path, *, checkpoint: str, threshold: float | None, trust: Collection[str]
) -> Predictor:
    """Load what predicts.

    Args:
        path: The folder of a run, or a saved experiment.
        checkpoint: Of a run; see ``find_checkpoint``.
        threshold: Instead of the model's own; ``None`` for that.
        trust: See ``Experiment.load``.

    Raises:
        LeydenError: If there is no such thing, or it is broken.
    """
    found = _of_experiment(path, trust) if path.is_file() else _of_run(path, checkpoint)
    if threshold is not None:
        if not hasattr(found.module, "threshold"):
            kind = type(found.module).__qualname__
            raise ConfigError(f"Expected a classifier for a `threshold`, but got {kind}.")
        setattr(found.module, "threshold", threshold)  # noqa: B010 - not of every module
    return found


def _of_experiment(path: Path, trust: Collection[str]) -> Predictor:
    saved, module = load_experiment(path, trust=trust, model=None)
    data = ExperimentData(saved.data, None, saved.learned)
    names = saved.learned.class_names, saved.learned.column_names
    prepare = partial(data.prepare, names=input_names(module))
    return Predictor(module, prepare, data.windows, *names, _discovery(data.options))


def _of_run(path: Path, checkpoint: str) -> Predictor:
    trained = load_trained(path, checkpoint)
    section: Any = OmegaConf.to_container(trained.config.data)
    chains = _chains(trained.state, section)
    names = input_names(trained.module) or tuple(name_inputs(section.get("inputs"))) or None
    return Predictor(
        trained.module,
        lambda rows: transform(rows, chains, names),
        TimeWindows.of(section.get("windows")),
        _class_names(trained.state, section),
        tuple(trained.state.get(AutoDataModule.__qualname__, {}).get("columns", ())) or None,
        _discovery(section),
    )


def _discovery(told: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what says how a folder is read."""
    return {name: told[name] for name in _DISCOVERY if told.get(name) is not None}


def _chains(state: Mapping[str, Any], section: Mapping[str, Any]) -> Chains:
    learned = state.get(AutoDataModule.__qualname__, {}).get("preparation")
    recipes = section.get("preprocessors") or None
    return load_chains(states_by_name(learned), recipes) if learned else {}


def _class_names(state: Mapping[str, Any], section: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Look up what the classes are called: the words of labels, or what packed data says."""
    if words := state.get(AutoDataModule.__qualname__, {}).get("classes"):
        return tuple(words)
    if section.get("path") is None:
        return None
    folder = Path(section["path"])
    for place in (folder, phase_folder(folder, Phase.TRAIN)):
        if place is not None and (packed := find_manifest(place)):
            return packed.class_names
    return None
