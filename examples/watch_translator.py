"""Tune and watch torch's own Transformer, with masks and torchmetrics, in a module of one's own."""

from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAUROC
from typing_extensions import override

from leyden import callbacks as watch
from leyden.introspect import find_nonfinite
from leyden.lifecycle import Every
from leyden.tracking import FileLogger

TIME = 6


class Rarity(LightningModule):
    """Tells whether a series of words is a rare one, from what a decoder has read."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 8)
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 1)
        self.area = BinaryAUROC()
        self.threshold = 0.5

    @override
    def forward(self, texts: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(TIME)  # zeros and -Inf
        words = self.words(texts)
        scores: Tensor = self.head(self.transformer(words, words, tgt_mask=mask))[:, -1, 0]
        return scores

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return binary_cross_entropy_with_logits(self(batch[0]), batch[1])

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        scores, targets = self(batch[0]).sigmoid(), batch[1].long()
        self.area(scores, targets)
        self.log("val/auroc", self.area)
        return {"scores": scores, "targets": targets}

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main() -> tuple[float, float]:
    """Train; give the threshold that was found, and the F1 score there."""
    torch.manual_seed(0)
    texts = torch.randint(9, (240, TIME))
    labels = ((texts == 4).sum(1) > 1).float()
    parts = [TensorDataset(texts[part::3], labels[part::3]) for part in range(3)]
    train, val = DataLoader(parts[0] + parts[1], batch_size=16), DataLoader(parts[2], batch_size=16)
    tuner, subset = watch.ThresholdTuner("f1"), watch.SubsetSelector(2, "auroc")
    activations = watch.ActivationMonitor(Every(batches=5))
    with TemporaryDirectory() as folder:
        options: Any = {"enable_progress_bar": False, "enable_model_summary": False}
        options |= {"default_root_dir": folder, "logger": FileLogger(folder), "max_epochs": 12}
        callbacks = [tuner, subset, activations, watch.NaNGuard(), watch.FlightRecorder()]
        trainer = Trainer(accelerator="cpu", log_every_n_steps=5, callbacks=callbacks, **options)
        module = Rarity()
        trainer.fit(module, train, val)
        print("best batches:", subset.subset and subset.subset.sets)
        print("not finite:", find_nonfinite(module, next(iter(train))))
    return module.threshold, float(tuner.metric or 0)  # the tuner has set it


if __name__ == "__main__":
    print("threshold {:.2f}, F1 {:.3f}".format(*main()))
