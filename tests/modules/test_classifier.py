import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ConfigError, DataError
from leyden.modules import CNN, MLP, ClassifierModule
from leyden.shards import write_shards

MakeTrainer: TypeAlias = Callable[..., Trainer]

SMALL = {"type": "mlp", "hidden": [16], "dropout": 0.0}
FAST = {"type": "adam", "lr": 0.02}


class Tiny(nn.Module):
    """A network that a project brings along."""

    def __init__(
        self, input_shape: tuple[int, ...], num_classes: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.layer = nn.Linear(input_shape[0], num_classes, bias=bias)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.layer(inputs)
        return scores


def write(folder: Path, *, dtype: type[np.generic] = np.float32, width: int = 3) -> Path:
    """Write sets of 25 points, whose class is that of their largest coordinate."""
    random = np.random.default_rng(0)
    inputs: dict[int, Any] = {
        number: (random.uniform(0, 200, (25, width))).astype(dtype) for number in range(8)
    }
    labels: dict[int, Any] = {number: rows.argmax(1) for number, rows in inputs.items()}
    write_shards(folder, inputs, labels=labels)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> AutoDataModule:
    return AutoDataModule(write(tmp_path / "d"), val=[6], test=[7], batch_size=10)


def fit(module: ClassifierModule, data: AutoDataModule, trainer: Trainer) -> ClassifierModule:
    trainer.fit(module, data)
    return module


def weights(module: nn.Module) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in module.state_dict().items()}


def test_it_learns_a_problem_that_is_easy(data: AutoDataModule, make_trainer: MakeTrainer) -> None:
    torch.manual_seed(0)
    trainer = make_trainer(max_epochs=12)
    module = fit(ClassifierModule(SMALL, optimizer=FAST), data, trainer)
    assert set(trainer.callback_metrics) == {
        f"{phase}/{name}" for phase in ("train", "val") for name in ("loss", "accuracy")
    }
    assert trainer.callback_metrics["train/accuracy"] > 0.9
    assert trainer.callback_metrics["val/loss"] < 0.5
    (result,) = trainer.test(module, data, verbose=False)
    assert result["test/accuracy"] > 0.85


def test_shape_and_classes_come_from_the_data(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    module = ClassifierModule(SMALL)
    with pytest.raises(ConfigError, match="network to be built, but the data is not known yet"):
        module(torch.zeros(2, 3))
    fit(module, data, make_trainer(fast_dev_run=True))
    assert (module.hparams["input_shape"], module.hparams["num_classes"]) == ([3], 3)
    assert module(torch.zeros(2, 3)).shape == (2, 3)


def test_shape_and_classes_that_are_given_are_kept(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=7)
    fit(module, data, make_trainer(fast_dev_run=True))
    assert module(torch.zeros(2, 3)).shape == (2, 7)


def test_metrics_are_those_of_all_rows(data: AutoDataModule, make_trainer: MakeTrainer) -> None:
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=3)
    (result,) = make_trainer().test(module, data, verbose=False)
    batches: list[Any] = [
        data.fetch("test", 0, index) for index in range(3)
    ]  # of 10, 10 and 5 rows
    inputs, labels = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))
    scores = module.eval()(inputs)
    hits = (scores.argmax(1) == labels).float().mean()
    assert result["test/loss"] == pytest.approx(cross_entropy(scores, labels).item(), rel=1e-5)
    assert result["test/accuracy"] == pytest.approx(hits.item())


@pytest.mark.parametrize(
    "network",
    [
        "mlp",
        SMALL,
        {"type": f"{__name__}.Tiny", "bias": False},
        f"{__name__}.Tiny",
    ],
)
def test_a_checkpoint_is_loaded_without_data(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer, network: Any
) -> None:
    trainer = make_trainer(max_epochs=1)
    module = fit(ClassifierModule(network, scheduler="plateau"), data, trainer).eval()
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    torch.load(tmp_path / "all.ckpt", weights_only=True)
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt").eval()
    inputs = torch.rand(9, 3)
    assert torch.equal(loaded(inputs), module(inputs))
    assert type(loaded.network) is type(module.network)
    assert dict(loaded.hparams) == dict(module.hparams)


@pytest.mark.parametrize("network", [Tiny, partial(Tiny, bias=True), Tiny((3,), 3)])
def test_a_network_given_as_an_object_is_given_again(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer, network: Any
) -> None:
    trainer = make_trainer(max_epochs=1)
    module = fit(ClassifierModule(network), data, trainer).eval()
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    saved = torch.load(tmp_path / "all.ckpt", weights_only=True)
    names = [name for name in saved["state_dict"] if "layer" in name]
    assert names == ["network.layer.weight", "network.layer.bias"]  # once
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt", network=network).eval()
    inputs = torch.rand(9, 3)
    assert torch.equal(loaded(inputs), module(inputs))


def test_a_module_that_is_loaded_trains_on(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(max_epochs=1)
    fit(ClassifierModule(SMALL, optimizer=FAST), data, trainer)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt")
    before = weights(loaded)
    fit(loaded, data, make_trainer(max_epochs=1))
    assert weights(loaded) != before
    assert loaded.hparams["optimizer"] == FAST


def test_two_runs_with_one_seed_are_equal(data: AutoDataModule, make_trainer: MakeTrainer) -> None:
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(weights(fit(ClassifierModule("mlp"), data, make_trainer(max_epochs=2))))
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
@pytest.mark.parametrize("step", [5, 15, 16])
def test_a_run_that_goes_on_ends_where_it_would_have_ended(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer, step: int
) -> None:
    torch.manual_seed(0)
    keep = ModelCheckpoint(tmp_path / "saved", "{step}", every_n_train_steps=step, save_top_k=-1)
    settings: Any = {"network": SMALL, "scheduler": {"type": "step", "step_size": 1}}
    whole = fit(ClassifierModule(**settings), data, make_trainer(max_epochs=2, callbacks=[keep]))
    rest = ClassifierModule(**settings)
    path = tmp_path / "saved" / f"step={step}.ckpt"
    make_trainer(max_epochs=2).fit(rest, data, ckpt_path=path, weights_only=True)
    assert weights(rest)["network.layers.2.weight"] == weights(whole)["network.layers.2.weight"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float64])
def test_inputs_may_be_of_any_type(
    tmp_path: Path, make_trainer: MakeTrainer, dtype: type[np.generic]
) -> None:
    data = AutoDataModule(write(tmp_path / "d", dtype=dtype), val=[6], batch_size=10)
    module = fit(ClassifierModule(SMALL), data, make_trainer(fast_dev_run=True))
    assert module(torch.ones(2, 3, dtype=torch.uint8)).dtype == torch.float32


def test_the_precision_of_the_weights_decides(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(fast_dev_run=True, precision="64-true")
    module = fit(ClassifierModule(SMALL), data, trainer)
    assert module(torch.ones(2, 3)).dtype == torch.float64


def test_networks_have_names() -> None:
    arguments: Any = {"input_shape": (1, 8, 8), "num_classes": 4}
    assert isinstance(ClassifierModule(**arguments).network, CNN)
    assert isinstance(ClassifierModule("mlp", **arguments).network, MLP)
    with pytest.raises(ConfigError, match=r"`network` to be of .* Did you mean 'cnn'[?]"):
        ClassifierModule("cnm", **arguments)


def test_the_loss_can_be_chosen(data: AutoDataModule, make_trainer: MakeTrainer) -> None:
    def zero(scores: Tensor, classes: Tensor) -> Tensor:
        assert (scores.shape, classes.dtype) == ((10, 3), torch.int64)
        return 0 * scores.sum()

    trainer = make_trainer(fast_dev_run=True)
    fit(ClassifierModule(SMALL, loss=zero), data, trainer)
    assert trainer.callback_metrics["train/loss"] == 0


def test_it_predicts_classes_and_probabilities(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=3)
    found: Any = make_trainer().predict(module, data)
    batch: Any = data.fetch("predict", 0, 2)
    expected = torch.softmax(module.eval()(batch[0]), dim=1)
    assert [len(batch["classes"]) for batch in found] == [10, 10, 5]
    assert torch.equal(found[2]["probabilities"], expected)
    assert torch.equal(found[2]["classes"], expected.argmax(1))


def test_it_predicts_without_labels(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    data = AutoDataModule(write(tmp_path / "d"), labels=None, predict=[7], batch_size=10)
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=3)
    found: Any = make_trainer().predict(module, data)
    assert [batch["probabilities"].shape for batch in found] == [(10, 3), (10, 3), (5, 3)]


REMEDY = "pass `input_shape` and `num_classes` to the module[.]"


@pytest.mark.parametrize("change", ["remove", "real"])
def test_data_without_classes_are_refused(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer, change: str
) -> None:
    path = tmp_path / "d" / "labels.npz"
    path.unlink()
    if change == "real":
        np.save(path.with_suffix(".npy"), np.zeros(200))
    problem = (
        "Expected `num_classes` to be known, but AutoDataModule has none: there are no labels, or"
        f" they are not whole numbers[.] Save labels as whole numbers, or {REMEDY}"
    )
    with pytest.raises(ConfigError, match=problem):
        fit(ClassifierModule(SMALL), data, make_trainer(fast_dev_run=True))


def rows_of(size: int) -> DataLoader[Any]:
    rows: Any = [(torch.ones(3), 1)] * size
    return DataLoader(rows, batch_size=2)


def test_without_a_data_module_the_sizes_must_be_given(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(fast_dev_run=True)
    problem = "Expected a data module that knows .*, but got none[.] Give the trainer one, or "
    with pytest.raises(ConfigError, match=problem + REMEDY):
        trainer.fit(ClassifierModule(SMALL), rows_of(4), rows_of(2))
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=2)
    make_trainer(fast_dev_run=True).fit(module, rows_of(4), rows_of(2))


def test_a_data_module_that_knows_nothing_is_told_so(make_trainer: MakeTrainer) -> None:
    class Foreign(LightningDataModule):
        @override
        def train_dataloader(self) -> DataLoader[Any]:
            return rows_of(4)

        val_dataloader = train_dataloader

    problem = "Expected `sample_shape` to be known, but Foreign has none[.] P" + REMEDY[1:]
    with pytest.raises(ConfigError, match=problem):
        make_trainer(fast_dev_run=True).fit(ClassifierModule(SMALL), Foreign())


def test_training_on_inputs_alone_is_refused() -> None:
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=2)
    problem = "Expected batches of inputs and labels, but got inputs alone[.] Put the labels beside"
    with pytest.raises(ConfigError, match=problem):
        module.training_step(torch.zeros(4, 3), 0)


@pytest.mark.parametrize("shape", [(4, 1), (4, 3), (3,), ()])
def test_labels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    module = ClassifierModule(SMALL, input_shape=(3,), num_classes=2)
    problem = f"numbers of classes as labels, of shape (4,), but got {shape}. Save one number for"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        module.training_step((torch.zeros(4, 3), torch.zeros(shape)), 0)


def test_labels_that_are_no_numbers_of_classes_are_named() -> None:
    module = ClassifierModule("mlp", input_shape=(3,), num_classes=2)
    with pytest.raises(DataError, match=r"from 0 to 1, but got some from -1 to 1. Number the"):
        module.training_step((torch.zeros(4, 3), torch.tensor([-1, 1, -1, 1])), 0)
