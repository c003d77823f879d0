"""A look in the middle of a training leaves no trace in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric
from typing_extensions import override

from leyden.introspect import find_nonfinite, gradient_norms, gradient_sums
from leyden.tracking import FileLogger, read_metrics

ROWS: Any = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))


class Small(LightningModule):
    """Draws numbers, counts batches, and logs through Lightning and torchmetrics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        parts = (nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))
        self.net, self.mean = nn.Sequential(*parts), MeanMetric()

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.net(batch).square().mean()
        self.mean(loss.detach())
        self.log("mean", self.mean, on_step=False, on_epoch=True)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 0.01)


class Looking(Callback):
    """Looks at everything, at some steps, in every way."""

    def __init__(self) -> None:
        self.num_looks = 0

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx in (1, 4):
            loader: Any = trainer.train_dataloader
            gradient_norms(pl_module, loader, training=True)
            gradient_sums(pl_module, loader, num_batches=1, of="outputs")
            assert find_nonfinite(pl_module, batch) is None
            self.num_looks += 1


def plain(generator: Any = None) -> Any:
    return DataLoader(ROWS, batch_size=4, shuffle=True, generator=generator)


def with_generator() -> Any:
    return plain(torch.Generator().manual_seed(5))


class Stateful:
    """Knows its place, and goes on from it."""

    def __init__(self) -> None:
        self.place, self.dice = 0, torch.Generator().manual_seed(6)

    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Iterator[Tensor]:
        is_over = False
        while not is_over:
            rows = slice(4 * self.place, 4 * self.place + 4)
            self.place = (self.place + 1) % 6
            is_over = self.place == 0
            yield ROWS[rows] + torch.rand(1, generator=self.dice)

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.place = state["place"]


@pytest.mark.parametrize("make_loader", [plain, with_generator, Stateful])
def test_training_goes_on_as_if_nobody_had_looked(
    tmp_path: Path, make_loader: Callable[[], Any]
) -> None:
    def train(folder: Path, *callbacks: Callback) -> tuple[list[Any], Any]:
        module = Small()
        torch.manual_seed(1)
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=3,
            accumulate_grad_batches=2,
            callbacks=list(callbacks),
            logger=FileLogger(folder),
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, make_loader())
        history = read_metrics(folder / "metrics.csv")
        rows = {name: (s.tolist(), v.tolist()) for name, (s, v) in history.items()}
        return [tensor.tolist() for tensor in module.state_dict().values()], rows

    looking = Looking()
    assert train(tmp_path / "looked", looking) == train(tmp_path / "plain")
    assert looking.num_looks == 6
