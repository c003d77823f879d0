"""Processes that log as a trainer does, and die or go on; one for each line of JSON on stdin."""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from leyden.resume.loggers import continue_loggers, logger_states
from leyden.tracking import FileLogger

LOGGERS = {
    "csv": CSVLogger,
    "file": FileLogger,
    "mlflow": MLFlowLogger,
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
}


def calls(new_at: int, *, with_gap: bool) -> list[tuple[dict[str, float], int | None]]:
    """What a run of thirty batches in three epochs logs, in order: metrics and a step.

    Args:
        new_at: The call from which on there is a metric more, which comes first in the alphabet.
        with_gap: Whether some calls leave out the step.
    """
    found: list[tuple[dict[str, float], int | None]] = []
    for batch in range(30):
        found.append(({"epoch": batch // 10, "train/loss": 1 / (batch + 3)}, batch))
        if batch % 10 == 9:
            found.append(({"epoch": batch // 10, "val/loss": 2 / (batch + 3)}, batch))
        if with_gap and batch % 4 == 3:
            found.append(({"extra": batch / 7}, None))
    for metrics, _ in found[new_at:]:
        metrics["a"] = float("nan") if len(metrics) == 1 else 0.1 * len(metrics)
    return found


def limit_writes() -> None:
    """Have the kernel kill this process when it writes to a file beyond ten bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def work(job: dict[str, Any]) -> None:
    """Be one process of a run.

    ``load`` and ``save`` name checkpoints, ``boundaries`` are the calls before which they are
    written; ``die_at`` is a call, or ``construction``; ``limit_at`` a call, too.
    """
    os.chdir(job["folder"])
    logger: Any = LOGGERS[job["kind"]](**job["options"])
    _ = getattr(logger, "experiment", None)
    if job.get("die_at") == "construction":
        die()
    start = 0
    if "load" in job:
        checkpoint = json.loads(Path(job["load"]).read_text())
        start = checkpoint["call"]
        moved = continue_loggers([logger], checkpoint["states"])
        Path("moved.json").write_text(json.dumps(moved))
    for call, (metrics, step) in enumerate(calls(job["new_at"], with_gap=job["with_gap"])):
        if call < start:
            continue
        if call in job.get("boundaries", []):
            states = logger_states([logger])
            checkpoint = {"call": call, "states": states}
            Path(f"{call}.json").write_text(json.dumps(checkpoint))
        if call == job.get("limit_at"):
            limit_writes()
        if call == job.get("die_at"):
            die()
        logger.log_metrics(metrics, step)
    logger.finalize("success")
    imported = {"mlflow", "tensorboard", "wandb"} & sys.modules.keys()
    Path("imported.json").write_text(json.dumps(sorted(imported)))
    if job["kind"] == "wandb":
        logger.experiment.finish()


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            work(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
