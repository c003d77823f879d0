"""A process of a run: ``python -m leyden.cli.ranks TASK``, as ``run_ranks`` starts it."""

import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from typing_extensions import override

from leyden.cli import training
from leyden.cli.guard import exit_code, prepare_process
from leyden.cli.ranks.task import RankTask
from leyden.cli.summary import Outcome
from leyden.cli.tracking import concluded
from leyden.incidents import quiet_lightning
from leyden.runs import RunDir

__all__ = ["main"]


def main() -> int:
    """Train along with the others.

    Returns:
        The exit code: 0, 1 after an error that the task now holds, 130 after Ctrl-C, 143 after
        SIGTERM.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare_process()
    task, rank = RankTask(Path(sys.argv[1])), int(os.environ["LOCAL_RANK"])

    def tell(outcome: Outcome) -> None:
        if rank == 0:
            task.write_outcome(asdict(outcome))

    broke = _FirstError()
    try:
        config, origin = task.read()
        with quiet_lightning():  # as the configuration of Hydra has it
            made = training.prepare(config, origin)
            made.trainer.callbacks.insert(0, broke)  # type: ignore[attr-defined] # set outside its class
            with concluded(RunDir(Path(config.run_dir)), made.trainer):
                training.fit_and_test(made, tell)
    except (KeyboardInterrupt, SystemExit) as exit_:
        return exit_code(exit_)
    except Exception as error:  # noqa: BLE001 - told to the process that started this one
        task.write_error(rank, error, broke.time or time.time())
        return 1
    return 0


class _FirstError(Callback):
    """Knows when a training broke: before the others can have lost their connection for it."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    @override
    def on_exception(self, *_: Any) -> None:
        self.time = self.time or time.time()


def _end_with_parent() -> None:
    """Wait until whoever started this process ends, however it does, and end with it."""
    while os.read(sys.stdin.fileno(), 1):  # not through a buffer, whose lock would be kept
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
