"""Interrupted and resumed runs, in real processes, against runs that were never interrupted.

A representative dozen of cells is in the default tier, all are in the slow one. Where a run is
broken off, the processes that go on have another seed: nothing may come from there.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training_script
from training_script import LOADERS, PROJECTS, TRAININGS, load_result

_ROWS = 96
_INTERRUPTED = 130, 143, -9, 1


def _cells() -> dict[str, dict[str, Any]]:
    """Every cell of the matrix, by its name: a training, and where and how it is broken off."""
    at_17 = [["SIGINT", "step", 17]]
    ways: dict[str, dict[str, Any]] = {
        f"{how} in {where}": {"interrupts": [[how, where, at]]}
        for how in ("SIGINT", "SIGTERM", "SIGKILL", "exception")
        for where, at in (
            ("step", 17),
            ("batch start", 20),
            ("batch end", 17),
            ("val", 23),
            ("val start", 23),
            ("val end", 11),
            ("epoch end", 11),
        )
    }
    twice = [["SIGKILL", "step", 8], ["SIGINT", "val", 23]]
    five = [["SIGKILL", "step", 8], ["SIGTERM", "step", 17], ["exception", "batch end", 20]]
    five += [["SIGINT", "val", 23], ["SIGKILL", "batch start", 30]]
    ways["two interruptions"] = {"interrupts": twice}
    ways["five interruptions"] = {"interrupts": five}
    ways["SIGKILL at the first batch"] = {"interrupts": [["SIGKILL", "step", 0]]}
    ways["SIGINT at the last batch"] = {"interrupts": [["SIGINT", "step", 35]]}
    ways["exception in the loader"] = {"interrupts": [["exception", "loader", 50]], "every": 1}
    ways["exception in a worker"] = {
        "interrupts": [["exception", "worker", 50]],
        "loader": "2 workers",
        "every": 1,
    }
    ways["SIGKILL of a worker"] = {
        "interrupts": [["SIGKILL", "worker", 50]],
        "loader": "2 workers",
        "every": 1,
    }
    ways["SIGKILL once all is done"] = {"interrupts": [["SIGKILL", "fit end", 35]]}
    for how, loader in (("SIGINT", "2 workers"), ("SIGTERM", "persistent workers")):
        ways[f"{how} of the group, {loader}"] = {
            "interrupts": [[f"{how} of the group", "step", 17]],
            "loader": loader,
        }
    batch_end: dict[str, Any] = {"every_n_train_steps": 4, "save_top_k": -1}
    epoch_end: dict[str, Any] = {"save_top_k": -1, "save_on_train_epoch_end": True}
    val_end: dict[str, Any] = {"save_top_k": -1, "save_on_train_epoch_end": False}
    for name, best, file in (
        ("a batch", batch_end, "epoch=1-step=16"),
        ("the last batch of an epoch", batch_end, "epoch=1-step=24"),
        ("an epoch", epoch_end, "epoch=1-step=24"),
        ("a validation", val_end, "epoch=1-step=24"),
    ):
        ways[f"ModelCheckpoint at the end of {name}"] = {
            "interrupts": [["SIGKILL", "step", 26]],
            "best": best,
            "checkpoint": f"best/{file}.ckpt",
        }
    ways["ModelCheckpoint at the end of the last epoch"] = {
        "interrupts": [["SIGKILL", "fit end", 35]],
        "best": epoch_end,
        "checkpoint": "best/epoch=2-step=36.ckpt",
    }
    loaders: dict[str, dict[str, Any]] = {
        f"loader: {name}": {"loader": name, "interrupts": at_17} for name in LOADERS
    }
    for source in ("module", "data module"):
        loaders[f"loader: from a {source}"] = {"from": source, "interrupts": at_17}
    for name in ("2 workers", "persistent workers", "iterable", "dictionary"):
        loaders[f"loader: {name}, in validation"] = {
            "loader": name,
            "interrupts": [["SIGTERM", "val", 23]],
        }
    trainings = {f"training: {name}": {"training": name, "interrupts": at_17} for name in TRAININGS}
    for name in (
        "accumulation",
        "plateau schedule",
        "several validation loaders",
        "early stopping",
        "EMA",
        "val_check_interval fraction",
    ):
        at = 17 if name == "val_check_interval fraction" else 23
        trainings[f"training: {name}, in validation"] = {
            "training": name,
            "interrupts": [["SIGINT", "val", at]],
        }
    trainings["training: max_steps, in the last validation"] = {
        "training": "max_steps",
        "interrupts": [["SIGINT", "val", 23]],
    }
    projects: dict[str, dict[str, Any]] = {
        f"project: {name}": {"project": name, "interrupts": [["SIGKILL", "step", 12]], "every": 2}
        for name in PROJECTS
    }
    return ways | loaders | trainings | projects


CELLS = _cells()
# A process that has imported everything, of which each run is a fork: importing takes longer.
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["training_script"])
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
)
_DEFAULT = {
    "SIGINT in step",
    "SIGTERM in val",
    "SIGKILL in batch end",
    "exception in step",
    "five interruptions",
    "ModelCheckpoint at the end of the last batch of an epoch",
    "loader: 2 workers",
    "loader: iterable",
    "loader: dictionary",
    "training: accumulation",
    "training: estimated steps",
    "training: several validation loaders, in validation",
    "project: LSTM that keeps its state",
    "project: AutoDataModule, window:3",
    "project: AutoDataModule, estimated steps",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> "_Whole":
    """Runs that are not interrupted, each made once."""
    return _Whole(tmp_path_factory.mktemp("whole"))


class _Whole:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, Path] = {}
        _write_shards(folder / "shards", (8,))
        _write_shards(folder / "images", (1, 4, 2))

    def __call__(self, cell: dict[str, Any]) -> Path:
        plain = {key: cell[key] for key in cell if key not in ("interrupts", "checkpoint")}
        key = json.dumps(plain, sort_keys=True)
        if key not in self._made:
            folder = self.folder / str(len(self._made))
            assert _train(folder, {**plain, "seed": 1}) == 0, (folder / "log.txt").read_text()
            self._made[key] = folder
        return self._made[key]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in _DEFAULT else pytest.mark.slow, id=name)
        for name in CELLS
    ],
)
def test_interrupted_run_equals_the_uninterrupted_one(
    name: str, whole: _Whole, tmp_path: Path, record_property: Any
) -> None:
    cell = CELLS[name]
    if "torchdata" in cell.get("loader", ""):
        pytest.importorskip("torchdata")
    expected = whole(cell)
    for shards in ("shards", "images"):
        (tmp_path / shards).symlink_to(whole.folder / shards)
    folder = tmp_path / "run"
    plain = {key: cell[key] for key in cell if key not in {"interrupts", "checkpoint"}}
    for number, interrupt in enumerate(cell["interrupts"]):
        # The first begins as the uninterrupted run does; what the others bring must not count.
        code = _train(folder, {**plain, "interrupt": interrupt, "seed": 1 + number})
        assert code in _INTERRUPTED, (folder / "log.txt").read_text()
    # Lightning's boring data are random themselves, and made anew by each process.
    last = {**plain, "seed": 1 if "boring" in name else 99}
    if "checkpoint" in cell:
        last["checkpoint"] = str(folder / cell["checkpoint"])

    assert _train(folder, last) == 0, (folder / "log.txt").read_text()

    result, batches, logged = load_result(folder)
    expected_result, expected_batches, expected_logged = load_result(expected)
    assert result == expected_result
    assert batches == expected_batches
    assert logged == expected_logged


def _train(folder: Path, cell: dict[str, Any]) -> int:
    """Train in a process of its own, and say how it ended."""
    folder.mkdir(exist_ok=True)
    if cell.get("training") == "two ranks":
        command = [sys.executable, training_script.__file__, str(folder), json.dumps(cell)]
        with (folder / "log.txt").open("w") as log:
            return subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    process = _SERVER.Process(target=training_script.logged_main, args=(folder, cell))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _write_shards(folder: Path, shape: tuple[int, ...]) -> None:
    """Numbered shards, of which every fourth is for validation."""
    generator = np.random.default_rng(0)
    for phase, sets in (("train", 8), ("val", 2)):
        (folder / phase).mkdir(parents=True)
        labels = {}
        for number in range(1, sets + 1):
            rows = generator.random((12, *shape)).astype(np.float32)
            np.save(folder / phase / f"rows__{number}.npy", rows)
            labels[str(number)] = (rows.reshape(12, -1).sum(1) > 4).astype(np.int64)
        np.savez(folder / phase / "labels.npz", **labels)
