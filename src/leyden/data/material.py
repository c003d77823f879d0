"""The rows of every phase, and what is done to them on their way to a batch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from leyden.data.assembly import Assembler
from leyden.data.cut import WindowCut
from leyden.data.fields import FieldPreparation
from leyden.data.gather import ShardStore
from leyden.data.parts import Part, name_classes, split_parts
from leyden.data.preload import Preloader
from leyden.data.shelf import Shelf
from leyden.data.weights import RowWeights
from leyden.data.windows import TimeWindows
from leyden.errors import DataError, ResumeError
from leyden.shards import Catalog
from leyden.types import Phase

__all__ = ["Material"]


class Material:
    """Finds the sets of every phase, and makes blocks of their rows.

    Args:
        path: The folder or file.
        parts: What was asked for each phase.
        find: Makes the catalogue of a folder.
        seed: Decides which sets a fraction gets.
        preparation: What is done to inputs; fitted when it is first needed.
        weights: What training rows count for; likewise.
        windows: How rows are cut along time, if they are.
        preloader: Reads sets into memory.
    """

    def __init__(
        self,
        path: Path,
        parts: Mapping[Phase, Part],
        find: Callable[[Path], Catalog],
        *,
        seed: int,
        preparation: FieldPreparation,
        weights: RowWeights,
        windows: TimeWindows | None,
        preloader: Preloader,
    ) -> None:
        self.path, self._parts, self._find, self._seed = path, parts, find, seed
        self.preparation = preparation
        self._weights, self._windows, self._preloader = weights, windows, preloader
        self._shelf = Shelf()
        self._stores: dict[int, ShardStore] = {}
        self._class_names: Sequence[str] | None = None
        self._found: Mapping[Phase, Catalog] | None = None

    @property
    def catalogs(self) -> Mapping[Phase, Catalog]:
        """The sets of each phase that has any; looked for once, when first asked for."""
        if self._found is None:
            found = split_parts(self.path, self._parts, self._find, seed=self._seed)
            found = name_classes(found, self._class_names)
            if Phase.PREDICT not in found and Phase.TEST in found:
                found[Phase.PREDICT] = found[Phase.TEST]
            self._found = found
        return self._found

    @property
    def is_known(self) -> bool:
        """Whether the sets have been looked for."""
        return self._found is not None

    @property
    def knows_windows(self) -> bool:
        """Whether windows can be counted, if there are any, without reading rows first."""
        return self._windows is None or self.preparation.is_fitted

    @property
    def class_names(self) -> Sequence[str] | None:
        """What classes are called, where they have names and it is known; else ``None``."""
        return self._class_names if self._found is None else self._found[Phase.TRAIN].label_names

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """What the columns of the inputs are called, where they have names and it is known."""
        return None if self._found is None else self._found[Phase.TRAIN].column_names

    def name_classes(self, names: Sequence[str]) -> None:
        """Have labels that are words numbered as in other data.

        Args:
            names: What the classes 0, 1, ... are called, ascending.

        Raises:
            DataError: When labels are looked for, if one is none of the names.
        """
        if self.class_names is None or tuple(self.class_names) != tuple(names):
            self._class_names, self._found = tuple(names), None
            self._shelf, self._stores = Shelf(), {}

    def state_dict(self) -> dict[str, Any]:
        """Write down what preprocessors have learned, and what classes and columns are called."""
        state: dict[str, Any] = {}
        if self.preparation:
            state["preparation"] = self.fitted.state_dict()
        if self.class_names is not None:
            state["classes"] = list(self.class_names)
        if self.column_names is not None:
            state["columns"] = list(self.column_names)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what was learned, and what classes are called.

        Args:
            state: What ``state_dict`` returned, perhaps among other things.

        Raises:
            ResumeError: If it was made with other preprocessors.
        """
        prepared = state.get("preparation", {})
        if prepared and not self.preparation:
            problem = "Expected a checkpoint without a state of preprocessors, but it has one."
            raise ResumeError(f"{problem} Pass the `preprocessors` that it was made with.")
        self.preparation.check_state(prepared)
        if "classes" in state:
            self.name_classes(state["classes"])
        if self.preparation:
            self.preparation.load_state_dict(prepared)  # before they are fitted, if they are not

    def catalog(self, phase: Phase) -> Catalog:
        """Look up the sets of a phase.

        Raises:
            DataError: If there are none.
        """
        if phase not in self.catalogs:
            problem = f"Expected data for `{phase}`, but {self.path} has none."
            raise DataError(f"{problem} Pass `{phase}` with set numbers or a path.")
        return self.catalogs[phase]

    @property
    def fitted(self) -> FieldPreparation:
        """The preparation, fitted on the training rows."""
        if not self.preparation.is_fitted:
            train = self.catalogs[Phase.TRAIN]
            self._weights.fit(train)
            self.preparation.fit(train)
        return self.preparation

    def check(self) -> None:
        """Refuse rows that are shorter than a window, if it is known without fitting anything.

        Preprocessors are fitted when somebody asks for what they make: a checkpoint may come first.

        Raises:
            DataError: If they are.
        """
        if self.preparation.is_fitted or not self.preparation:
            _ = self.sample_shapes

    @property
    def sample_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each array of inputs, as a model is given it."""
        shapes = self.fitted.sample_shapes
        return shapes if self._windows is None else self._windows.shapes(shapes)

    @property
    def label_shape(self) -> tuple[int, ...] | None:
        """Shape of one label, as a model is given it; ``None`` without labels."""
        train = self.catalogs[Phase.TRAIN]
        first = train.shards[0]
        if first.labels is None or first.labels != first.data:
            return train.label_shape
        (shape,) = self.sample_shapes.values()  # labels that are the inputs are prepared alike
        return shape

    def num_windows(self, phase: Phase, epoch: int) -> int:
        """Count the windows of each batch of an epoch.

        Raises:
            DataError: If the rows are shorter than a window.
        """
        windows = self._windows_of(phase)
        if windows is None:
            return 1
        shape = next(iter(self.fitted.sample_shapes.values()))
        return windows.count(shape[0] if shape else 0, epoch)

    def _windows_of(self, phase: Phase) -> TimeWindows | None:
        if self._windows is None or phase is Phase.TRAIN:
            return self._windows
        return self._windows.alike

    def assembler(self, phase: Phase) -> Assembler:
        """Make what makes the blocks of a phase."""
        augments = phase is Phase.TRAIN
        prepare = self.fitted.apply if self.fitted.works(augments=augments) else None
        return Assembler(self._store(phase), prepare, self._weights_of(phase), augments=augments)

    def cut(self, phase: Phase) -> WindowCut | None:
        """Make what cuts windows out of the batches of a phase, if there are windows."""
        windows = self._windows_of(phase)
        if windows is None:
            return None
        cuts_labels = self._store(phase).labels_are_inputs
        return WindowCut(windows, self._weights_of(phase), cuts_labels=cuts_labels)

    def _weights_of(self, phase: Phase) -> RowWeights | None:
        return self._weights if phase is Phase.TRAIN and self._weights else None

    def _store(self, phase: Phase) -> ShardStore:
        """What reads the sets of a phase; where two phases have the same sets, it is the same."""
        catalog = self.catalog(phase)
        if id(catalog) not in self._stores:
            if not self._stores:
                self._preloader.check(self.catalogs.values())
            # What breaks during training is to end it then, and not when a validation begins.
            phases = {Phase.VAL} & self.catalogs.keys() if phase is Phase.TRAIN else ()
            beside = {other: self.catalogs[other] for other in phases}
            store = self._stores[id(catalog)] = ShardStore(catalog, self._shelf, beside=beside)
            self._preloader.fill(store)
        return self._stores[id(catalog)]
