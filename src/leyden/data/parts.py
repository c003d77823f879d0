"""Which sets train, which validate, which test: no two phases share a row."""

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from leyden.errors import ConfigError, DataError, DiscoveryError, MissingPathError
from leyden.shards import Catalog, Shard, hold_out
from leyden.shards.phases import has_phases, phase_folder
from leyden.shards.readers import reading
from leyden.types import Key, Phase

__all__ = ["Part", "name_classes", "split_parts"]

Part: TypeAlias = float | Sequence[int] | str | PathLike[str] | None
"""Which sets a phase gets: a fraction of all, their numbers, the path of a folder, or none."""


def split_parts(
    path: Path, parts: Mapping[Phase, Part], find: Callable[[Path], Catalog], *, seed: int
) -> dict[Phase, Catalog]:
    """Give every phase its catalogue.

    A path is that folder. A sub-folder that is named after a phase is that phase's, and so is one
    with another usual name for it, such as ``validation/``. Set numbers
    are taken from the training sets, and so is a fraction where there is no sub-folder.

    Args:
        path: The folder, of shards or of sub-folders.
        parts: What was asked for each phase.
        find: Makes the catalogue of a folder.
        seed: Decides which sets a fraction gets.

    Returns:
        The catalogues of the phases that have one.

    Raises:
        MissingPathError: If a folder does not exist.
        DiscoveryError: If two sub-folders could be those of one phase.
        ConfigError: If a part is of no known kind, two share rows, or nothing is left to train on.
        DataError: If a set number does not exist, or the rows of two parts differ in make.
        ShardError: If a shard is gone by then.
    """
    folders = _choose_folders(path, parts)
    if Phase.TRAIN not in folders and has_phases(path):
        _expect_shards(path)
    base = find(folders.pop(Phase.TRAIN, path))
    found = {phase: find(folder) for phase, folder in folders.items()}
    taken = {phase: part for phase, part in parts.items() if phase not in found}
    found |= _take_sets(base, taken, seed)
    found = name_classes(found, found[Phase.TRAIN].label_names)
    _check_disjoint(found)
    _check_make(found)
    return {phase: found[phase] for phase in Phase if phase in found}


def _choose_folders(path: Path, parts: Mapping[Phase, Part]) -> dict[Phase, Path]:
    """Find the phases that have a folder of their own."""
    folders = {}
    for phase, part in parts.items():
        _check_kind(phase, part)
        if isinstance(part, str | PathLike):
            folders[phase] = Path(part)
            if not folders[phase].exists():
                problem = f"Expected `{phase}` to exist, but got {str(part)!r}."
                raise MissingPathError(f"{problem} Pass its path as seen from {Path.cwd()}.")
        elif (folder := phase_folder(path, phase)) is not None:
            folders[phase] = folder
            if isinstance(part, Sequence) and phase is not Phase.TRAIN:
                problem = f"Expected `{phase}` to be None where {folders[phase]} exists"
                raise ConfigError(f"{problem}, but got {part!r}. Remove one of the two.")
    return folders


def _check_kind(phase: Phase, part: object) -> None:
    numbers = isinstance(part, Sequence) and all(isinstance(number, Integral) for number in part)
    fraction = isinstance(part, float) and phase is not Phase.TRAIN
    if not (part is None or numbers or fraction or isinstance(part, str | PathLike)):
        kinds = "set numbers, the path of a folder or None"
        kinds = kinds if phase is Phase.TRAIN else f"a fraction, {kinds}"
        raise ConfigError(f"Expected `{phase}` to be {kinds}, but got {part!r}.")


def _expect_shards(path: Path) -> None:
    if not any(entry.is_file() and not entry.name.startswith(".") for entry in path.iterdir()):
        folders = (phase_folder(path, phase) for phase in Phase)
        names = ", ".join(f"{folder.name}/" for folder in folders if folder is not None)
        problem = f"Expected shards or a folder train/ in {path}, but got only {names}."
        raise DiscoveryError(f"{problem} Pass `train` with the path of the training shards.")


def _take_sets(base: Catalog, parts: Mapping[Phase, Part], seed: int) -> dict[Phase, Catalog]:
    """Divide the sets of one folder among the phases that have none of their own."""
    numbers = {
        phase: tuple(part)
        for phase, part in parts.items()
        if isinstance(part, Sequence) and not isinstance(part, str)
    }
    fractions = {phase: part for phase, part in parts.items() if isinstance(part, float)}
    named = {number for part in numbers.values() for number in part}
    pool = numbers.get(Phase.TRAIN) or [n for n in base.set_numbers if n not in named]
    if not pool:
        takers = " and ".join(f"`{phase}`" for phase in numbers)
        problem = f"Expected a set to be left for training, but all of {base.path} are for {takers}"
        raise ConfigError(f"{problem}. Name fewer sets.")
    drawn = hold_out(pool, {str(phase): part for phase, part in fractions.items()}, seed=seed)
    found = {phase: base.select(part) for phase, part in numbers.items()}
    found |= {phase: base.select(drawn[str(phase)]) for phase in fractions}
    return found | {Phase.TRAIN: base.select(drawn["rest"])}


def name_classes(
    found: Mapping[Phase, Catalog], names: Sequence[str] | None
) -> dict[Phase, Catalog]:
    """Number the classes of all phases alike, where labels are words.

    Args:
        found: The catalogues of the phases.
        names: What the classes 0, 1, ... are called, ascending; ``None`` where they have no names.

    Raises:
        DataError: If a label is none of the names; rows to predict just have no labels then.
    """
    if names is None:
        return dict(found)
    numbered: dict[Phase, Catalog] = {}
    for phase, catalog in found.items():
        try:
            numbered[phase] = catalog.with_classes(names)
        except DataError as error:
            if phase is not Phase.PREDICT:
                error.add_note(f"while reading the labels of `{phase}` in {catalog.path}")
                raise
            numbered[phase] = catalog.without_labels()
    return numbered


def _check_disjoint(found: Mapping[Phase, Catalog]) -> None:
    """Refuse rows in two phases; predicting rows that were seen elsewhere is fine."""
    rows = {
        phase: {_identity(shard): shard.data.path.name for shard in catalog.shards}
        for phase, catalog in found.items()
        if phase is not Phase.PREDICT
    }
    for (one, first), (other, second) in combinations(rows.items(), 2):
        if shared := sorted({first[known] for known in first.keys() & second.keys()}):
            problem = f"Expected `{one}` and `{other}` to share no rows, but both have {shared[0]}"
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            raise ConfigError(f"{problem}{more}. Give each its own sets.")


def _identity(shard: Shard) -> tuple[int, int, Key, int]:
    """What tells the rows of one set from those of another: file, array and first row.

    Links of either kind lead to one file, which the system knows by two numbers.
    """
    piece = shard.data
    with reading(piece.path, set_number=shard.set_number):
        file = os.stat(piece.path)  # noqa: PTH116 - twice as fast, and there are many files
    return file.st_dev, file.st_ino, piece.key, piece.start


def _check_make(found: Mapping[Phase, Catalog]) -> None:
    """Make sure that what is trained on is what is validated and tested on."""
    train = found[Phase.TRAIN]
    for phase, catalog in found.items():
        needs_labels = phase is not Phase.PREDICT
        if _make(catalog, labels=needs_labels) != _make(train, labels=needs_labels):
            raise DataError(
                f"Expected `{phase}` to be of the make of `train`, but they differ.\n"
                f"train: {_make(train, labels=needs_labels)}\n"
                f"{phase}: {_make(catalog, labels=needs_labels)}"
            )


def _make(catalog: Catalog, *, labels: bool) -> str:
    made = {f"{name} ": field for name, field in catalog.fields.items()} or {"rows ": catalog}
    rows = ", ".join(f"{what}{found.dtype} {found.sample_shape}" for what, found in made.items())
    if not labels:
        return rows
    found = f"{catalog.label_dtype} {catalog.label_shape}" if catalog.has_labels else "none"
    return f"{rows}, labels {found}"
