"""A data module that infers everything from a folder of numbered files."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from lightning import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from typing_extensions import override

from leyden.data.assembly import Batch
from leyden.data.fields import Augmentors, FieldPreparation, Preprocessors
from leyden.data.loader import BatchLoader
from leyden.data.material import Material
from leyden.data.origin import BatchOrigin
from leyden.data.parts import Part
from leyden.data.phase_loaders import PhaseLoaders
from leyden.data.plan import Begin, EpochPlan
from leyden.data.planner import Planner, phase_of
from leyden.data.preload import Preload, Preloader
from leyden.data.states import check_state
from leyden.data.status import Status
from leyden.data.summary import summarize
from leyden.data.weights import ClassWeights, RowWeights
from leyden.data.windows import TimeWindows
from leyden.data.workers import make_blocks
from leyden.errors import ConfigError, check_boolean, check_whole
from leyden.shards import Catalog, Inputs, Labels, LeadingAxis, OpenFile, discover, name_inputs
from leyden.shards.phases import unused_folders
from leyden.shards.search import as_path
from leyden.types import Phase

__all__ = ["AutoDataModule"]

_STATE_VERSION = 1


class AutoDataModule(LightningDataModule):
    """Batches from a folder of numbered files, of which nothing but the path has to be told.

    Every batch is a pure function of the files, the arguments, its epoch and its place, so that
    any of them can be named (``origin``) and had again (``fetch``) at any time. A batch is
    ``(inputs, labels)``, or the inputs alone where there are no labels.

    Args:
        path: The folder: of shards, or of sub-folders ``train/``, ``val/``, ``test/``, which may be
            called ``training/``, ``valid/``, ``validation/``, ``dev/``, ``eval/``, ``testing/``
            instead. Or a file that holds all sets.
        train: Set numbers, or the path of a folder; ``None`` for ``train/`` or else all the rest.
        val: A fraction of the sets, set numbers, or the path of a folder; ``None`` for ``val/`` if
            there is one. A sub-folder goes before a fraction.
        test: Likewise.
        predict: Likewise; ``None`` for ``predict/`` or else the test part.
        labels: See ``discover``. Words become classes in alphabetical order of those in the
            training folder; other phases may have no others.
        pattern: See ``discover``.
        reader: See ``discover``.
        rows_per_set: See ``discover``; another batch size does not change it, nor any split.
        leading_axis: See ``discover``.
        inputs: Names of several arrays of inputs in each shard, see ``discover``; the inputs of a
            batch are a dictionary then, and preprocessors and augmentors are given by these names.
        preprocessors: What is done to the inputs in every phase, fitted on the training rows: see
            ``Preprocessing``.
        augmentors: What is done to some training inputs, before the preprocessors: see
            ``Augmentation``, all of whose arguments can be told as a dictionary, such as
            ``{"type": "augmentation", "augmentors": ["flip"], "channels_last": True}``.
        windows: Cut each batch ``(batch, time, ...)`` into windows of time, one after another, each
            of which counts as a batch; see ``TimeWindows``. Its arguments by name will do.
        class_weights: What training rows count for by their class: weights by the numbers of the
            classes, those left out count 1; ``"balanced"`` for the same sum in every class; or
            ``None``. With weights, a training batch is ``(inputs, labels, weights)``.
        window_weights: What the first and the last window of a training batch count for, and those
            between accordingly; they are multiplied with ``class_weights``.
        batch_size: Rows of a batch, whatever the lengths of the shards.
        shuffle: Order of the training rows: ``"none"``, ``"sets"`` (the sets only), ``"blocks"``
            (the sets, and blocks of ``batch_size`` rows within each; ``"blocks:B"`` for blocks of
            another size), ``"rows"`` (the sets, and the rows within each), ``"window:K"`` (rows
            among ``K`` consecutive shuffled sets) or ``"full"``.
        drop_last: Whether a shorter last training batch is left out.
        preload: Sets that are kept in memory: ``"all"``, as many as fit into a size such as
            ``"4GiB"`` or a number of bytes, set numbers, or ``None``. What does not fit is read
            from its files, with a warning.
        num_workers: Processes that read and prepare batches ahead of time; worth it where
            preparing takes long, while reading alone is faster without. It changes no batch.
        persistent_workers: Whether these processes live on from one epoch to the next.
        pin_memory: Whether batches are made in memory from which they go to a GPU faster; it does
            nothing where there is none.
        seed: Decides the order of training rows, and which sets a fraction gets.

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> import numpy as np, tempfile
        >>> from pathlib import Path
        >>> from leyden.shards import write_shards
        >>> folder = tempfile.mkdtemp()
        >>> rows = np.zeros((48, 3), np.float32)
        >>> write_shards(Path(folder), {1: rows, 2: rows, 3: rows})
        >>> data = AutoDataModule(folder, val=[3], batch_size=32, shuffle="none")
        >>> [data.origin("train", 0, index).name for index in range(3)]
        ['1-a', '1-b+2-a', '2-b']
        >>> data.fetch("val", 0, 0).shape
        torch.Size([32, 3])
    """

    def __init__(  # noqa: PLR0913 - what users may tell, each with a default
        self,
        path: str | os.PathLike[str],
        *,
        train: Part = None,
        val: Part = None,
        test: Part = None,
        predict: Part = None,
        labels: Labels = "auto",
        pattern: str | None = None,
        reader: OpenFile | str | None = None,
        rows_per_set: int = 32,
        leading_axis: LeadingAxis = "rows",
        inputs: Inputs = None,
        preprocessors: Preprocessors = None,
        augmentors: Augmentors = None,
        windows: TimeWindows | Mapping[str, Any] | None = None,
        class_weights: ClassWeights = None,
        window_weights: Sequence[float] | None = None,
        batch_size: int = 32,
        shuffle: str = "rows",
        drop_last: bool = False,
        preload: Preload = None,
        num_workers: int = 0,
        persistent_workers: bool = True,
        pin_memory: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        parts: dict[Phase, Part] = {
            Phase.TRAIN: train,
            Phase.VAL: val,
            Phase.TEST: test,
            Phase.PREDICT: predict,
        }
        find = partial(
            discover,
            labels=labels,
            inputs=inputs,
            pattern=pattern,
            reader=reader,
            rows_per_set=rows_per_set,
            leading_axis=leading_axis,
        )
        names = tuple(name_inputs(inputs))
        self._material = Material(
            as_path(path, "path"),
            parts,
            find,
            seed=seed,
            preparation=FieldPreparation(names, preprocessors, augmentors, seed=seed),
            weights=RowWeights(class_weights, window_weights),
            windows=TimeWindows.of(windows),
            preloader=Preloader(preload),
        )
        self._make_blocks = partial(
            make_blocks,
            num_workers=check_whole("num_workers", num_workers, 0),
            persistent=check_boolean("persistent_workers", persistent_workers),
            pin_memory=check_boolean("pin_memory", pin_memory),
        )
        if window_weights is not None and windows is None:
            problem = f"Expected `windows` with `window_weights`, but got {windows!r}."
            raise ConfigError(f"{problem} Pass both or neither.")
        self.batch_size = check_whole("batch_size", batch_size, 1)
        self.seed = check_whole("seed", seed, 0)
        self._planner = Planner(
            self._material,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=check_boolean("drop_last", drop_last),
        )

    @cached_property
    def _loaders(self) -> PhaseLoaders:
        """Made when needed: it holds the module, which then goes with the garbage only."""
        trainer = partial(getattr, self, "trainer")
        return PhaseLoaders(self._material, self.plan, self._make_blocks, trainer)

    @property
    def catalogs(self) -> Mapping[Phase, Catalog]:
        """The sets of each phase; looked for once, when first asked for.

        Raises:
            MissingPathError: If a folder does not exist.
            DiscoveryError: If a folder cannot be read as numbered shards.
            DataError: If the parts contradict each other.
        """
        return self._material.catalogs

    @property
    def sample_shape(self) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
        """Shape of one row of the inputs, as a model is given it; by name if they have names."""
        shapes = self._material.sample_shapes
        return shapes.get("", shapes)

    def num_windows(self, phase: Phase | str, epoch: int) -> int:
        """Count the windows that each batch of an epoch is handed out in; 1 without windows.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            epoch: Which epoch, from zero.

        Raises:
            ConfigError: If there is no such phase.
            DataError: If the rows are shorter than a window.
        """
        return self._material.num_windows(phase_of(phase), epoch)

    @property
    def label_shape(self) -> tuple[int, ...] | None:
        """Shape of one label, as a model is given it; ``None`` without labels."""
        return self._material.label_shape

    @property
    def num_classes(self) -> int | None:
        """Classes over all phases, where labels are whole numbers; else ``None``."""
        counts = [catalog.num_classes for catalog in self.catalogs.values() if catalog.has_labels]
        known = [count for count in counts if count is not None]
        return max(known, default=None)

    def has(self, phase: Phase | str) -> bool:
        """Say whether there is data for a phase."""
        return phase_of(phase) in self.catalogs

    @override
    def setup(self, stage: str) -> None:
        self._material.check()
        self._loaders.begin()
        _, num_ranks = self._ranks
        for phase, catalog in self.catalogs.items():
            if catalog.num_samples < num_ranks:
                problem = f"Expected at least one `{phase}` row for each of {num_ranks} processes"
                remedy = "Pass `devices` with fewer."
                raise ConfigError(f"{problem}, but got {catalog.num_samples}. {remedy}")

    @override
    def teardown(self, stage: str) -> None:
        self._loaders.close()

    @override
    def on_exception(self, exception: BaseException) -> None:
        self.teardown("")  # Lightning does not, and a notebook goes on

    @override
    def train_dataloader(self) -> BatchLoader:
        return self._loaders.make_for_training()

    @override
    def val_dataloader(self) -> "BatchLoader | _NoLoaders":
        return self._loaders.make(Phase.VAL) if self.has(Phase.VAL) else _NoLoaders()

    @override
    def test_dataloader(self) -> BatchLoader:
        return self._loaders.make(Phase.TEST)

    @override
    def predict_dataloader(self) -> BatchLoader:
        return self._loaders.make(Phase.PREDICT)

    def plan(
        self,
        phase: Phase | str,
        epoch: int,
        *,
        shuffle: str | None = None,
        begin: Begin | None = None,
    ) -> EpochPlan:
        """Work out the batches of an epoch for this rank.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            epoch: Which epoch, from zero; all but training epochs are alike.
            shuffle: Another shuffle than the module's.
            begin: Where the epoch goes on, if it was begun otherwise.

        Raises:
            ConfigError: If there is no such phase.
            DataError: If the phase has no data.
        """
        overfits = getattr(self.trainer, "overfit_batches", 0) != 0
        return self._planner.plan(
            phase_of(phase),
            epoch,
            batch_size=self.batch_size,
            seed=self.seed,
            ranks=self._ranks,
            shuffle="none" if overfits else shuffle,
            begin=begin,
        )

    @property
    def _ranks(self) -> tuple[int, int]:
        """Which process this is, and how many there are."""
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)

    def schedule(self, phase: Phase | str, set_numbers: Sequence[int] | None) -> None:
        """Replace the order of the sets from the next epoch on: repeat, skip, or lead up to some.

        Rows are still permuted within the sets, if the shuffle does so. Schedules are part of the
        state of the module, and of a checkpoint.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            set_numbers: The sets to visit, in this very order, some perhaps several times or not at
                all; ``None`` to go back to each once, in the order of the shuffle.

        Raises:
            ConfigError: If there is no such phase, or no set to visit.
            DataError: If the phase has no data, or no such set.
        """
        phase = phase_of(phase)
        set_numbers = self._planner.check_sets(phase, set_numbers)
        self._planner.schedule(phase, self._loaders.next_epoch(phase), set_numbers)
        self._loaders.replan(phase)

    def origin(self, phase: Phase | str, epoch: int, batch_index: int) -> BatchOrigin:
        """Tell where a batch of this rank comes from; reads nothing.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            epoch: Its epoch, from zero.
            batch_index: Its place in the epoch, from zero.

        Raises:
            ConfigError: If there is no such phase.
            DataError: If the phase has no data.
            IndexError: If the epoch has no such batch.
        """
        return self._loaders.origin(phase_of(phase), epoch, batch_index)

    def fetch(self, phase: Phase | str, epoch: int, batch_index: int) -> Batch:
        """Read any batch, the very one that training sees, saw or will see.

        That is with the batch size and the number of ranks of now: where a run was gone on with
        others, the batches since are its own, those before in the same epoch are refused, and those
        of the epochs before are other ones.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            epoch: Its epoch, from zero.
            batch_index: Its place in the epoch, from zero.

        Returns:
            Inputs ``(batch, ...)``, or a dictionary of them; with labels ``(batch, ...)`` if there
            are any, and with weights ``(batch,)`` if training rows have them.

        Raises:
            ConfigError: If there is no such phase.
            DataError: If the phase has no data.
            IndexError: If the epoch has no such batch.
            ShardError: If a shard is missing or broken.
        """
        return self._loaders.fetch(phase_of(phase), epoch, batch_index)

    @property
    def status(self) -> Status | None:
        """What is being fit right now; ``None`` before the first batch."""
        return self._loaders.status

    @override
    def state_dict(self) -> dict[str, Any]:
        """Write down the schedules, and the place in the training data in the middle of an epoch.

        Lightning saves the state of the training loader too, but does not always load it: not where
        ``configure_optimizers`` asks for ``trainer.estimated_stepping_batches``.
        """
        return {
            "version": _STATE_VERSION,  # Lightning loads no empty state
            **self._material.state_dict(),
            **self._planner.state_dict(),
            **self._loaders.state_dict(),
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the schedules, and let the next training loader begin at the place.

        An order of the training sets that ``schedule`` was given before, and that the state does
        not have, holds from the epoch after that place on.

        Args:
            state_dict: What ``state_dict`` returned.

        Raises:
            ResumeError: If it was made with other preprocessors, or is no state of a data module;
                nothing is taken over then.
        """
        check_state(state_dict, _STATE_VERSION)
        self._material.load_state_dict(state_dict)
        is_new = self._loaders.next_epoch(Phase.TRAIN) == 0
        self._planner.load_state_dict(state_dict, is_new=is_new)
        self._loaders.load_state_dict(state_dict)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the classes 0, 1, ... are called where labels are words; else ``None``."""
        return self.catalogs[Phase.TRAIN].class_names

    def name_classes(self, names: Sequence[str]) -> None:
        """Have labels that are words numbered as in the data that a model was trained on.

        Args:
            names: What the classes 0, 1, ... are called, ascending.

        Raises:
            DataError: When labels are looked for, if one is none of the names.
        """
        self._material.name_classes(names)

    @override
    def __str__(self) -> str:
        return summarize(self._material, self.plan)

    def describe(self) -> str:
        """Tell what was inferred for each phase, and why."""
        parts = [f"[{phase}]\n{found.describe()}" for phase, found in self.catalogs.items()]
        if len(parts) == 1:
            parts = [self.catalogs[Phase.TRAIN].describe()]
        unused = [f"not used: {folder}" for folder in unused_folders(self._material.path)]
        return "\n\n".join([*parts, *unused])


class _NoLoaders(CombinedLoader):
    """No loaders at all; for an empty list, Lightning would warn of a loader without batches."""

    def __init__(self) -> None:
        super().__init__([], "sequential")

    @property  # type: ignore[explicit-override] # mypy overlooks it on what can be set
    @override
    def flattened(self) -> list[Any]:
        return []

    @flattened.setter
    def flattened(self, flattened: list[Any]) -> None:
        assert not flattened  # noqa: S101 - Lightning puts back what it was given
