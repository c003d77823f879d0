"""A real recording of brain waves goes all the way, from its file to predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Trainer
from matplotlib import cbook
from torch import Tensor, nn
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.modules import ClassifierModule
from leyden.shards import write_shards
from leyden.types import Array

MakeTrainer: TypeAlias = Callable[..., Trainer]

PIECE, WINDOW = 40, 10  # time steps


class Jitter(nn.Module):
    """Adds a little noise."""

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + 0.05 * torch.randn_like(inputs)


def read_recording() -> Array:
    """Read the sample of an electroencephalogram that matplotlib has, (800, electrodes)."""
    path: Any = cbook.get_sample_data("eeg.dat", asfileobj=False)
    return np.fromfile(path).reshape(800, 4)


@pytest.fixture
def data(tmp_path: Path) -> AutoDataModule:
    """Pieces of the recording in sets of four, each with the half of it that it comes from."""
    pieces = read_recording().reshape(-1, PIECE, 4)
    halves = np.repeat([0, 1], len(pieces) // 2)
    order = np.random.default_rng(0).permutation(len(pieces)).reshape(-1, 4)
    write_shards(
        tmp_path / "eeg",
        {number: pieces[rows] for number, rows in enumerate(order)},
        labels={number: halves[rows] for number, rows in enumerate(order)},
    )
    return AutoDataModule(
        tmp_path / "eeg",
        val=[3],
        test=[4],
        batch_size=3,
        windows={"size": WINDOW, "starts": [0, 5]},
        window_weights=(0.5, 1.5),
        preprocessors=["standard_scaler"],
        augmentors=[{"type": f"{__name__}.Jitter", "probability": 0.5}],
    )


def predict(data: AutoDataModule, make_trainer: MakeTrainer) -> tuple[dict[str, float], Any]:
    """Train for three epochs, of four, three and four windows; test and predict."""
    torch.manual_seed(0)
    module = ClassifierModule({"type": "lstm", "hidden": 8}, prediction_weights=(0.5, 1.5))
    trainer = make_trainer(max_epochs=3)
    trainer.fit(module, data)
    results = {name: value.item() for name, value in trainer.callback_metrics.items()}
    (tested,) = trainer.test(module, data, verbose=False)
    return {**results, **tested}, trainer.predict(module, data)


def test_brain_waves_go_through_windows_training_and_prediction(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    results, found = predict(data, make_trainer)
    assert data.sample_shape == (WINDOW, 4)
    assert np.isfinite(list(results.values())).all()
    assert len(results) == 6  # loss and accuracy of train, val and test
    assert results["test/accuracy"] in (0, 0.25, 0.5, 0.75, 1)  # of four pieces, each counted once
    assert [len(step["classes"]) for step in found] == [3, 3, 3, 3, 1, 1, 1, 1]
    of_batches = torch.cat([found[step]["probabilities"] for step in (3, 7)])
    assert of_batches.isfinite().all()
    torch.testing.assert_close(of_batches.sum(dim=1), torch.ones(4))


def test_what_is_predicted_of_brain_waves_is_reproducible(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    one, other = (predict(data, make_trainer) for _ in range(2))
    assert one[0] == other[0]
    for step, again in zip(one[1], other[1], strict=True):
        assert torch.equal(step["probabilities"], again["probabilities"])
