"""What trackers have kept, read back with what their own packages bring along."""

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

Stored: TypeAlias = dict[str, list[tuple[int, float]]]
"""Steps and values by metric, in the order in which they were kept."""


def tensorboard_scalars(folder: Path) -> Stored:
    """Read the curves of all files of events of a run."""
    events = tensorboard_events(folder)
    tags = events.Tags()["scalars"]
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in tags}


def tensorboard_events(folder: Path) -> Any:
    """Read all files of events of a run as TensorBoard does."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    return reader.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def mlflow_metrics(client: Any, run_id: str) -> Stored:
    """Ask for the whole history of every metric of a run."""
    histories = {
        name: client.get_metric_history(run_id, name)
        for name in client.get_run(run_id).data.metrics
    }
    return {
        name: [(row.step, row.value) for row in sorted(rows, key=lambda row: row.timestamp)]
        for name, rows in histories.items()
    }


def wandb_metrics(folder: Path) -> Stored:
    """Read the metrics that a ``WandbLogger`` has kept in the folder of an offline run."""
    found: Stored = defaultdict(list)
    for row in wandb_rows(folder):
        step = row.pop("trainer/global_step", 0)
        others = ("_", *(name.removesuffix("_type") for name in row if name.endswith("/_type")))
        for name, value in row.items():
            if not name.startswith(others):  # times, pictures
                found[name].append((step, value))
    return dict(found)


def wandb_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of an offline run."""
    return [
        {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for record in wandb_records(folder)
        if record.WhichOneof("record_type") == "history"
    ]


def wandb_records(folder: Path) -> list[Any]:
    """Read everything that is kept of an offline run.

    The package of W&B has no reader in Python: its messages are read with its own classes.
    """
    wandb.teardown()  # its own process may still be writing
    (path,) = folder.glob("*.wandb")
    kind: Any = wandb_internal_pb2.Record  # type: ignore[attr-defined]  # generated
    return [kind.FromString(data) for data in _messages(path.read_bytes())]


def _messages(content: bytes) -> Iterator[bytes]:
    """Take apart a ``.wandb`` file: seven bytes, then LevelDB's log of blocks of 32 KiB."""
    at, whole = 7, b""
    while at + 7 <= len(content):
        if 0 < (room := -at % 32768) < 7:
            at += room
            continue
        _, size, part = struct.unpack_from("<IHB", content, at)
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if part in (1, 4):  # a whole record, or the last part of one
            yield whole
            whole = b""
