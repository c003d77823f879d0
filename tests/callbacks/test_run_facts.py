"""What a trainer, its module and its data say about a run."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.callbacks.run_facts import data_state, hyper_parameters, last_metrics, train_state
from leyden.data import AutoDataModule
from leyden.shards import write_shards
from leyden.types import Phase

LOADER: DataLoader[Any] = DataLoader(TensorDataset(torch.ones(4, 32)), batch_size=2)
Quick = Callable[..., Trainer]


class Logging(BoringModel):
    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.step(batch[0] if isinstance(batch, list) else batch)
        self.log("train/loss", loss)
        return loss

    @override
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("val/loss", 1.0)


def test_learning_rates_are_those_of_all_groups(quick: Quick) -> None:
    trainer = quick()
    trainer.fit(Logging(), LOADER)
    expected = [group["lr"] for group in trainer.optimizers[0].param_groups]
    assert train_state(trainer)["learning rate"] == expected


def test_loader_says_what_it_is_if_the_data_says_nothing(quick: Quick) -> None:
    trainer = quick()
    trainer.fit(Logging(), LOADER, [LOADER, LOADER])
    assert data_state(trainer, Phase.TRAIN) == {
        "loader": "DataLoader",
        "batches": 2,
        "batch size": 2,
        "data": "TensorDataset",
        "rows": 4,
        "workers": 0,
    }
    assert data_state(trainer, Phase.VAL) == {"loaders": 2}


def test_any_iterable_is_data(quick: Quick) -> None:
    class Streaming:
        def __iter__(self) -> Iterator[list[Tensor]]:
            return iter([[torch.ones(2, 32)]])

    trainer = quick()
    trainer.fit(Logging(), Streaming())
    assert data_state(trainer, Phase.TRAIN) == {"loader": "Streaming"}
    assert train_state(trainer)["batches per epoch"] == "3"
    assert last_metrics(trainer).keys() == {"train/loss"}


def test_sets_are_told(quick: Quick, tmp_path: Path) -> None:
    folder = tmp_path / "sets"
    write_shards(folder, {number: np.ones((4, 32), np.float32) for number in range(3)})
    data = AutoDataModule(folder, batch_size=2, shuffle="none")
    trainer = quick(max_steps=3, limit_train_batches=1.0)
    trainer.fit(Logging(), datamodule=data)
    facts = data_state(trainer, Phase.TRAIN)
    assert (facts["sets"], facts["rows"], facts["row"]) == (3, "12", (32,))
    assert facts["batch"] == "3/6"
    assert len(facts["sets left"]) == 2
    assert data_state(trainer, Phase.VAL) == {}
    assert hyper_parameters(trainer, Logging())["module"] == "Logging"


def test_lazy_parameters_are_not_counted(quick: Quick) -> None:
    class Lazy(Logging):
        def __init__(self) -> None:
            super().__init__()
            self.lazy = torch.nn.LazyLinear(2)

    trainer = quick()
    trainer.fit(Logging(), LOADER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert hyper_parameters(trainer, Lazy())["parameters"] == "66"
