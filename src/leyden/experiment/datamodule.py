"""From what is told about data to the data module of a training."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from lightning import LightningDataModule

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.experiment.one_hot import OneHotDataModule
from leyden.experiment.samples import draw_parts
from leyden.experiment.sources import ChosenRows, Shards, find_data, has_parts, indexed
from leyden.experiment.specs import Dataset
from leyden.shards import Source, discover, find_manifest, pack
from leyden.types import Phase

__all__ = ["DataRequest"]

_DISCOVERY = ("labels", "inputs", "pattern", "reader", "rows_per_set", "leading_axis")
_OWN_SETTINGS = (
    "samples",
    "preprocessors",
    "data_augmentors",
    "one_hot",
    "seed",
    "packed_dir",
    "options",
)


class DataRequest:
    """Data on its way: first to be fetched, then to be loaded.

    Args:
        spec: What was told.
        batch_size: Rows of a batch; ``None`` for the data module's own.

    Attributes:
        class_names: What the labels 0, 1, ... stand for, once loaded, if they have names.
    """

    def __init__(self, spec: Dataset, batch_size: int | None) -> None:
        self._spec, self._batch_size = spec, batch_size
        self._found: Shards | LightningDataModule | None = None
        self._temporary: Path | None = None
        self.class_names: tuple[str, ...] | None = None

    def fetch(self) -> None:
        """Bring data to where it can be loaded from: pack what are no shards yet.

        Raises:
            LeydenError: If there is no such data, or it cannot be packed.
        """
        found = find_data(self._spec.dataset)
        if isinstance(found, Source):
            found = self._pack(found)
        elif isinstance(found, LightningDataModule):
            self._check_module(found)
            found.prepare_data()
        self._found = found

    def load(self) -> LightningDataModule:
        """Find the rows of each part.

        Returns:
            A data module that knows its sets, and has read none of them.

        Raises:
            LeydenError: If data and arguments do not go together.
        """
        found = self._found
        assert found is not None  # noqa: S101 - it was fetched before
        if isinstance(found, LightningDataModule) and not isinstance(found, AutoDataModule):
            found.setup("fit")
            return found
        data = found if isinstance(found, AutoDataModule) else self._open(found)
        if self._temporary is not None:
            weakref.finalize(data, shutil.rmtree, self._temporary, ignore_errors=True)
        self.class_names = data.class_names or _read_class_names(data.catalogs[Phase.TRAIN].path)
        if isinstance(data, OneHotDataModule):
            data.check()
        return data

    def _pack(self, source: Source) -> Shards:
        """Pack each part into a folder of its own."""
        spec = self._spec
        folder = Path(spec.packed_dir or tempfile.mkdtemp(prefix="leyden-"))
        self._temporary = folder if spec.packed_dir is None else None
        if not folder.exists() or self._temporary:
            source.check()
        rows = indexed(source)
        drawing: dict[str, Any] = {"shuffle": spec.is_drawn, "seed": spec.seed}
        for name, chosen in draw_parts(spec.samples, rows.num_rows, **drawing).items():
            told = {"part": name, "samples": spec.samples and dict(spec.samples), **drawing}
            pack(ChosenRows(rows, chosen, told), folder / name)
        return Shards(folder)

    def _open(self, shards: Shards) -> AutoDataModule:
        spec = self._spec
        options: dict[str, Any] = {**shards.options, **(spec.options or {})}
        if not has_parts(shards.path):
            options |= self._split(shards.path, options)
        elif spec.samples is not None and not self._is_packed(shards):
            problem = f"Expected `samples` to be None where {shards.path} has a folder for a part"
            raise ConfigError(f"{problem}, but got {dict(spec.samples)!r}. Remove one of the two.")
        if self._batch_size is not None:
            options["batch_size"] = self._batch_size
        return (OneHotDataModule if spec.one_hot else AutoDataModule)(
            shards.path,
            shuffle=spec.order,
            preprocessors=spec.preprocessors,
            augmentors=spec.data_augmentors,
            seed=spec.seed,
            **options,
        )

    def _is_packed(self, shards: Shards) -> bool:
        places = (self._temporary, self._spec.packed_dir and Path(self._spec.packed_dir))
        return shards.path in places

    def _split(self, path: Path, options: dict[str, Any]) -> dict[str, list[int]]:
        """Share the sets out; whole sets, so that no set is in two parts."""
        spec = self._spec
        if given := sorted({"train", "val", "test"} & options.keys()):
            if spec.samples is None:
                return {}
            problem = f"Expected `samples` or {given[0]!r} of the options, but got both"
            raise ConfigError(f"{problem}. Remove one of the two.")
        if any(type(part) is int and part for part in (spec.samples or {}).values()):
            problem = "Expected `samples` of shards to be fractions, as whole sets are held out"
            raise ConfigError(f"{problem}, but got {dict(spec.samples or {})!r}.")
        found = {name: options[name] for name in _DISCOVERY if name in options}
        numbers = np.array(discover(path, **found).set_numbers)
        parts = draw_parts(spec.samples, len(numbers), shuffle=spec.is_drawn, seed=spec.seed)
        return {name: sorted(numbers[chosen].tolist()) for name, chosen in parts.items()}

    def _check_module(self, module: LightningDataModule) -> None:
        """Refuse what only an ``AutoDataModule`` that is made here could do."""
        for name in _OWN_SETTINGS:
            if value := getattr(self._spec, name):
                problem = f"Expected `{name}` to be given to the data module, but got {value!r}"
                raise ConfigError(f"{problem} beside {type(module).__name__}. Leave it out here.")
        size = getattr(module, "batch_size", self._batch_size)
        if self._batch_size is not None and size != self._batch_size:
            problem = f"Expected the `batch_size` of {type(module).__name__}, {size!r}"
            raise ConfigError(f"{problem}, but got {self._batch_size!r}. Say it once.")


def _read_class_names(path: Path) -> tuple[str, ...] | None:
    """Look up the names of classes in a folder that was packed."""
    packed = find_manifest(path)
    return packed.class_names if packed else None
