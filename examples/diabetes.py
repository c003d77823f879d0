"""Predict a number: how diabetes has progressed after a year, from ten facts about a patient."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from lightning import Trainer, seed_everything
from sklearn.datasets import load_diabetes

from leyden import AutoDataModule, RegressorModule
from leyden.shards import write_shards

PER_SET = 34  # rows


def write_patients(folder: Path) -> None:
    """Write the 442 patients of scikit-learn's data, in an order drawn once, as 13 sets."""
    facts, progress = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(facts))
    rows = np.split(order, len(order) // PER_SET)
    write_shards(
        folder,
        {number: facts[some].astype(np.float32) for number, some in enumerate(rows)},
        labels={number: progress[some].astype(np.float32) for number, some in enumerate(rows)},
    )


def main() -> float:
    """Train on nine sets, and return the share of the variance of two others that is explained."""
    seed_everything(0, verbose=False)
    with TemporaryDirectory() as name:
        folder = Path(name, "patients")
        write_patients(folder)
        data = AutoDataModule(folder, val=[9, 10], test=[11, 12], batch_size=32)
        module = RegressorModule(
            {"type": "mlp", "hidden": [32], "dropout": 0.3},
            metrics=["r2", "mae"],
            optimizer={"type": "adam", "lr": 0.02},
            scheduler={"type": "cosine", "T_max": "auto", "interval": "step", "warmup": 20},
        )
        trainer = Trainer(
            max_epochs=80,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        (result,) = trainer.test(module, datamodule=data, verbose=False)
        batches: Any = trainer.predict(module, datamodule=data)
        predictions = np.concatenate([batch["predictions"] for batch in batches])
    print(f"off by {result['test/mae']:.0f} on the average, of {predictions.max():.0f} at most")
    return float(result["test/r2"])


if __name__ == "__main__":
    print(f"explained {main():.2f}")
