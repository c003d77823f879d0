"""Set numbers from file names: ``<base><integer><extension>``."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from leyden.errors import ConfigError, DiscoveryError
from leyden.shards.formats import known_extensions, split_name
from leyden.shards.phases import names_phase

__all__ = ["Numbered", "list_some", "number_files", "number_keys"]

_NUMBER_LAST = re.compile(r"^(?P<base>.*?)(?P<number>\d+)$")
_GROUP = "(?P<number>"
_PATTERN_HELP = (
    "A `pattern` is a glob for whole names, or a regular expression with a group (?P<number>\\d+)"
    " for names without extension."
)
_SHOWN = 10
_MOST = 2**63 - 1  # what NumPy counts to


@dataclass(frozen=True, slots=True)
class Numbered:
    """Files of one folder by set number, and what was left out of it.

    Args:
        paths: The files, ascending by number.
        rule: How they are named, for people.
        left_out: Names of files that are no shards.
    """

    paths: Mapping[int, Path]
    rule: str
    left_out: tuple[str, ...]


def number_files(
    folder: Path,
    *,
    pattern: str | None = None,
    any_extension: bool = False,
    skip: Iterable[Path] = (),
) -> Numbered:
    """Find the numbered files of a folder.

    Args:
        folder: Where to look; its sub-folders are not searched.
        pattern: A glob for the names of the shards, such as ``"x_*.npy"``; or a regular expression
            for the name without extension that has a group ``(?P<number>...)``.
        any_extension: Whether files of unknown formats count as well.
        skip: Files that are known to be something else.

    Returns:
        The files by set number.

    Raises:
        ConfigError: If ``pattern`` is no valid expression, or its group is not a number.
        DiscoveryError: If it is not plain which files are the shards, and in which order.
    """
    rule = _compile(pattern)
    skipped = {path.resolve() for path in skip}
    groups: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    left_out: list[str] = []
    misnumbered: list[str] = []
    for name in _list_names(folder):
        stem, extension = split_name(name)
        is_format = bool(extension) or any_extension
        if any_extension and not extension:
            stem, extension = Path(name).stem, Path(name).suffix
        hidden = name.startswith(".") or stem == "labels"
        hidden = hidden or (bool(skipped) and (folder / name).resolve() in skipped)
        if hidden or not is_format or not _chosen(name, pattern, rule):
            left_out.append(name)
        elif match := rule.search(stem):
            base = match["base"] if rule is _NUMBER_LAST else ""
            groups[base, extension][name] = match["number"]
        else:
            is_offender = rule is _NUMBER_LAST and re.search(r"\d", stem)
            (misnumbered if is_offender else left_out).append(name)
    _check(folder, groups, misnumbered, left_out, pattern)
    ((base, extension), numbers) = next(iter(groups.items()))
    named = pattern or f"{base}<number>{extension}"
    return Numbered(_by_number(folder, numbers), named, tuple(left_out))


def number_keys(path: Path, names: Iterable[str]) -> dict[int, str]:
    """Put arrays or columns that are called by set numbers into the order of these.

    Raises:
        DiscoveryError: If two of them are one number, or one is larger than NumPy's whole numbers.

    Example:
        >>> number_keys(Path("a.h5"), ["1", "10", "02"])
        {1: '1', 2: '02', 10: '10'}
    """
    given = list(names)
    for name in given:
        _check_number(int(name), name, path)
    by_number = {int(name): name for name in given}
    if len(by_number) < len(given):
        raise DiscoveryError(
            f"Expected each set number once in {path}, but got {list_some(given)}."
        )
    return dict(sorted(by_number.items()))


def list_some(items: Iterable[object]) -> str:
    """Join the first few of many items for a message.

    Example:
        >>> list_some(range(12))
        '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more'
    """
    texts = [str(item) for item in items]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def _list_names(folder: Path) -> list[str]:
    """Files, and whatever is named like one: a link to nowhere is a broken shard, not none."""
    return sorted(
        entry.name for entry in folder.iterdir() if not entry.is_dir() or split_name(entry.name)[1]
    )


def _compile(pattern: str | None) -> re.Pattern[str]:
    given: object = pattern
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"Expected `pattern` to be text, but got {pattern!r}. {_PATTERN_HELP}")
    if pattern is None or _GROUP not in pattern:
        return _NUMBER_LAST
    try:
        return re.compile(f"^(?:{pattern})$")
    except re.error as error:
        problem = f"Expected `pattern` to be a regular expression, but got {pattern!r}: {error}."
        raise ConfigError(problem) from None


def _chosen(name: str, pattern: str | None, rule: re.Pattern[str]) -> bool:
    return pattern is None or rule is not _NUMBER_LAST or fnmatchcase(name, pattern)


def _check(
    folder: Path,
    groups: Mapping[tuple[str, str], Mapping[str, str]],
    misnumbered: list[str],
    left_out: list[str],
    pattern: str | None,
) -> None:
    if misnumbered:
        raise DiscoveryError(
            f"Expected the set number at the end of each name in {folder}, but got"
            f" {list_some(misnumbered)}. Pass `pattern` with a group for the number, such as"
            r" pattern='ecg_(?P<number>\d+)_left', or a glob of the files wanted."
        )
    if not groups:
        found = f"only {list_some(left_out)}" if left_out else "no files"
        wanted = f"that match {pattern!r}" if pattern else "such as sample__1.npy"
        problem = f"Expected numbered files in {folder}, {wanted}, but found {found}."
        remedy = _PATTERN_HELP if pattern else _suggest(folder, left_out)
        raise DiscoveryError(f"{problem} Formats: {' '.join(known_extensions())}. {remedy}")
    if len(groups) > 1:
        listing = "\n".join(
            f"{base}<number>{extension}: {len(names)} ({list_some(names)})"
            for (base, extension), names in groups.items()
        )
        base, extension = next(iter(groups))
        example = f"such as pattern='{escape(base)}[0-9]*{extension}'"
        remedy = "Keep one kind of file." if pattern else f"Pass `pattern`, {example}."
        problem = f"Expected one group of numbered files in {folder}, but got {len(groups)}:"
        raise DiscoveryError(
            f"{problem}\n{listing}\n{remedy} Files of labels go into a folder labels/."
        )


def _suggest(folder: Path, left_out: list[str]) -> str:
    """Say what to do about a folder without numbered files."""
    if phases := _find_phases(folder):
        changes = list_some(f"{name}/ to {name.lower()}/" for name in phases)
        return f"Folders of phases have names in small letters: rename {changes}."
    if not left_out and any(entry.is_dir() for entry in folder.iterdir()):
        return f"A folder of images for each class is packed: leyden pack {folder.name} DIR."
    return "Pass `reader` for files of other formats."


def _find_phases(folder: Path) -> list[str]:
    """Find folders of shards that would be those of phases, but for the letters of their names."""
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and names_phase(entry.name) and entry.name != entry.name.lower()
        if any(split_name(file.name)[1] for file in entry.iterdir())
    )


def _by_number(folder: Path, numbers: Mapping[str, str]) -> Mapping[int, Path]:
    paths: dict[int, Path] = {}
    clashes = []
    for name, digits in numbers.items():
        if not (digits or "").isdecimal():
            problem = f"Expected the number in `pattern` to match digits, but got {digits!r}"
            raise ConfigError(f"{problem} in {name}. Write {_GROUP}\\d+).")
        number = int(digits)
        _check_number(number, name, folder)
        if number in paths:
            clashes.append(f"{paths[number].name} and {name} are both {number}")
        paths[number] = folder / name
    if clashes:
        raise DiscoveryError(
            f"Expected each set number once in {folder}, but got {list_some(clashes)}."
            " Rename them, or pass `pattern`."
        )
    return dict(sorted(paths.items()))


def _check_number(number: int, name: str, place: Path) -> None:
    if number > _MOST:
        problem = f"Expected set numbers up to {_MOST}, but got {name} in {place}."
        raise DiscoveryError(f"{problem} Rename it, or pass `pattern`.")
