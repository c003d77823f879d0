"""A step of a run: what it is made again from, and how that is compared with the ledger."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leyden.cli.replaying.checkpoints import find_checkpoint
from leyden.cli.replaying.remaking import made_again
from leyden.cli.replaying.starts import PastStart, start_of_step
from leyden.cli.replaying.steps import StepCatcher, StopBeforeTraining
from leyden.errors import ConfigError, MissingPathError, ResumeError
from leyden.incidents import Incident, MadeStep, Replay, Source, read_incident, replay_incident
from leyden.runs import RunDir, read_manifest
from leyden.tracking import read_ledger
from leyden.types import Phase

__all__ = ["replay_run"]


def replay_run(
    path: Path,
    step: int,
    *,
    until: int | None = None,
    source: Source = "auto",
    rank: int | None = None,
) -> Replay:
    """Make a step of a run again; see ``leyden.replay``.

    Args:
        path: The folder of the run.
        step: The optimizer step, from one.
        until: The step before which to stop.
        source: Where to start.
        rank: Of the process, for an incident.

    Raises:
        ConfigError: If there is no such step.
        MissingPathError: If there is no such run, or it has no ledger.
        ResumeError: If there is nothing to start from.
    """
    run = RunDir(path)
    _check_arguments(run, step, until)
    incident = _find_incident(run, step)
    rows = _training_rows(run, incident)
    _check_step(run, rows, step, until)
    start = start_of_step(run, step)
    start.check_until(until)
    is_kept = incident is not None and incident.facts["is_reproduced"] and until is None
    if source == "incident" or (source == "auto" and is_kept):
        if incident is None:
            raise ResumeError(
                f"Expected an incident at step {step} in {str(run.path)!r}, but there is none. "
                "Pass source='checkpoint'."
            )
        return _replay_incident(start, incident, rank)
    return _replay_from_checkpoint(start, rows, incident, step, until)


def _check_arguments(run: RunDir, step: int, until: int | None) -> None:
    if not run.manifest_path.is_file():
        raise MissingPathError(
            f"Expected `RUN` to be the folder of a run, but got {str(run.path)!r}, which has no "
            f"{run.manifest_path.name}."
        )
    if step < 1:
        raise ConfigError(f"Expected `step` to be at least 1, but got {step!r}.")
    if until is not None and until < step:
        raise ConfigError(f"Expected `until` to be at least {step}, but got {until!r}.")


def _find_incident(run: RunDir, step: int) -> Incident | None:
    path = run.incidents_dir / str(step)
    return read_incident(path) if path.is_dir() else None


def _training_rows(run: RunDir, incident: Incident | None) -> list[dict[str, Any]]:
    """Read what the run has fit, batch by batch; nothing where the incident will do."""
    if not run.ledger_path.exists():
        if incident is not None:
            return []
        raise MissingPathError(
            f"Expected the ledger of the run in {str(run.ledger_path)!r}, which does not exist. "
            "Only runs with a `BatchMonitor` can be replayed."
        )
    rows: list[dict[str, Any]] = read_ledger(run.ledger_path).to_pylist()
    return [row for row in rows if row["phase"] == Phase.TRAIN]


def _check_step(run: RunDir, rows: Sequence[dict[str, Any]], step: int, until: int | None) -> None:
    # An incident may have ended the run before the ledger had its step.
    names = [path.name for path in run.incidents_dir.glob("*")]
    incidents = [int(name) for name in names if name.isdecimal()]
    last = max([0, *(row["step"] for row in rows), *incidents])
    if step > last:
        raise ConfigError(f"Expected `step` to be a step of the run, 1 to {last}, but got {step}.")
    if until is not None and until > last + 1:
        raise ConfigError(f"Expected `until` to be at most {last + 1}, but got {until}.")


def _replay_incident(start: PastStart, incident: Incident, rank: int | None) -> Replay:
    """Have the run make its module, and nothing else."""
    stop = StopBeforeTraining()
    with made_again(start, None, stop) as made:
        module = made.model
    return replay_incident(incident, module, rank=rank)


def _replay_from_checkpoint(
    start: PastStart,
    rows: Sequence[dict[str, Any]],
    incident: Incident | None,
    step: int,
    until: int | None,
) -> Replay:
    run, target = start.run, None if until is not None else _position(rows, incident, step)
    checkpoint = find_checkpoint(run, step, before=target)
    if checkpoint is None and read_manifest(run.manifest_path).get("parents"):
        raise ResumeError(
            f"Expected a checkpoint before step {step} in {str(run.checkpoints_dir)!r}, but there "
            "is none, and the run did not begin from nothing. Have more of them kept: "
            "callbacks.resume.keep=..."
        )
    start.check_checkpoint(checkpoint)
    catcher = StepCatcher(target, until)
    with made_again(start, checkpoint, catcher):
        pass
    place = "the beginning of the run" if checkpoint is None else f"checkpoint {checkpoint.name}"
    if catcher.found is None:
        raise ResumeError(
            f"Expected the run to come to step {until or step} again from {place}, but it ended "
            "before. Replay it with the data and the code that it was made with."
        )
    found = catcher.found
    found.start = place
    losses = {(row["epoch"], row["batch"]): row["loss"] for row in rows}
    if incident is not None:
        losses[incident.facts["epoch"], incident.facts["batch"]] = float(incident.facts["loss"])
    found.made = tuple(
        MadeStep(*facts, recorded=losses.get((facts[1], facts[2]))) for facts in catcher.facts()
    )
    found.recorded = losses.get((found.epoch, found.batch_index))
    found.restore()
    return found


def _position(
    rows: Sequence[dict[str, Any]], incident: Incident | None, step: int
) -> tuple[int, int]:
    """Give epoch and place of the batch by which a step was made."""
    if incident is not None:
        return incident.facts["epoch"], incident.facts["batch"]
    row = next(row for row in rows if row["step"] >= step)  # steps may come two at a time
    return row["epoch"], row["batch"]
