"""MLflow runs: where they stood, and how they go on without a row twice.

Nothing can be taken out of an MLflow run. What was logged after the checkpoint stays there; when
the run that goes on logs it again, with the same values, it is left out.
"""

import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from leyden.errors import ResumeError
from leyden.resume.loggers.internals import adopt_mlflow_run

__all__ = ["continue_mlflow", "mlflow_state"]

_Row: TypeAlias = tuple[str, int, str]  # name, step, and value as MLflow gives it back

# Rows that a run has, and that are still to be logged once more, by client.
_AHEAD: WeakKeyDictionary[Any, Counter[_Row]] = WeakKeyDictionary()


def mlflow_state(logger: Any) -> dict[str, Any]:
    """Say where an ``MLFlowLogger`` stands.

    The run's rows have times, in milliseconds; those that come later are told from those that there
    are by theirs, so this returns in another millisecond than it is called in.
    """
    now = _milliseconds()
    while _milliseconds() == now:
        pass
    ahead = _AHEAD.get(logger.experiment, Counter())
    return {
        "run_id": logger.run_id,
        "experiment_id": logger.experiment_id,
        "time": now,
        "ahead": [[*row, count] for row, count in ahead.items()],
    }


def continue_mlflow(logger: Any, state: dict[str, Any]) -> None:
    """Go on in the old run; rows that it holds of the time after are not logged a second time.

    Raises:
        ResumeError: If the old run is not there.
    """
    client, new, old = logger.experiment, logger.run_id, state["run_id"]
    if new != old:
        try:
            stage = client.get_run(old).info.lifecycle_stage
        except sys.modules["mlflow"].exceptions.MlflowException:
            stage = "missing"
        if stage != "active":
            raise ResumeError(f"Expected the MLflow run {old!r} to be active, but got {stage!r}.")
        if not client.get_run(new).data.metrics:
            client.delete_run(new)
        adopt_mlflow_run(logger, old)
    client.update_run(old, status="RUNNING")
    if "time" in state:  # which older checkpoints do not have
        present = _rows_after(client, old, state["time"])
        present.update({(name, step, text): count for name, step, text, count in state["ahead"]})
        _leave_out(client, old, present)


def _rows_after(client: Any, run_id: str, since: int) -> Counter[_Row]:
    """Count the rows of a run that are younger than a time in milliseconds."""
    return Counter(
        (row.key, row.step, repr(float(row.value)))
        for name in client.get_run(run_id).data.metrics
        for row in client.get_metric_history(run_id, name)
        if row.timestamp > since
    )


def _leave_out(client: Any, old: str, present: Counter[_Row]) -> None:
    """Have a client leave out rows, each as often as the run has it already."""
    if client in _AHEAD:
        _AHEAD[client] = present
        return
    _AHEAD[client] = present
    log_batch = client.log_batch

    def log_rest(run_id: str, metrics: Sequence[Any] = (), **others: Any) -> Any:
        rest = [row for row in metrics if run_id != old or not _take(_AHEAD[client], row)]
        return log_batch(run_id, metrics=rest, **others) if rest or others else None

    client.log_batch = log_rest


def _take(present: Counter[_Row], row: Any) -> bool:
    """Say whether a row is among those that are there, and count it off."""
    key = (row.key, row.step, repr(_as_kept(float(row.value))))
    if key not in present:
        return False
    present[key] -= 1
    if not present[key]:
        del present[key]
    return True


def _as_kept(value: float) -> float:
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value


def _milliseconds() -> int:
    return int(time.time() * 1000)
