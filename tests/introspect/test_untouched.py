import random
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from typing_extensions import override

from leyden.introspect import undisturbed, untouched


class Stateful(nn.Module):
    """Has state of every kind, and changes all of it in a step."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.total = torch.zeros(1)  # as a metric keeps it
        self.seen = list[int]()
        self.kept = dict[str, Tensor]()
        self.names = {"a"}
        self.count = 0
        self.tools: list[Any] = [
            np.random.default_rng(0),
            random.Random(0),
            np.random.RandomState(0),
        ]
        self.dice = torch.Generator().manual_seed(0)
        self.row = torch.zeros(1).expand(3)

    @override
    def forward(self, x: Tensor) -> Tensor:
        self.total += 1
        self.seen.append(1)
        self.kept["train"] = x
        self.names.add("b")
        self.count += 1
        self.new = 1
        for tool in self.tools:
            tool.random()
        torch.rand(1, generator=self.dice)
        torch.rand(1)
        np.random.rand()  # noqa: NPY002 - what users draw from
        random.random()
        out: Tensor = self.norm(x)
        return out


def snapshot(model: Stateful) -> Any:
    tools: Any = model.tools
    return (
        {name: tensor.tolist() for name, tensor in model.state_dict().items()},
        {name: one.grad for name, one in model.named_parameters()},
        [part.training for part in model.modules()],
        (model.total.item(), list(model.seen), dict(model.kept), set(model.names), model.count),
        hasattr(model, "new"),
        str(tools[0].bit_generator.state),
        tools[1].getstate(),
        str(tools[2].get_state()),
        model.dice.get_state().tolist(),
        torch.get_rng_state().tolist(),
        str(np.random.get_state()),  # noqa: NPY002 - what users draw from
        random.getstate(),
    )


@pytest.mark.parametrize("fails", [False, True])
def test_model_is_put_back(fails: bool) -> None:
    model = Stateful()
    model.norm.eval()
    model.norm.weight.grad = torch.ones(2)
    before, kept = snapshot(model), model.kept
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))

    def look() -> None:
        with untouched(model):
            model.train()
            model(x).sum().backward()
            assert snapshot(model) != before
            if fails:
                raise KeyError("out of luck")

    if fails:
        with pytest.raises(KeyError, match="out of luck"):
            look()
    else:
        look()
    assert snapshot(model) == before
    assert model.kept is kept


def test_buffer_that_was_replaced_is_put_back() -> None:
    model = nn.BatchNorm1d(2)
    mean = model.running_mean
    with untouched(model):
        model.running_mean = torch.ones(2)
        assert mean is not None
        mean += 1
    assert model.running_mean is mean
    assert mean.tolist() == [0.0, 0.0]


def test_what_belongs_to_a_trainer_is_left_alone() -> None:
    model: Any = nn.Linear(1, 1)
    trainer: Any = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.dice = random.Random(0)
    model.trainer = trainer
    before = trainer.dice.getstate()
    with untouched(model):
        trainer.dice.random()
    assert trainer.dice.getstate() != before


class Walking(IterableDataset[Tensor]):
    """Knows its place."""

    def __init__(self) -> None:
        self.place = 0
        self.dice = {"mine": np.random.default_rng(0)}

    @override
    def __iter__(self) -> Any:
        for _ in range(3):
            self.place += 1
            yield torch.tensor(self.dice["mine"].random())


def test_place_and_generators_of_a_dataset_are_put_back() -> None:
    walking = Walking()
    loader = DataLoader(walking)
    next(iter(loader))
    with undisturbed(loader):
        during = [batch.item() for batch in loader]
    assert walking.place == 1
    assert [batch.item() for batch in loader] == during


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(3)])
def test_order_of_a_shuffled_loader_stays(generator: torch.Generator | None) -> None:
    data = TensorDataset(torch.arange(20.0))
    loader = DataLoader(data, batch_size=4, shuffle=True, generator=generator)

    def epochs() -> list[Any]:
        torch.manual_seed(0)
        if generator is not None:
            generator.manual_seed(3)
        return [[batch[0].tolist() for batch in loader] for _ in range(2)]

    expected = epochs()
    torch.manual_seed(0)
    if generator is not None:
        generator.manual_seed(3)
    first = iter(loader)
    found = [[next(first)[0].tolist()]]
    with undisturbed(loader):
        assert len(list(loader)) == 5
    found[0] += [batch[0].tolist() for batch in first]
    found.append([batch[0].tolist() for batch in loader])
    assert found == expected


def test_anything_can_be_a_loader() -> None:
    batches = [1, 2]
    with undisturbed(batches):
        assert list(batches) == [1, 2]
    assert batches == [1, 2]


def test_lazy_parts_may_become_what_they_stand_for() -> None:
    model = nn.Sequential(nn.LazyLinear(2), nn.LazyBatchNorm1d())
    with untouched(model):
        model.eval()
        model(torch.ones(3, 4))
    assert model.training
    assert all(part.training for part in model.modules())
    assert model(torch.ones(3, 4)).shape == (3, 2)  # no hook of then is called again
