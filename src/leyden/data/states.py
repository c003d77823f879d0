"""Saved states of loaders and data modules, looked at before anything is changed."""

from collections.abc import Mapping
from numbers import Integral
from reprlib import repr as shown
from typing import Any

from leyden.errors import ResumeError, check_version
from leyden.types import Phase

__all__ = ["PLACE_VERSION", "check_mapping", "check_place", "check_state", "check_within"]

PLACE_VERSION = 2
"""Of the state of a loader."""

_LEAST = {"epoch": 0, "rows": 0, "batches": 0, "window": 0, "windows": 1, "step_rows": 0}


def check_mapping(state: object, key: str = "") -> None:
    """Refuse what cannot be a state, or a part of one, at all.

    Args:
        state: What was given.
        key: Of the part.

    Raises:
        ResumeError: If it has no keys.
    """
    _expect(key, "a dictionary", state, fits=isinstance(state, Mapping))


def check_place(state: Mapping[str, Any]) -> None:
    """Refuse the state of a loader if it is of no place that there could be.

    Args:
        state: What ``BatchLoader.state_dict`` returned.

    Raises:
        ResumeError: If a number is missing or out of range, or two contradict each other.
    """
    check_version(state, PLACE_VERSION)
    for key, least in _LEAST.items():
        value = state.get(key)
        _expect(key, f"a whole number from {least}", value, fits=_is_whole(value, least))
    for key, most in (("batches", state["rows"]), ("window", state["windows"] - 1)):
        _expect(key, f"{most} at most", state[key], fits=state[key] <= most)
    begun = state["window"] > 0
    kind = "from 1 within a batch" if begun else "0 between two batches"
    _expect("step_rows", kind, state["step_rows"], fits=(state["step_rows"] > 0) is begun)


def check_within(state: Mapping[str, Any], num_rows: int) -> None:
    """Refuse the state of a loader if it is of a place beyond the end of its epoch.

    Args:
        state: What ``BatchLoader.state_dict`` returned.
        num_rows: Rows of the epoch.

    Raises:
        ResumeError: If it is.
    """
    row = state["rows"] + state["step_rows"]
    if row > num_rows:
        problem = f"Expected a place within the {num_rows} rows of epoch {state['epoch']}"
        remedy = "Go on with the schedule that the state was made with."
        raise ResumeError(f"{problem}, but got row {row}. {remedy}")


def check_state(state: Mapping[str, Any], version: int) -> None:
    """Refuse the state of a data module if it could be that of none.

    Args:
        state: What ``AutoDataModule.state_dict`` returned.
        version: The one that can be read.

    Raises:
        ResumeError: If it is of another version, or a part of it is of no known kind.
    """
    check_mapping(state)
    check_version(state, version)
    for key in ("preparation", "schedules", "train"):
        check_mapping(state.get(key, {}), key)
    epoch, fingerprint = state.get("next_epoch", 0), state.get("fingerprint", "")
    _expect("next_epoch", "a whole number from 0", epoch, fits=_is_whole(epoch, 0))
    _expect("fingerprint", "text", fingerprint, fits=isinstance(fingerprint, str))
    names = state.get("classes", [])
    _expect("classes", "a list of names", names, fits=_are(str, names))
    for phase, entries in state.get("schedules", {}).items():
        known = [str(phase) for phase in Phase]
        _expect("schedules", f"by {', '.join(known)}", phase, fits=phase in known)
        fits = isinstance(entries, list | tuple) and all(map(_is_order, entries))
        _expect("schedules", "a list of epochs and sets for each phase", entries, fits=fits)
    if "train" in state:
        check_place(state["train"])


def _is_order(entry: object) -> bool:
    """Say whether it is an epoch, and the sets to visit from it on."""
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        return False
    epoch, sets = entry
    return _is_whole(epoch, 0) and (sets is None or (_are(Integral, sets) and len(sets) > 0))


def _are(kind: type, values: object) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(value, kind) for value in values)


def _is_whole(value: Any, least: int) -> bool:
    is_whole = not isinstance(value, bool) and isinstance(value, Integral)
    return is_whole and bool(value >= least)


def _expect(key: str, kind: str, value: object, *, fits: bool) -> None:
    if not fits:
        part = f"`{key}` of a saved state" if key else "a saved state"
        problem = f"Expected {part} to be {kind}, but got {shown(value)}."
        raise ResumeError(f"{problem} Pass what `state_dict` returned.")
