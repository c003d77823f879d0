"""The data of an experiment, and what was learned from it besides weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lightning import LightningDataModule
from torch import Tensor

from leyden.data import AutoDataModule, TimeWindows
from leyden.errors import ConfigError
from leyden.experiment.datamodule import DataRequest
from leyden.experiment.prediction import Chains, load_chains, states_by_name, transform
from leyden.experiment.rows import RawRows
from leyden.experiment.specs import Dataset, as_recipe
from leyden.lifecycle import StageTimer
from leyden.types import Phase

__all__ = ["ExperimentData", "Learned"]


@dataclass(frozen=True)
class Learned:
    """What is known of data once it was seen.

    Args:
        states: What preprocessors have learned, by the name of the input, ``""`` if it has none.
        class_names: What the labels 0, 1, ... stand for, if they have names.
        column_names: What the columns of the rows are called, if they have names.
        input_names: What the inputs are called, in their order, if they have names.
        misses_windows: Whether rows were cut into windows in a way that only an object knows.
    """

    states: Mapping[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    column_names: tuple[str, ...] | None = None
    input_names: tuple[str, ...] | None = None
    misses_windows: bool = False


class ExperimentData:
    """The data of an experiment, which is fetched and loaded when it is needed.

    Args:
        spec: What was told.
        batch_size: Rows of a batch; ``None`` for the data module's own.
        learned: What was learned before.

    Attributes:
        spec: What was told.
        learned: What is known so far.
    """

    def __init__(self, spec: Dataset, batch_size: int | None, learned: Learned) -> None:
        self.spec, self.learned = spec, learned
        self._batch_size = batch_size
        self._module: LightningDataModule | None = None
        self._chains: Chains | None = None

    @property
    def module(self) -> LightningDataModule:
        """The data module, made when it is first asked for.

        Raises:
            LeydenError: If there is no such data.
        """
        return self.load(StageTimer()) if self._module is None else self._module

    def load(self, timer: StageTimer) -> LightningDataModule:
        """Go through the steps of data, which take no time when they are done a second time.

        Args:
            timer: Calls callbacks around the steps.

        Raises:
            LeydenError: If there is no such data, or it does not go with what was learned.
        """
        data, request = self._module, DataRequest(self.spec, self._batch_size)
        with timer.step("download_and_prepare_data"):
            if data is None:
                request.fetch()
        with timer.step("load_data"):
            loaded = request.load() if data is None else data
        with timer.step("augment_data"):
            pass  # each batch is augmented as it comes
        with timer.step("fit_preprocessors"):
            if data is None and isinstance(loaded, AutoDataModule):
                self._fit(loaded, request.class_names)
        with timer.step("transform_data"):
            if isinstance(loaded, AutoDataModule):
                loaded.fetch("train", 0, 0)  # and the others as they come
        self._module = loaded
        return loaded

    def _fit(self, data: AutoDataModule, class_names: tuple[str, ...] | None) -> None:
        """Fit preprocessors, unless they have learned already."""
        if self.learned.class_names is not None and data.class_names is not None:
            data.name_classes(self.learned.class_names)
        if states := self.learned.states:
            data.load_state_dict({"version": 1, "preparation": states.get("", states)})
        state = data.state_dict().get("preparation")
        shape = data.sample_shape
        self._chains = None
        self.learned = replace(
            self.learned,
            states=states_by_name(state) if state else {},
            class_names=class_names or self.learned.class_names,
            column_names=data.catalogs[Phase.TRAIN].column_names or self.learned.column_names,
            input_names=tuple(shape) if isinstance(shape, dict) else None,
            misses_windows=self._told_windows is None and data.num_windows("train", 0) > 1,
        )

    def prepare(self, rows: RawRows, names: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Preprocess rows as those that were trained on; see ``transform``.

        Args:
            rows: As they are on disk.
            names: What the model calls its inputs; ``None`` to go by what the data calls them.
        """
        if self._chains is None:
            self._chains = load_chains(self.learned.states, self.spec.preprocessors or None)
        return transform(rows, self._chains, names or self.learned.input_names)

    @property
    def windows(self) -> TimeWindows | None:
        """How rows are cut along time, if they are.

        Raises:
            ConfigError: If only an object knows.
        """
        if self.learned.misses_windows:
            problem = "Expected windows to be told in a dictionary of `data` to predict"
            raise ConfigError(f"{problem}, but they belong to an object. Use trainer.predict.")
        return self._told_windows

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of ``AutoDataModule`` that are known, perhaps among others."""
        dataset, names = self.spec.dataset, self.learned.input_names
        told = as_recipe(dataset) if isinstance(dataset, Mapping) else {}
        # What other kinds of data call `inputs` are the rows themselves.
        shards = told if told.get("type") == "shards" else {}
        return {"inputs": names, **shards, **(self.spec.options or {})}

    @property
    def _told_windows(self) -> TimeWindows | None:
        told = self.spec.dataset if isinstance(self.spec.dataset, Mapping) else {}
        return TimeWindows.of({**told, **(self.spec.options or {})}.get("windows"))
