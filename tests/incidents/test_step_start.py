"""What a step changes before its loss is known, and that it is put back."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from typing_extensions import override

from leyden.incidents import StepStart, restore_start
from leyden.modules.networks.recurrent import LSTM


class Module(LightningModule):
    """Has one of everything that changes in a forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5))
        self.series = LSTM((2,), 1, hidden=3)
        self.generator = np.random.default_rng(0)
        self.count, self.memory = 0, [torch.zeros(2)]
        self.register_buffer("late", None)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        self.count += 1
        outputs = self.net(inputs) * float(self.generator.normal()) + self.memory[0]
        self.memory[0] = self.memory[0] + 1
        return torch.as_tensor(outputs.sum() + self.series(inputs).sum())


def test_step_can_be_made_as_often_as_one_likes() -> None:
    torch.manual_seed(0)
    module, inputs = Module(), torch.randn(4, 2)
    module(inputs).backward()
    start = StepStart(module)
    start.note(gradients=True)
    noted = start.state()
    gradient: Any = module.net[0].weight.grad
    losses = []
    for _ in range(3):
        restore_start(module, noted)
        loss = module(inputs)
        loss.backward()
        losses.append((loss.item(), module.net[0].weight.grad.tolist(), module.count))  # type: ignore[union-attr,operator] # tensors
    assert losses[0] == losses[1] == losses[2]
    restore_start(module, noted)
    assert (module.count, module.memory[0].tolist()) == (1, [1.0, 1.0])
    assert module.net[0].num_batches_tracked == 1
    assert torch.equal(module.net[0].weight.grad, gradient)  # type: ignore[arg-type] # a tensor


def test_modes_and_missing_gradients_are_put_back() -> None:
    module = Module()
    start = StepStart(module)
    start.note(gradients=False)
    noted = start.state()
    module(torch.randn(4, 2)).backward()
    module.eval()
    restore_start(module, noted)
    assert module.net[1].training
    assert all(parameter.grad is None for parameter in module.parameters())


def test_buffer_that_another_copy_has_not_yet_is_made() -> None:
    first, second = Module(), Module()
    first.late = torch.ones(3)
    start = StepStart(first)
    start.note(gradients=False)
    restore_start(second, start.state())
    assert isinstance(second.late, Tensor)
    assert second.late.tolist() == [1.0, 1.0, 1.0]


def test_buffers_that_have_no_shape_yet_are_left_to_the_step() -> None:
    module = Module()
    module.net = nn.Sequential(nn.LazyBatchNorm1d())
    start = StepStart(module)
    start.note(gradients=False)
    state = start.state()
    assert not any("running" in name for name in state["buffers"])
    module(torch.ones(3, 2))
    restore_start(module, state)
    assert module(torch.ones(3, 2)).shape == ()
