from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD
from typing_extensions import override

from leyden.shards import write_shards
from leyden.shards.readers import NpyReader
from leyden.types import Array, Reader, Rows


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of shards; a row is ``(set number, row)``, its label is 10 times the row."""

    def write_all(lengths: Mapping[int, int], name: str = "d", *, labels: bool = False) -> Path:
        inputs: dict[int, Array] = {
            number: np.stack([np.full(length, number), np.arange(length)], 1).astype(np.float32)
            for number, length in lengths.items()
        }
        classes = {number: 10 * np.arange(length) for number, length in lengths.items()}
        write_shards(tmp_path / name, inputs, labels=classes if labels else None)
        return tmp_path / name

    return write_all


class CountingReader:
    """Opens ``.npy`` files, and notes every file opened and every row read."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.read_rows: list[tuple[str, int]] = []

    def __call__(self, path: Path) -> Reader:
        self.opened.append(path.name)
        return _Counted(path, self.read_rows)


class _Counted(NpyReader):
    def __init__(self, path: Path, read_rows: list[tuple[str, int]]) -> None:
        super().__init__(path)
        self._name, self._read_rows = path.name, read_rows

    @override
    def read(self, rows: Rows) -> Array:
        self._read_rows.extend((self._name, int(row)) for row in rows)
        return super().read(rows)


@pytest.fixture
def counting() -> CountingReader:
    return CountingReader()


class Recorder(LightningModule):
    """Notes the batches that it is given, as nested lists, under phase and epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.seen: dict[tuple[str, int], list[object]] = {}

    def _note(self, phase: str, batch: Tensor) -> Tensor:
        self.seen.setdefault((phase, self.current_epoch), []).append(batch.tolist())
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self._note("train", batch)

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        if not self.trainer.sanity_checking:
            self._note("val", batch)

    @override
    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self._note("test", batch)

    @override
    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self._note("predict", batch)

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=1e-6)


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Make a quiet trainer on the CPU."""

    def make(**arguments: object) -> Trainer:
        settings: dict[str, object] = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": "callbacks" in arguments,
            "default_root_dir": tmp_path,
        }
        return Trainer(**(settings | arguments))  # type: ignore[arg-type] # checked when run

    return make
