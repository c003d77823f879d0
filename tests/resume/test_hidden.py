from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from leyden.resume.hidden import Hidden
from leyden.resume.holders import Holders, find_holders


class Keeper(nn.Module):
    """Keeps a module in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = [nn.BatchNorm1d(3)]
        self.kept[0].register_buffer("order", torch.arange(3))


@pytest.fixture
def trainer() -> Trainer:
    return Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)


def holders(module: nn.Module) -> Holders:
    return find_holders({"module": module})


@pytest.mark.parametrize("value", [[2, 1, 0], [0, 1, 3]], ids=["permuted", "changed"])
def test_weights_that_changed_are_kept_and_put_back(value: list[int], trainer: Trainer) -> None:
    module, other = Keeper(), Keeper()
    before = Hidden.of(holders(module))
    module.kept[0].get_buffer("order").copy_(torch.tensor(value))
    changes = before.changes(holders(module), trainer)
    assert [*changes["weights"]] == ["module.kept[0]"]
    assert Hidden.of(holders(other)).restore(holders(other), changes) == set()
    assert other.kept[0].get_buffer("order").tolist() == value


def test_weights_that_did_not_change_are_not_kept(trainer: Trainer) -> None:
    module = Keeper()
    changes: Any = Hidden.of(holders(module)).changes(holders(module), trainer)
    assert changes["weights"] == {}


def test_a_module_that_is_not_there_is_named(trainer: Trainer) -> None:
    module = Keeper()
    before = Hidden.of(holders(module))
    module.kept[0].weight.data.zero_()
    changes = before.changes(holders(module), trainer)
    module.kept.clear()
    assert before.restore(holders(module), changes) == {"module.kept[0]"}
