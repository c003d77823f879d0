"""Add a ledger, a metrics file and a figure to a Lightning project that knows nothing of leyden."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.callbacks import BatchMonitor, HistoryFigure
from leyden.tracking import FileLogger, read_ledger, read_metrics


class Project(BoringModel):
    """Lightning's demonstration model, which logs its loss."""

    @override
    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        (inputs,) = batch
        loss = self.loss(self.layer(inputs))
        self.log("train/loss", loss)
        return {"loss": loss}


def main() -> int:
    """Train for two epochs and return how many batches the ledger has."""
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(torch.randn(64, 32)), batch_size=8)
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=FileLogger(folder),  # metrics.csv
            callbacks=[BatchMonitor(), HistoryFigure()],  # batches.parquet and history.png
            default_root_dir=folder,
            log_every_n_steps=1,
            limit_val_batches=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Project(), train_dataloaders=loader)

        print(*sorted(path.name for path in Path(folder).iterdir()))
        steps, losses = read_metrics(Path(folder, "metrics.csv"))["train/loss"]
        print(f"loss {losses[0]:.3f} at step {steps[0]}, {losses[-1]:.3f} at step {steps[-1]}")
        ledger = read_ledger(Path(folder, "batches.parquet"))
        return int(ledger.num_rows)


if __name__ == "__main__":
    print(f"{main()} batches in the ledger")
