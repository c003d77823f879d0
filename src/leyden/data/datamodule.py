"""A data module that infers everything from a folder of numbered files."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lightning import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from typing_extensions import override

from leyden.data.gather import ShardStore
from leyden.data.loader import Batch, BatchLoader, Progress
from leyden.data.origin import BatchOrigin
from leyden.data.parts import Part, split_parts
from leyden.data.plan import EpochPlan, check_whole, parse_shuffle
from leyden.data.status import Status, make_status
from leyden.errors import ConfigError, DataError, suggest
from leyden.shards import Catalog, Labels, discover
from leyden.types import Phase, Reader

__all__ = ["AutoDataModule"]


class AutoDataModule(LightningDataModule):
    """Batches from a folder of numbered files, of which nothing but the path has to be told.

    Every batch is a pure function of the files, the arguments, its epoch and its place, so that
    any of them can be named (``origin``) and had again (``fetch``) at any time. A batch is
    ``(inputs, labels)``, or the inputs alone where there are no labels.

    Args:
        path: The folder: of shards, or of sub-folders ``train/``, ``val/``, ``test/``.
        train: Set numbers, or the path of a folder; ``None`` for ``train/`` or else all the rest.
        val: A fraction of the sets, set numbers, or the path of a folder; ``None`` for ``val/`` if
            there is one. A sub-folder goes before a fraction.
        test: Likewise.
        predict: Likewise; ``None`` for ``predict/`` or else the test part.
        labels: See ``discover``.
        pattern: See ``discover``.
        reader: See ``discover``.
        batch_size: Rows of a batch, whatever the lengths of the shards.
        shuffle: Order of the training rows: ``"none"``, ``"sets"`` (the sets only), ``"rows"``
            (the sets, and the rows within each), ``"window:K"`` (rows among ``K`` consecutive
            shuffled sets) or ``"full"``.
        drop_last: Whether a shorter last training batch is left out.
        seed: Decides the order of training rows, and which sets a fraction gets.

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> import numpy as np, tempfile
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
        reader: Callable[[Path], Reader] | None = None,
        batch_size: int = 32,
        shuffle: str = "rows",
        drop_last: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._path = Path(path)
        self._parts: dict[Phase, Part] = {
            Phase.TRAIN: train,
            Phase.VAL: val,
            Phase.TEST: test,
            Phase.PREDICT: predict,
        }
        self._find = partial(discover, labels=labels, pattern=pattern, reader=reader)
        parse_shuffle(shuffle)
        check_whole("batch_size", batch_size, 1)
        check_whole("seed", seed, 0)
        self.batch_size, self.seed = batch_size, seed
        self._shuffle, self._drop_last = shuffle, drop_last
        self._loaders: dict[Phase, BatchLoader] = {}
        self._plans: dict[Phase, EpochPlan] = {}  # of each phase, the one asked for last
        self._place: dict[str, Any] | None = None  # where the next training loader begins
        self._last: tuple[Phase, EpochPlan, Progress] | None = None  # of the last batch

    @cached_property
    def catalogs(self) -> Mapping[Phase, Catalog]:
        """The sets of each phase; looked for once, when first asked for.

        Raises:
            MissingPathError: If a folder does not exist.
            DiscoveryError: If a folder cannot be read as numbered shards.
            DataError: If the parts contradict each other.
        """
        found = split_parts(self._path, self._parts, self._find, seed=self.seed)
        if Phase.PREDICT not in found and Phase.TEST in found:
            found[Phase.PREDICT] = found[Phase.TEST]
        return found

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one row of the inputs."""
        return self.catalogs[Phase.TRAIN].sample_shape

    @property
    def label_shape(self) -> tuple[int, ...] | None:
        """Shape of one label; ``None`` without labels."""
        return self.catalogs[Phase.TRAIN].label_shape

    @cached_property
    def num_classes(self) -> int | None:
        """Classes over all phases, where labels are whole numbers; else ``None``."""
        counts = [catalog.num_classes for catalog in self.catalogs.values() if catalog.has_labels]
        known = [count for count in counts if count is not None]
        return max(known, default=None)

    def has(self, phase: Phase | str) -> bool:
        """Say whether there is data for a phase."""
        return _phase(phase) in self.catalogs

    @override
    def setup(self, stage: str) -> None:
        _ = self.catalogs
        self._plans, self._place, self._last = {}, None, None
        if self.trainer is not None and self.trainer.world_size > 1:
            problem = "Expected one process, the most that AutoDataModule serves so far"
            raise ConfigError(f"{problem}, but got {self.trainer.world_size}. Pass `devices=1`.")

    @override
    def train_dataloader(self) -> BatchLoader:
        loader = self._new_loader(Phase.TRAIN)
        if self._place is not None:
            loader.load_state_dict(self._place)
            self._place = None
        return loader

    @override
    def val_dataloader(self) -> BatchLoader | CombinedLoader:
        return self._new_loader(Phase.VAL) if self.has(Phase.VAL) else _NoLoaders()

    @override
    def test_dataloader(self) -> BatchLoader:
        return self._new_loader(Phase.TEST)

    @override
    def predict_dataloader(self) -> BatchLoader:
        return self._new_loader(Phase.PREDICT)

    def plan(self, phase: Phase | str, epoch: int) -> EpochPlan:
        """Work out the batches of an epoch.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            epoch: Which epoch, from zero; all but training epochs are alike.

        Raises:
            ConfigError: If there is no such phase.
            DataError: If the phase has no data.
        """
        phase = _phase(phase)
        trains = phase is Phase.TRAIN
        overfits = getattr(self.trainer, "overfit_batches", 0) > 0
        return EpochPlan(
            self._catalog(phase).lengths,
            batch_size=self.batch_size,
            shuffle=self._shuffle if trains and not overfits else "none",
            seed=self.seed,
            epoch=epoch,
            drop_last=self._drop_last and trains,
        )

    def origin(self, phase: Phase | str, epoch: int, batch_index: int) -> BatchOrigin:
        """Tell where a batch comes from; reads nothing.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            epoch: Its epoch, from zero.
            batch_index: Its place in the epoch, from zero.

        Raises:
            ConfigError: If there is no such phase.
            DataError: If the phase has no data.
            IndexError: If the epoch has no such batch.
        """
        phase = _phase(phase)
        plan = self._plans.get(phase)
        if plan is None or plan.epoch != epoch:
            plan = self._plans[phase] = self.plan(phase, epoch)
        return plan[batch_index]

    def fetch(self, phase: Phase | str, epoch: int, batch_index: int) -> Batch:
        """Read any batch, the very one that training sees, saw or will see.

        Args:
            phase: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.
            epoch: Its epoch, from zero.
            batch_index: Its place in the epoch, from zero.

        Returns:
            Inputs ``(batch, ...)``, with labels ``(batch, ...)`` if there are any.

        Raises:
            ConfigError: If there is no such phase.
            DataError: If the phase has no data.
            IndexError: If the epoch has no such batch.
            ShardError: If a shard is missing or broken.
        """
        origin = self.origin(phase, epoch, batch_index)
        return self._loader(_phase(phase)).fetch(origin)

    @property
    def status(self) -> Status | None:
        """What is being fit right now; ``None`` before the first batch."""
        return None if self._last is None else make_status(*self._last)

    @override
    def state_dict(self) -> dict[str, Any]:
        """Write down the place in the training data, if it is in the middle of an epoch.

        Lightning saves the state of the training loader too, but does not always load it: not where
        ``configure_optimizers`` asks for ``trainer.estimated_stepping_batches``.
        """
        loader = self._loaders.get(Phase.TRAIN)
        if loader is None or loader.progress.num_batches in (0, len(loader)):
            return {}
        return {str(Phase.TRAIN): loader.state_dict()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next training loader begin at the place that was written down.

        Args:
            state_dict: What ``state_dict`` returned.
        """
        self._place = state_dict.get(Phase.TRAIN)

    def describe(self) -> str:
        """Tell what was inferred for each phase, and why."""
        if len(self.catalogs) == 1:
            return self.catalogs[Phase.TRAIN].describe()
        return "\n\n".join(
            f"[{phase}]\n{catalog.describe()}" for phase, catalog in self.catalogs.items()
        )

    def _catalog(self, phase: Phase) -> Catalog:
        if phase not in self.catalogs:
            problem = f"Expected data for `{phase}`, but {self._path} has none."
            raise DataError(f"{problem} Pass `{phase}` with set numbers or a path.")
        return self.catalogs[phase]

    def _loader(self, phase: Phase) -> BatchLoader:
        return self._loaders[phase] if phase in self._loaders else self._new_loader(phase)

    def _new_loader(self, phase: Phase) -> BatchLoader:
        def note(loader: BatchLoader) -> None:
            self._last = (phase, loader.plan, loader.progress)

        catalog = self._catalog(phase)
        self._loaders[phase] = BatchLoader(
            ShardStore(catalog),
            partial(self.plan, phase),
            fingerprint=catalog.fingerprint,
            every_epoch_alike=phase is not Phase.TRAIN,
            on_batch=note,
        )
        return self._loaders[phase]


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


def _phase(name: Phase | str) -> Phase:
    try:
        return Phase(name)
    except ValueError:
        problem = f"Expected `phase` to be the name of a phase, but got {name!r}."
        hint = suggest(str(name), [phase.value for phase in Phase])
        raise ConfigError(f"{problem} {hint}") from None
