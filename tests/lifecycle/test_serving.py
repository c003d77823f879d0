from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import CombinedLoader
from torch.optim import SGD
from typing_extensions import override

from leyden.lifecycle import Window, find_origin, find_window
from leyden.lifecycle.serving import data_in_use, plans_in_use
from leyden.types import Phase


class Batches:
    """A loader of six batches."""

    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Iterator[str]:
        return iter("abcdef")


class Planned(Batches):
    """A loader that knows its batches."""

    def __init__(self, name: str, windows: int) -> None:
        self.plan = Plan(name, windows)


class Plan:
    """Knows the batches of a loader, but for the last."""

    def __init__(self, name: str, windows: int) -> None:
        self.name, self.windows = name, windows

    def __getitem__(self, batch_index: int) -> str:
        return [f"{self.name}-{index}" for index in range(5)][batch_index]


class Asking(LightningModule):
    """Asks in every step which window it is given, and where the batch comes from."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.windows: list[Window] = []
        self.origins: list[Any] = []

    @override
    def training_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        place = batch_idx, dataloader_idx
        self.windows.append(find_window(self.trainer, *place))
        self.origins.append(find_origin(self.trainer, Phase.TRAIN, *place))
        return self.weight * 1

    validation_step = test_step = predict_step = training_step

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=0.1)


def make_trainer() -> Trainer:
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


PHASES = ["fit", "validate", "test", "predict"]
pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")


def ask(phase: str, data: Any, trainer: Trainer | None = None) -> Asking:
    module, options = Asking(), {"verbose": False} if phase in ("validate", "test") else {}
    getattr(trainer or make_trainer(), phase)(module, data, **options)
    return module


@pytest.mark.parametrize("phase", PHASES)
def test_the_loader_in_use_knows_its_windows_and_its_batches(phase: str) -> None:
    module = ask(phase, Planned("a", 3))
    assert module.windows == [Window(index % 3, 3) for index in range(6)]
    assert module.origins == [*(f"a-{index}" for index in range(5)), None]


@pytest.mark.parametrize("phase", PHASES[1:])
def test_each_of_several_loaders_knows_its_own(phase: str) -> None:
    module = ask(phase, [Planned("a", 3), Batches(), Planned("b", 2)])
    assert [window.count for window in module.windows] == [3] * 6 + [1] * 6 + [2] * 6
    assert module.origins[4:14] == ["a-4", *[None] * 7, "b-0", "b-1"]


@pytest.mark.parametrize("combine", [dict, CombinedLoader])
def test_loaders_that_come_at_once_are_cut_alike(combine: Any) -> None:
    module = ask("fit", combine({"a": Batches(), "b": [Planned("b", 3)]}))
    assert module.windows == [Window(index % 3, 3) for index in range(6)]
    assert module.origins == [None] * 6  # as each of them has one


class Data(LightningDataModule):
    """Serves two windows to a batch, by loaders that do not know."""

    @override
    def train_dataloader(self) -> Batches:
        return Batches()

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader

    def num_windows(self, phase: str, epoch: int) -> int:
        return 2

    def origin(self, phase: str, epoch: int, batch_index: int) -> tuple[str, int, int]:
        return phase, epoch, batch_index


@pytest.mark.parametrize("phase", PHASES)
def test_a_data_module_is_asked_of_its_own_loaders_only(phase: str) -> None:
    trainer = make_trainer()
    module = ask(phase, Data(), trainer)
    assert [window.count for window in module.windows[-6:]] == [2] * 6
    assert module.origins[-1] == ("train", int(trainer.current_epoch > 5), 5)
    for last, count in ((Planned("a", 3), 3), (Batches(), 1)):
        module = ask("predict", last, trainer)
        assert module.windows == [Window(index % count, count) for index in range(6)]
        assert module.origins[0] == ("a-0" if count == 3 else None)


def test_validation_loaders_of_a_fit_before_are_not_those_in_use() -> None:
    trainer, module = make_trainer(), Asking()
    trainer.fit(module, Batches(), Planned("a", 3))
    assert ask("validate", Planned("b", 2), trainer).origins[0] == "b-0"


def test_outside_of_a_loop_nothing_is_known_of_loaders() -> None:
    trainer: Any = SimpleNamespace(datamodule=None)
    assert plans_in_use(trainer) == plans_in_use(make_trainer()) == []
    assert data_in_use(trainer) is None
    assert find_origin(trainer, Phase.TRAIN, 0) is None
