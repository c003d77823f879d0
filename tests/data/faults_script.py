"""Trains as it is told, each time in a process of its own, and says on stdout what happens.

Run by test_faults, which sends the arguments of each run and where its output goes. A run is a fork
of this process, so that importing torch and Lightning takes its time only once.
"""

import json
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.data.addresses import RowGather
from leyden.errors import ShardError
from leyden.types import Array

_DESCRIPTORS = Path("/proc/self/fd")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def inputs_of(batch: Any) -> Tensor:
    """Leave labels out."""
    inputs: Tensor = batch if isinstance(batch, Tensor) else batch[0]
    return inputs


class Telling(LightningModule):
    """Tells the phase and the first number of every batch.

    Args:
        step_seconds: How long a step takes, as if the network were large.
    """

    def __init__(self, step_seconds: float) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.num_rows, self.most_descriptors = 0, 0
        self._step_seconds = step_seconds

    def tell(self, phase: str, batch: Any) -> Tensor:
        rows = inputs_of(batch)
        numbers = rows.reshape(len(rows), -1)[:, :1].float()
        tell(f"{phase} {numbers[0].item():.0f}")
        time.sleep(self._step_seconds)
        loss: Tensor = self.layer(numbers).mean()
        return loss

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.num_rows += len(inputs_of(batch))
        if _DESCRIPTORS.is_dir():
            self.most_descriptors = max(self.most_descriptors, len(list(_DESCRIPTORS.iterdir())))
        return self.tell("train", batch)

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.tell("val", batch)

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-6)


def break_while_reading(path: Path) -> None:
    """Cut a file short between the check of it and the next read."""
    take = RowGather.take

    def cut_and_take(self: RowGather, begin: int, end: int) -> Array:
        os.truncate(path, 4096)
        return take(self, begin, end)

    RowGather.take = cut_and_take  # type: ignore[method-assign] # that is the point


def train(
    folder: str,
    data: dict[str, Any],
    trainer: dict[str, Any],
    *,
    step_seconds: float = 0.0,
    breaks: str | None = None,
    descriptors: int | None = None,
) -> None:
    """Train.

    Args:
        folder: The shards.
        data: Arguments of the data module.
        trainer: Arguments of the trainer; it trains for ever unless they say otherwise.
        step_seconds: How long a step takes, as if the network were large.
        breaks: A file that is cut short just after it was checked, when rows are read for the
            first time.
        descriptors: How many this process may have.
    """
    if breaks is not None:
        break_while_reading(Path(breaks))
    if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    settings: dict[str, Any] = {
        "max_epochs": -1,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": Path(folder).parent,
    }
    module, model = AutoDataModule(folder, **data), Telling(step_seconds)
    module.setup("fit")
    before = psutil.Process().memory_info().rss
    try:
        Trainer(**(settings | trainer)).fit(model, module)
    except ShardError as error:
        tell(f"raised {error}")
        raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    facts = {
        "rows": model.num_rows,
        "descriptors": model.most_descriptors,
        "memory": peak - before,
    }
    tell(f"done {json.dumps(facts)}")


def serve(link: socket.socket) -> dict[str, Any]:
    """Fork for every run that is asked for; only the new process returns, with its arguments."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(link, 1 << 16, 2)
        if not message:
            sys.exit()
        out, err = descriptors
        if (pid := os.fork()) == 0:
            os.setsid()  # what it leaves behind can be told by its session
            os.dup2(out, 1)
            os.dup2(err, 2)
            arguments: dict[str, Any] = json.loads(message)
            return arguments
        os.close(out)
        os.close(err)
        link.sendall(f"{pid}\n".encode())
        link.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


if __name__ == "__main__":
    train(**serve(socket.socket(fileno=int(sys.argv[1]))))
