import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Trainer
from sklearn import metrics as by_sklearn
from torch import Tensor, nn, tensor
from torch.nn.functional import huber_loss, mse_loss

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.modules import MLP, RegressorModule
from leyden.shards import write_shards

MakeTrainer: TypeAlias = Callable[..., Trainer]

SMALL = {"type": "mlp", "hidden": [16], "dropout": 0.0}


def serve(folder: Path, shape: tuple[int, ...] = (), **settings: Any) -> AutoDataModule:
    """Serve sets of 25 rows whose labels, of a shape, are sums of their numbers."""
    random = np.random.default_rng(0)
    rows: Any = {n: random.normal(size=(25, 4)).astype(np.float32) for n in range(8)}
    steps = np.arange(1, 1 + np.prod(shape, dtype=int))
    labels: Any = {
        n: (part.sum(1, keepdims=True) * steps).reshape(-1, *shape) for n, part in rows.items()
    }
    write_shards(folder, rows, labels=labels)
    return AutoDataModule(folder, **{"val": [6], "test": [7], "batch_size": 10, **settings})


def test_it_learns_a_problem_that_is_easy(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    torch.manual_seed(0)
    data, trainer = serve(tmp_path / "d"), make_trainer(max_epochs=20)
    module = RegressorModule(SMALL, metrics=["mae", "r2"], optimizer={"type": "adam", "lr": 0.02})
    trainer.fit(module, data)
    names = {f"{phase}/{name}" for phase in ("train", "val") for name in ("loss", "mae", "r2")}
    assert set(trainer.callback_metrics) == names
    (found,) = trainer.test(module, data, verbose=False)
    assert found["test/r2"] > 0.9


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)])
def test_shapes_come_from_the_data(
    tmp_path: Path, make_trainer: MakeTrainer, shape: tuple[int, ...]
) -> None:
    data, trainer = serve(tmp_path / "d", shape), make_trainer(max_epochs=1)
    module = RegressorModule()
    trainer.fit(module, data)
    assert isinstance(module.network, MLP)
    assert module.hparams["input_shape"] == [4]
    assert module.hparams["output_shape"] == list(shape)
    found: Any = trainer.predict(module, data)
    batch: Any = data.fetch("predict", 0, 0)
    assert torch.equal(found[0]["predictions"], module.eval()(batch[0]))
    assert found[0]["predictions"].shape == (10, *shape)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = RegressorModule.load_from_checkpoint(tmp_path / "all.ckpt", weights_only=True).eval()
    assert torch.equal(loaded(batch[0]), module(batch[0]))


def outcome(data: AutoDataModule, module: RegressorModule) -> tuple[Tensor, Tensor]:
    """Predict the test part by hand, and give what it is."""
    batches: list[Any] = [data.fetch("test", 0, index) for index in range(3)]
    inputs, labels = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))
    return module.eval()(inputs).detach(), labels.float()


@pytest.mark.parametrize("shape", [(), (3,)])
def test_loss_and_metrics_are_those_of_all_rows(
    tmp_path: Path, make_trainer: MakeTrainer, shape: tuple[int, ...]
) -> None:
    data = serve(tmp_path / "d", shape)
    module = RegressorModule(SMALL, metrics=["mae", "mse", "rmse", "r2", "explained_variance"])
    (found,) = make_trainer().test(module, data, verbose=False)
    predictions, targets = outcome(data, module)
    arrays = targets.flatten(1).numpy() if shape else targets.numpy(), predictions.numpy()
    expected = {
        "loss": mse_loss(predictions, targets).item(),
        "mae": by_sklearn.mean_absolute_error(*arrays),
        "mse": by_sklearn.mean_squared_error(*arrays),
        "rmse": by_sklearn.mean_squared_error(*arrays) ** 0.5,
        "r2": by_sklearn.r2_score(*arrays),
        "explained_variance": by_sklearn.explained_variance_score(*arrays),
    }
    assert found == pytest.approx({f"test/{name}": v for name, v in expected.items()}, rel=1e-4)


def test_the_loss_can_be_chosen(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    data = serve(tmp_path / "d")
    module = RegressorModule(SMALL, loss={"type": "huber", "delta": 0.5}, metrics=())
    (found,) = make_trainer().test(module, data, verbose=False)
    predictions, targets = outcome(data, module)
    expected = huber_loss(predictions, targets, delta=0.5).item()
    assert found == {"test/loss": pytest.approx(expected, rel=1e-5)}


def test_samples_have_weights_in_the_loss() -> None:
    module = RegressorModule(nn.Identity(), input_shape=(2,), output_shape=(2,))
    batch = torch.zeros(2, 2), tensor([[1.0, 3.0], [2.0, 2.0]]), tensor([1.0, 0.5])
    assert module._score(batch)[2].item() == (1 * 5 + 0.5 * 4) / 2


def test_labels_of_several_axes_are_predicted_by_images(make_trainer: MakeTrainer) -> None:
    module = RegressorModule(
        nn.Conv2d(1, 1, 3, padding=1), input_shape=(1, 4, 4), output_shape=(4, 4)
    )
    assert module(torch.zeros(5, 1, 4, 4)).shape == (5, 4, 4)


def test_a_prediction_is_the_weighted_mean_of_its_windows(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    rows, labels = np.array([[[1.0], [5.0]], [[2.0], [2.0]]], np.float32), np.array([4.0, 0.0])
    write_shards(
        tmp_path / "d", dict.fromkeys(range(3), rows), labels=dict.fromkeys(range(3), labels)
    )
    data = AutoDataModule(tmp_path / "d", val=[1], test=[2], windows={"size": 1})
    module = RegressorModule(nn.Flatten(), prediction_weights=(0.5, 1.5))
    found: Any = make_trainer().predict(module, data)
    assert [step["predictions"].tolist() for step in found] == [[1, 2], [4, 2]]  # 0.25 + 3.75
    (tested,) = make_trainer().test(module, data, verbose=False)
    assert tested["test/mae"] == pytest.approx((0 + 2) / 2)  # of the means, each row counted once
    assert tested["test/loss"] == pytest.approx((9 + 4 + 1 + 4) / 4)  # of all windows


REMEDY = "pass `input_shape` and `output_shape` to the module."


def test_data_without_labels_are_refused(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    data = serve(tmp_path / "d", labels=None)
    problem = "Expected `label_shape` to be known, but AutoDataModule has none: there are no labels"
    with pytest.raises(
        ConfigError, match=re.escape(f"{problem}. Put labels beside the shards, or {REMEDY}")
    ):
        make_trainer(fast_dev_run=True).fit(RegressorModule(), data)
    module = RegressorModule(SMALL, input_shape=(4,), output_shape=())
    with pytest.raises(ConfigError, match=r"of inputs and labels, but got inputs alone[.] Put"):
        make_trainer(fast_dev_run=True).fit(module, data)


def test_labels_of_another_shape_are_refused() -> None:
    module = RegressorModule(nn.Linear(3, 1), input_shape=(3,), output_shape=())
    problem = "Expected labels of shape (4,), but got (4, 1). Pass `output_shape=(1,)`."
    with pytest.raises(ConfigError, match=re.escape(problem)):
        module.training_step((torch.zeros(4, 3), torch.zeros(4, 1)), 0)


def test_a_network_of_another_number_of_outputs_is_refused() -> None:
    module = RegressorModule(nn.Linear(3, 2), input_shape=(3,), output_shape=())
    problem = "the network to give 1 numbers for each sample, but got (2,). Pass `output_shape`, or"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        module(torch.zeros(4, 3))
