"""What the sub-folders of the phases are called, and what else they are often called."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from leyden.errors import DiscoveryError
from leyden.types import Phase

__all__ = ["SYNONYMS", "has_phases", "names_phase", "phase_folder", "unused_folders"]

SYNONYMS: Mapping[Phase, tuple[str, ...]] = {
    Phase.TRAIN: ("training",),
    Phase.VAL: ("valid", "validation", "dev", "eval"),
    Phase.TEST: ("testing",),
    Phase.PREDICT: (),
}
"""Names that a folder may have instead of that of its phase."""


def phase_folder(path: Path, phase: Phase) -> Path | None:
    """Find the sub-folder of a phase.

    Args:
        path: The folder that it is in.
        phase: Whose folder.

    Returns:
        The one that is called like the phase; else the one that has another name for it, if any.

    Raises:
        DiscoveryError: If two have other names for it, and none its own.
    """
    if (path / phase).is_dir():
        return path / phase
    found = {(path / name).resolve(): path / name for name in _others(path, phase)}
    if len(found) > 1:
        names = " and ".join(f"{folder.name}/" for folder in found.values())
        problem = f"Expected one folder for `{phase}` in {path}, but got {names}"
        raise DiscoveryError(f"{problem}. Rename one to {phase}/, which goes before others.")
    return next(iter(found.values()), None)


def has_phases(path: Path) -> bool:
    """Say whether a folder has a sub-folder for a phase."""
    return any((path / phase).is_dir() or any(_others(path, phase)) for phase in Phase)


def names_phase(name: str) -> bool:
    """Say whether a folder is called like one of a phase.

    Example:
        >>> names_phase("Validation"), names_phase("cat")
        (True, False)
    """
    return any(name.lower() in (phase, *SYNONYMS[phase]) for phase in Phase)


def unused_folders(path: Path) -> list[str]:
    """List sub-folders that could be those of phases, but others are."""
    return [
        f"{name}/, as there is {phase}/"
        for phase in Phase
        if (path / phase).is_dir()
        for name in _others(path, phase)
        if not (path / name).samefile(path / phase)
    ]


def _others(path: Path, phase: Phase) -> Iterator[str]:
    return (name for name in SYNONYMS[phase] if (path / name).is_dir())
