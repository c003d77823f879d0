"""A callback that breaks runs off, in the processes of `test_resume` and `test_sweep`."""

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override


class StopAt(Callback):
    """Send a signal to the process when a run comes to a step, as ``stop.json`` says.

    The file is not part of the configuration, so a run that goes on has the configuration of that
    which was broken off. It holds ``run``, the beginning of the name of the run's folder, ``step``
    and ``signal``, or ``error`` for an exception, or ``full`` for files that grow no more from then
    on than that of the run which it names; and perhaps ``rank``, the only process it is for.
    """

    def __init__(self, run_dir: str) -> None:
        super().__init__()
        self._run, self._name = Path(run_dir), Path(run_dir).name

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        path = Path("stop.json")
        if not path.exists():
            return
        stop = json.loads(path.read_text())
        is_meant = stop.get("rank", trainer.global_rank) == trainer.global_rank
        is_meant &= trainer.global_step == stop["step"] and self._name.startswith(stop["run"])
        if is_meant:
            if "error" in stop:
                raise RuntimeError(stop["error"])
            if "full" in stop:
                _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
                size = (self._run / stop["full"]).stat().st_size
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
                return
            os.kill(os.getpid(), signal.Signals[stop["signal"]])
