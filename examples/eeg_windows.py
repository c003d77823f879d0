"""Train a recurrent network window by window on a real recording: brain waves, and what is next."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from lightning import Trainer, seed_everything
from matplotlib import cbook

from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule
from leyden.shards import write_shards

PIECE, AHEAD = 16, 5  # time steps
PER_SET = 41  # pieces


def write_pieces(folder: Path) -> None:
    """Write 19 sets of pieces, in the order of time.

    The label says whether the first electrode, five steps after the piece, is higher than at its
    end.
    """
    path: Any = cbook.get_sample_data("eeg.dat", asfileobj=False)  # comes with matplotlib
    waves = np.fromfile(path).reshape(800, 4).astype(np.float32)
    ends = np.arange(PIECE, len(waves) - AHEAD)
    pieces = np.stack([waves[end - PIECE : end] for end in ends])
    rises = (waves[ends + AHEAD - 1, 0] > waves[ends - 1, 0]).astype(np.int64)
    sets = range(1, len(ends) // PER_SET + 1)
    rows = {number: slice((number - 1) * PER_SET, number * PER_SET) for number in sets}
    write_shards(
        folder,
        {number: pieces[rows[number]] for number in sets},
        labels={number: rises[rows[number]] for number in sets},
    )


def main() -> float:
    """Train on the beginning of the recording and return the accuracy on its end."""
    seed_everything(0, verbose=False)
    with TemporaryDirectory() as name:
        folder = Path(name, "eeg")
        write_pieces(folder)
        data = AutoDataModule(
            folder,
            train=list(range(1, 15)),
            test=[16, 17, 18, 19],  # set 15 is left out: it shares time steps with both
            batch_size=16,
            windows={"size": 8},  # a batch of 16 time steps is served in two
            preprocessors=["standard_scaler"],
        )
        module = ClassifierModule(
            {"type": "lstm", "hidden": 16},  # its hidden state goes on to the second window
            optimizer={"type": "adam", "lr": 0.01},
            prediction_weights=(0.5, 1.5),  # the second window knows more
        )
        trainer = Trainer(
            max_epochs=10,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        print(f"{data.sample_shape} is a window, {data.num_windows('train', 0)} make a batch")
        (result,) = trainer.test(module, datamodule=data, verbose=False)
        return float(result["test/accuracy"])


if __name__ == "__main__":
    print(f"accuracy {main():.2f}")
