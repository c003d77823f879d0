"""Runs of projects as people write them, broken off in the midst and gone on with."""

import copy
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from lightning.pytorch import (
    Callback,
    LightningDataModule,
    LightningModule,
    Trainer,
    seed_everything,
)
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, WeightedRandomSampler
from torchmetrics import MeanMetric
from typing_extensions import override

from leyden import latest_checkpoint
from leyden.callbacks import ExactResume
from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.shards import write_shards


class Rows(Dataset[Tensor]):
    """Rows with noise, the strength of which is that of an object of the dataset's."""

    def __init__(self) -> None:
        self.rows = torch.arange(96.0).reshape(24, 4) / 96
        self.noise = [Noise()]

    def __len__(self) -> int:
        return len(self.rows)

    @override
    def __getitem__(self, index: int) -> Tensor:
        row: Tensor = self.noise[0](self.rows[index])
        return row


class Noise:
    def __init__(self) -> None:
        self.strength = 0.1
        self.dice = np.random.default_rng(3)

    def __call__(self, row: Tensor) -> Tensor:
        return row + self.strength * torch.rand(4) + float(self.dice.random())


class Base(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)
        self.seen: list[float] = []

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        loss = self.net(batch).square().mean() + self.more(batch)
        self.seen.append(float(loss.detach() + batch.sum()))
        return loss

    def more(self, batch: Tensor) -> Any:
        return 0.0

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.net.parameters(), 0.05)

    @override
    def train_dataloader(self) -> Any:
        return DataLoader(Rows(), 4, shuffle=True)


class Average:
    """Averages of a module's weights in a copy of it, in an object of its own."""

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module)
        self.metric = MeanMetric()

    @torch.no_grad()
    def __call__(self, module: nn.Module) -> Tensor:
        self.metric.update(float(self.metric.update_count))
        for mean, now in zip(self.module.parameters(), module.parameters(), strict=True):
            mean.mul_(0.9).add_(now, alpha=0.1)
        mean_weight = next(self.module.parameters()).sum()
        return torch.as_tensor(mean_weight + self.metric.compute())


class Teacher(Base):
    """Copies kept apart: in an object, in a list, and one that begins as the student is."""

    def __init__(self) -> None:
        super().__init__()
        self.average = Average(self.net)
        self.teachers = [copy.deepcopy(self.net)]
        self.second = copy.deepcopy(self.net)
        self.noise = Noise()

    @override
    def on_train_start(self) -> None:
        self.second.load_state_dict(self.net.state_dict())
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = 0.01

    @override
    def more(self, batch: Tensor) -> Tensor:
        with torch.no_grad():
            self.second.weight.mul_(0.9).add_(self.net.weight, alpha=0.1)
            self.teachers[0].weight.add_(self.net.weight, alpha=0.1)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] *= 0.95
        taught = (self.teachers[0](batch) + self.second(batch)).mean()
        factor = taught + self.average(self.net) + self.noise(batch).mean()
        return torch.as_tensor(factor * self.net(batch).mean())


class Transition(NamedTuple):
    state: np.ndarray[Any, Any]
    reward: float


class Phase(Enum):
    WARM = "warm"
    MAIN = "main"


@dataclass
class Scale:
    value: float = 1.0
    phase: Phase = Phase.WARM


class Memory:
    def __init__(self) -> None:
        self.played: deque[Transition] = deque(maxlen=9)


class World:
    def __init__(self) -> None:
        self.state, self.dice = np.zeros(4, dtype=np.float32), np.random.default_rng(1)


class Agent:
    def __init__(self, memory: Memory) -> None:
        self.world, self.memory = World(), memory

    def play(self) -> float:
        self.world.state = self.world.state * 0.9 + self.world.dice.random(4, dtype=np.float32)
        reward = random.random()
        self.memory.played.append(Transition(self.world.state, reward))
        return reward


class Played(IterableDataset[Tensor]):
    """Draws from what was played so far."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    @override
    def __iter__(self) -> Iterator[Tensor]:
        chosen = np.random.choice(len(self.memory.played), 12)
        for one in [self.memory.played[index] for index in chosen]:
            yield torch.from_numpy(one.state) * one.reward


class Playing(Base):
    """Learns from what it plays, with a temperature that is a tensor alone."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.agent = Agent(self.memory)
        self.scale = Scale()
        self.temperature = torch.zeros(1, requires_grad=True)
        self.agent.play()

    @override
    def more(self, batch: Tensor) -> Tensor:
        self.scale.value *= 1.01
        self.scale.phase = Phase.MAIN if self.agent.play() > 0.3 else self.scale.phase
        factor = 2.0 if self.scale.phase is Phase.MAIN else 1.0
        scale = self.scale.value * factor
        return torch.as_tensor((self.temperature.exp() * self.net(batch).mean() * scale).sum())

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam([*self.net.parameters(), self.temperature], 0.02)

    @override
    def train_dataloader(self) -> Any:
        return DataLoader(Played(self.memory), 2)


class Growing(LightningDataModule):
    """More rows, chosen by chance, whenever loaders are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    @override
    def train_dataloader(self) -> Any:
        self.calls += 1
        chosen = torch.randperm(24)[: 8 * self.calls].tolist()
        return DataLoader(Subset(Rows(), chosen), 2, shuffle=True)


@cache
def shards() -> Path:
    folder = Path(mkdtemp())
    rows = np.arange(96, dtype=np.float32).reshape(2, 12, 4) / 96
    write_shards(folder, {1: rows[0], 2: rows[1]})
    return folder


class Fading(AutoDataModule):
    """Leyden's data module, which disturbs the rows less and less."""

    def __init__(self) -> None:
        super().__init__(shards(), batch_size=4, train=[1, 2])
        self.noise, self.mean, self.given = Noise(), MeanMetric(), 0
        self.steps = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
        self.fading = torch.optim.lr_scheduler.ExponentialLR(self.steps, 0.9)

    @override
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        self.given += 1
        self.mean.update(float(self.given))
        self.steps.step()
        self.fading.step()
        strength = self.fading.get_last_lr()[0] * float(self.mean.compute())
        return torch.stack([row + strength * self.noise(row) for row in batch])


class Faded(Base):
    @override
    def validation_step(self, *_: Any) -> None:
        """Do nothing: the data module has no rows for it."""


class Harder(Callback):
    """Changes what torch's sampler draws, and how the dataset disturbs."""

    @override
    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        loader: Any = trainer.train_dataloader
        loader.sampler.weights = loader.sampler.weights * torch.rand(24, dtype=torch.double)
        loader.dataset.noise[0].strength *= 2


class ByHand(Base):
    """A schedule and a zeroing of gradients that the trainer does not know of."""

    @override
    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.net.parameters(), 0.05)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
        return optimizer

    @override
    def on_train_batch_end(self, *_: Any) -> None:
        self.schedule.step()

    @override
    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        if batch_idx % 4 == 0:
            optimizer.zero_grad()


class Weighted(Base):
    @override
    def train_dataloader(self) -> Any:
        return DataLoader(Rows(), 4, sampler=WeightedRandomSampler([1.0] * 24, 24))


class Persisting(Base):
    """Workers that persist, of which an epoch does not have all batches."""

    @override
    def train_dataloader(self) -> Any:
        return DataLoader(Rows(), 2, shuffle=True, num_workers=1, persistent_workers=True)


class Counting(DataLoader[Any]):
    """A loader that goes by how many batches it has given."""

    given = 0

    @override
    def __iter__(self) -> Any:
        for batch in super().__iter__():
            self.given += 1
            yield batch + self.given


class Counted(Base):
    @override
    def train_dataloader(self) -> Any:
        return Counting(Rows(), 4, shuffle=True)


class Shadow(Callback):
    """Averages that a callback keeps to itself."""

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.mean = {name: one.clone() for name, one in pl_module.net.state_dict().items()}

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        for name, one in pl_module.net.state_dict().items():
            self.mean[name].mul_(0.9).add_(one, alpha=0.1)
        with torch.no_grad():
            pl_module.net.weight.add_(self.mean["weight"], alpha=0.01)


class Stop(Callback):
    def __init__(self, at: int) -> None:
        self.at = at

    @override
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.fit_loop.epoch_loop.total_batch_idx == self.at:
            raise KeyError("stop")


CASES: dict[str, tuple[Callable[[], Base], dict[str, Any]]] = {
    "teachers": (Teacher, {}),
    "what was played": (Playing, {}),
    "subsets that grow": (Base, {"data": Growing, "reload_dataloaders_every_n_epochs": 1}),
    "a data module of leyden's": (Faded, {"data": Fading}),
    "harder samples": (Weighted, {"more": [Harder]}),
    "schedule by hand": (ByHand, {}),
    "persistent workers, a part of the batches": (Persisting, {"limit_train_batches": 5}),
    "a loader that counts": (Counted, {}),
    "averages of a callback": (Base, {"more": [Shadow]}),
    "accumulated gradients": (Base, {"accumulate_grad_batches": 3}),
}


def fit(folder: Path, case: str, at: int = -1, seed: int = 0) -> dict[str, Any]:
    seed_everything(seed, verbose=False)
    kind, options = CASES[case]
    module, options = kind(), dict(options)
    data, more = options.pop("data", None), options.pop("more", [])
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            *(one() for one in more),
            ExactResume(folder / "checkpoints", every_n_steps=1, every_seconds=None),
            ModelCheckpoint(folder / "kept", every_n_train_steps=2, save_top_k=-1),
            Stop(at),
        ],
        **options,
    )
    checkpoint = latest_checkpoint(folder / "checkpoints")
    trainer.fit(module, datamodule=data() if data else None, ckpt_path=checkpoint)
    return {
        "weights": [one.tolist() for one in module.parameters()],
        "seen": module.seen,
        "kept": {
            path.name: torch.load(path, weights_only=True)["global_step"]
            for path in sorted((folder / "kept").iterdir())
        },
    }


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
@pytest.mark.parametrize("case", CASES)
def test_what_is_broken_off_goes_on_as_if_it_never_was(case: str, tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", case)
    with pytest.raises(KeyError, match="stop"):
        fit(tmp_path / "parts", case, at=4)
    with pytest.raises(KeyError, match="stop"):
        fit(tmp_path / "parts", case, at=8, seed=1)
    assert fit(tmp_path / "parts", case, seed=2) == whole


def test_two_of_it_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = partial(ExactResume, tmp_path / "other")
    monkeypatch.setitem(CASES, "two", (Base, {"more": [second]}))
    with pytest.raises(ConfigError, match=r"Expected one `ExactResume`.*but got 2\."):
        fit(tmp_path, "two")


class Once(Base):
    @override
    def train_dataloader(self) -> Any:
        return DataLoader(Rows(), 4, sampler=iter(range(24)))


def test_an_iterator_within_a_loader_is_named_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CASES, "once", (Once, {"max_steps": 2}))
    with pytest.warns(UserWarning, match="its `sampler` is or keeps an iterator.*in `__iter__`"):
        fit(tmp_path, "once")
