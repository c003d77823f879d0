"""Train on a folder of numbered files: write them, see what is inferred, fit a classifier."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from lightning import Trainer, seed_everything

from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule
from leyden.shards import discover, write_shards

NUM_CLASSES = 3
NUM_FEATURES = 8


def write_clouds(folder: Path) -> None:
    """Write ten sets of points around one centre per class; the sets differ in length."""
    generator = np.random.default_rng(0)
    centres = 3 * generator.standard_normal((NUM_CLASSES, NUM_FEATURES))
    labels = {number: generator.integers(NUM_CLASSES, size=40 + number) for number in range(1, 11)}
    inputs = {
        number: (centres[classes] + generator.standard_normal((len(classes), NUM_FEATURES)))
        for number, classes in labels.items()
    }
    write_shards(folder, {n: rows.astype(np.float32) for n, rows in inputs.items()}, labels=labels)


def main() -> float:
    """Train for two epochs and return the accuracy on the sets that are held out."""
    seed_everything(0, verbose=False)
    with TemporaryDirectory() as name:
        folder = Path(name, "clouds")
        write_clouds(folder)
        print(discover(folder).describe())

        data = AutoDataModule(folder, val=0.2, batch_size=16)
        first = data.origin("train", epoch=0, batch_index=0)
        print(f"the first batch is {first.name}, of the sets {first.set_numbers}")

        module = ClassifierModule(
            {"type": "mlp", "hidden": [32]}, optimizer={"type": "adam", "lr": 0.01}
        )
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        return float(trainer.callback_metrics["val/accuracy"])


if __name__ == "__main__":
    print(f"accuracy {main():.2f}")
