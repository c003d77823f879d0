"""Find what does not belong: an autoencoder of sevens makes other digits again badly."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from lightning import Trainer, seed_everything
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from leyden import AutoDataModule, AutoencoderModule
from leyden.shards import write_shards

KNOWN = 7


def main() -> float:
    """Train on sevens alone, and return how well errors tell other digits (area under the ROC)."""
    seed_everything(0, verbose=False)
    digits = load_digits()
    images = digits.images[:, None].astype(np.float32)
    sevens, others = images[digits.target == KNOWN], images[digits.target != KNOWN]
    with TemporaryDirectory() as name:
        folder = Path(name, "sevens")
        write_shards(folder, dict(enumerate(np.array_split(sevens, 6))))
        data = AutoDataModule(folder, test=[5], val=[4], batch_size=16)
        module = AutoencoderModule(
            {"type": "autoencoder", "latent": 8}, optimizer={"type": "adam", "lr": 0.005}
        )
        trainer = Trainer(
            max_epochs=20,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        batches: Any = trainer.predict(module, datamodule=data)
        known = torch.cat([batch["errors"] for batch in batches])
    with torch.inference_mode():
        strange = module.eval().predict_step(torch.tensor(others), 0)["errors"]
    errors = torch.cat([known, strange])
    print(f"error of sevens {known.mean():.1f}, of other digits {strange.mean():.1f}")
    return float(roc_auc_score([0] * len(known) + [1] * len(strange), errors))


if __name__ == "__main__":
    print(f"area {main():.3f}")
