"""What the modules have in common: inputs with names, batches, clipping, checkpoints, seams."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torchmetrics import MeanSquaredError, Metric
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.modules import ClassifierModule, RegressorModule

MakeTrainer: TypeAlias = Callable[..., Trainer]


class Both(nn.Module):
    """A network of an image and of numbers about it."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], num_outputs: int) -> None:
        super().__init__()
        (height, width), (numbers,) = shapes["image"], shapes["meta"]
        self.image = nn.Linear(height * width, num_outputs)
        self.meta = nn.Linear(numbers, num_outputs)

    @override
    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = self.image(inputs["image"].flatten(1)) + self.meta(inputs["meta"])
        return found


@pytest.fixture
def named(tmp_path: Path) -> AutoDataModule:
    """Rows of two inputs, of which the second has the class."""
    random = np.random.default_rng(0)
    (tmp_path / "d").mkdir()
    for number in range(8):
        image = random.integers(0, 9, (20, 2, 3)).astype(np.uint8)
        meta = random.normal(size=(20, 4)).astype(np.float32)
        arrays = {"image": image, "meta": meta, "y": (meta[:, 0] > 0).astype(np.int64)}
        np.savez(tmp_path / "d" / f"rows_{number}.npz", **arrays)  # type: ignore[arg-type] # arrays
    inputs = ["image", "meta"]
    return AutoDataModule(tmp_path / "d", inputs=inputs, val=[6], test=[7], batch_size=8)


def test_inputs_may_have_names(
    named: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    torch.manual_seed(0)
    trainer = make_trainer(max_epochs=8)
    recipe = {"type": f"{__name__}.Both"}
    module = ClassifierModule(recipe, optimizer={"type": "adam", "lr": 0.05})
    trainer.fit(module, named)
    assert trainer.callback_metrics["val/accuracy"] > 0.8
    assert module.hparams["input_shape"] == {"image": [2, 3], "meta": [4]}
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt", weights_only=True)
    inputs = {"image": torch.ones(5, 2, 3, dtype=torch.uint8), "meta": torch.randn(5, 4)}
    assert torch.equal(loaded(inputs), module(inputs))
    assert loaded.predict_step(inputs, 0)["classes"].shape == (5,)


def test_a_small_network_refuses_inputs_with_names(
    named: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    problem = "one array of inputs for network=mlp, but the data has image, meta[.] Pass a network"
    with pytest.raises(ConfigError, match=problem):
        make_trainer(fast_dev_run=True).fit(ClassifierModule("mlp"), named)


def regressor(**arguments: Any) -> RegressorModule:
    return RegressorModule(nn.Linear(3, 1), input_shape=(3,), output_shape=(1,), **arguments)


@pytest.mark.parametrize("size", [0, 4])
def test_batches_of_other_parts_are_refused(size: int) -> None:
    problem = f"Expected batches of inputs, labels and weights, but got {size} parts[.] Serve a"
    with pytest.raises(ConfigError, match=problem):
        regressor().predict_step([torch.zeros(2, 3)] * size, 0)


def test_gradients_are_clipped_by_the_trainer(make_trainer: MakeTrainer) -> None:
    rows = torch.randn(4, 3)
    loader: Any = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(rows, 1000 * rows[:, :1]), batch_size=4
    )
    moves = []
    for clip in (None, 0.25):
        torch.manual_seed(0)
        module = regressor(optimizer={"type": "sgd", "lr": 1.0})
        before = nn.utils.parameters_to_vector(module.parameters()).clone()
        make_trainer(max_steps=1, gradient_clip_val=clip).fit(module, loader, loader)
        moves.append(nn.utils.parameters_to_vector(module.parameters()) - before)
    assert moves[0].norm() > 100
    torch.testing.assert_close(moves[1], 0.25 * moves[0] / moves[0].norm(), rtol=1e-4, atol=1e-5)


class Doubled(RegressorModule):
    """Makes its own network, loss and metrics."""

    @override
    def configure_network(self) -> nn.Module:
        return nn.Linear(self.hparams["input_shape"][0], 1)

    @override
    def configure_loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda outputs, targets: 2 * (outputs - targets).abs().mean()

    @override
    def configure_metrics(self) -> dict[str, Metric]:
        return {"mine": MeanSquaredError()}


def test_its_parts_can_be_overridden(make_trainer: MakeTrainer) -> None:
    module = Doubled(input_shape=(3,), output_shape=(1,)).eval()
    inputs, labels = torch.randn(5, 3), torch.randn(5, 1)
    loader: Any = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, labels), batch_size=5
    )
    (found,) = make_trainer().test(module, loader, verbose=False)
    differences = (module(inputs) - labels).detach()
    assert found["test/loss"] == pytest.approx(2 * differences.abs().mean().item(), rel=1e-5)
    assert found["test/mine"] == pytest.approx(differences.square().mean().item(), rel=1e-5)
    assert module.metric_directions == {"loss": False, "mine": False}


def test_train_val_and_test_count_apart(make_trainer: MakeTrainer) -> None:
    rows = torch.randn(4, 3)
    dataset = torch.utils.data.TensorDataset(rows, rows[:, :1])
    loader: Any = torch.utils.data.DataLoader(dataset, batch_size=4)
    far: Any = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(rows, rows[:, :1] + 100), batch_size=4
    )
    trainer = make_trainer(max_epochs=1)
    trainer.fit(regressor(optimizer={"type": "sgd", "lr": 0.0}), loader, far)
    assert trainer.callback_metrics["train/mae"] < 10
    assert trainer.callback_metrics["val/mae"] > 90


def test_recipes_are_hyperparameters_and_objects_are_not() -> None:
    module = RegressorModule(
        {"type": "mlp", "hidden": [4]},
        loss=nn.L1Loss(),
        metrics=["mae", MeanSquaredError()],
        optimizer=torch.optim.SGD,
        scheduler={"type": "cosine", "T_max": "auto"},
    )
    assert dict(module.hparams) == {
        "network": {"type": "mlp", "hidden": [4]},
        "scheduler": {"type": "cosine", "T_max": "auto"},
        "prediction_weights": [1.0, 1.0],
        "input_shape": None,
        "output_shape": None,
    }
