"""Where the sets of a folder or file are: its numbered files, or the parts of one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leyden.errors import ConfigError, MissingPathError, suggest
from leyden.shards.dataset_file import Cut, FoundSets, find_in_file, open_shard
from leyden.shards.fields import Fields, check_rows, check_sets
from leyden.shards.formats import OpenFile, format_of
from leyden.shards.headers import Headers
from leyden.shards.manifest import find_manifest, refuse_lost
from leyden.shards.numbering import number_files
from leyden.shards.readers import reading

__all__ = ["Search", "as_path", "existing"]


def as_path(given: str | os.PathLike[str], argument: str) -> Path:
    """Make sure that a path is one.

    Args:
        given: The path.
        argument: Which argument it was given as.

    Raises:
        ConfigError: If it is none.
    """
    value: object = given
    if not isinstance(value, str | os.PathLike):
        problem = f"Expected `{argument}` to be the path of a folder or a file"
        raise ConfigError(f"{problem}, but got {given!r}.")
    return Path(given)


def existing(given: str | os.PathLike[str], argument: str) -> Path:
    """Make sure that a path exists.

    Args:
        given: The path.
        argument: Which argument it was given as.

    Raises:
        ConfigError: If it is no path.
        MissingPathError: If it does not exist; it suggests the nearest name.
    """
    path = as_path(given, argument)
    if path.exists():
        return path
    parent = path.parent
    problem = f"Expected `{argument}` to exist, but got {str(path)!r}."
    if not parent.is_dir():
        raise MissingPathError(f"{problem} There is no {str(parent)!r} either.")
    folders = [entry.name for entry in parent.iterdir() if entry.is_dir() or path.suffix]
    near = suggest(path.name, (name for name in folders if not name.startswith(".")))
    raise MissingPathError(f"{problem} {near}")


@dataclass(frozen=True, slots=True)
class Search:
    """Finds the sets of folders and of dataset files.

    Args:
        headers: Asks the files.
        pattern: A glob or an expression for the names of shards; ``None`` for the usual ones.
        reader: Opens the files instead of the formats that their extensions name.
        cut: How the array of a dataset file is cut into sets.
        skip: Files that are known to be no shards.
        with_labels: Whether to look for labels in the shards.
    """

    headers: Headers
    pattern: str | None
    reader: OpenFile | None
    cut: Cut
    skip: tuple[Path, ...]
    with_labels: bool

    def find(self, place: Path, fields: Fields) -> FoundSets:
        """Find the sets of a folder or a file, and labels in them.

        Args:
            place: The folder or file.
            fields: The arrays or columns that are the inputs; none to find the only one.

        Raises:
            ConfigError: If an argument does not go with ``place``.
            DataError: If ``place`` was packed and its manifest is damaged.
            DiscoveryError: If it is not plain which files are shards.
            FormatError: If ``place`` is a file of an unknown format.
            ShardError: If a file is missing, broken, or lacks an input, or its inputs differ in
                their rows.
        """
        if self.reader is not None and fields:
            problem = f"Expected folders or files in `inputs` with `reader`, but got {list(fields)}"
            raise ConfigError(f"{problem}. A reader opens files of one array.")
        if place.is_dir():
            self.cut.refuse_sets(place, "a folder of shards")
            return self._open_all(place, fields)
        self._check_file(place)
        return find_in_file(
            place,
            self.cut,
            self.headers,
            fields=fields,
            reader=self.reader,
            with_labels=self.with_labels,
        )

    def find_each(self, path: Path, places: Mapping[str, Path]) -> FoundSets:
        """Find the sets of inputs that have a folder or file of their own.

        Args:
            path: The folder that they are in.
            places: The folder or file of each input.

        Raises:
            MissingPathError: If one does not exist.
            DiscoveryError: If they differ in sets or rows.
        """
        found = {name: self.find(existing(place, "inputs"), {}) for name, place in places.items()}
        check_sets(path, {name: sets.lengths for name, sets in found.items()})
        return FoundSets(
            tuple(sets.data for sets in found.values()),
            next((sets.inside for sets in found.values() if sets.inside), {}),
            "; ".join(dict.fromkeys(sets.rule for sets in found.values())),
            tuple(
                os.path.relpath(places[name] / other, path)
                for name, sets in found.items()
                for other in sets.left_out
            ),
        )

    def _check_file(self, path: Path) -> None:
        if self.pattern is not None:
            problem = f"Expected no `pattern` for a single file, but got {self.pattern!r}"
            raise ConfigError(f"{problem} for {path}. Pass the folder that holds it.")
        if self.reader is None:
            format_of(path)

    def _open_all(self, folder: Path, fields: Fields) -> FoundSets:
        """Open the shards of a folder: where their rows are, and where labels inside them are."""
        numbered = number_files(
            folder,
            pattern=self.pattern,
            any_extension=self.reader is not None,
            skip=self.skip,
        )
        present = {*(path.name for path in numbered.paths.values()), *numbered.left_out}
        if packed := find_manifest(folder):
            names = [name for name in packed.files if "/" not in name]
            refuse_lost(folder, [name for name in names if name not in present])
        opened, inside = {}, {}
        for number, path in numbered.paths.items():
            with reading(path, set_number=number):
                opened[number], found = open_shard(
                    path,
                    self.headers,
                    fields=fields,
                    reader=self.reader,
                    with_labels=self.with_labels,
                )
                check_rows(fields, opened[number])
            if found is not None:
                inside[number] = found
        inputs = tuple(
            dict(zip(opened, pieces, strict=True)) for pieces in zip(*opened.values(), strict=True)
        )
        return FoundSets(inputs, inside, numbered.rule, numbered.left_out)
