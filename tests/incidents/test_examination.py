"""Steps that are made once more, and leave no trace."""

import math
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.incidents import StepStart, examine
from leyden.incidents.examination import statistics_of


class Module(LightningModule):
    """Three layers."""

    def __init__(self, *, is_automatic: bool = True) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        self.automatic_optimization = is_automatic
        self.answer: Any = "loss"

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        loss = self.net(batch).square().mean()
        self.log("loss", loss)
        if not self.automatic_optimization:
            self.net.requires_grad_(False)  # as toggle_optimizer does
            self.net[2].requires_grad_(True)
            self.manual_backward(loss)
            raise AssertionError("an optimizer would make a step here")
        return {"loss": loss} if self.answer == "loss" else self.answer


def look(module: Module, batch: Tensor) -> Any:
    start = StepStart(module)
    start.note(gradients=False)
    return examine(module, (batch, 0), start.state())


@pytest.fixture
def batch() -> Tensor:
    return torch.randn(4, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("is_automatic", [True, False])
def test_sound_step_has_no_findings_and_leaves_no_trace(batch: Tensor, is_automatic: bool) -> None:
    module = Module(is_automatic=is_automatic)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    names = set(vars(module))
    found = look(module, batch)
    expected = module.net(batch).square().mean()
    assert found.loss.item() == expected.item()
    assert (found.findings, found.rows) == ((), ())
    assert list(found.activations) == ["net.0", "net.1", "net.2"]
    assert math.isclose(
        found.activations["net.0"]["mean"], module.net[0](batch).mean().item(), rel_tol=1e-5
    )
    module.net[1].load_state_dict({k[6:]: v for k, v in before.items() if k.startswith("net.1.")})
    look(module, batch)
    assert all(torch.equal(before[name], one) for name, one in module.state_dict().items())
    assert set(vars(module)) == names
    assert all(one.grad is None and one.requires_grad for one in module.parameters())


@pytest.mark.parametrize("signs", [(1.0, -1.0, 1.0), (-1.0, -1.0, -1.0)])
def test_bad_input_is_found_before_what_it_spoils(
    batch: Tensor, signs: tuple[float, float, float]
) -> None:
    batch[2, 1] = torch.inf  # of which the first layer makes +Inf and -Inf, or -Inf only
    module = Module()
    with torch.no_grad():
        module.net[0].weight[:, 1] = torch.tensor(signs)  # type: ignore[operator] # a tensor
    found = look(module, batch)
    assert [(one.where, one.name) for one in found.findings] == [("batch", ""), ("output", "net.0")]
    assert found.rows == (2,)
    assert found.activations["net.0"]["num_nonfinite"] == 3
    assert math.isnan(found.loss.item())


def test_bad_weight_is_found_before_what_it_spoils(batch: Tensor) -> None:
    module = Module()
    nn.init.constant_(module.net[2].bias, torch.nan)  # type: ignore[arg-type] # a tensor
    found = look(module, batch)
    assert [str(one) for one in found.findings] == [
        "1 NaN of 1 in weight 'net.2.bias'",
        "4 NaN of 4 in output 'net.2'",
    ]


def test_step_without_a_loss_is_refused(batch: Tensor) -> None:
    module = Module()
    module.answer = None
    with pytest.raises(ConfigError, match="Expected `training_step` of Module to return a loss"):
        look(module, batch)


def test_statistics_are_of_the_finite_values() -> None:
    found = statistics_of(
        {
            "a": torch.tensor([[1.0, -3.0], [torch.nan, torch.inf]]),
            "none": torch.zeros(0),
            "whole": torch.tensor([3, 4]),
            "sparse": torch.tensor([0.0, 2.0]).to_sparse(),
        }
    )
    assert found["a"] == {"num_nonfinite": 2.0, "mean": -1.0, "std": 2.0, "max": 3.0}
    assert found["whole"] == {"num_nonfinite": 0.0, "mean": 3.5, "std": 0.5, "max": 4.0}
    assert (found["sparse"]["max"], "none" in found, statistics_of({})) == (2.0, False, {})
