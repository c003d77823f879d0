import random

import numpy as np
import pytest
import torch
from torch import nn

from leyden.lifecycle import quietly


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(1).item()


def seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def test_modes_and_generators_are_put_back() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Linear(1, 1).eval())
    seed()
    expected = draw()
    seed()
    with quietly(module):
        draw()
        assert not any(part.training for part in module.modules())
        assert not torch.is_grad_enabled()
    assert [part.training for part in module.modules()] == [True, True, False]
    assert torch.is_grad_enabled()
    assert draw() == expected


def test_everything_is_put_back_after_an_error() -> None:
    module = nn.Dropout()
    with pytest.raises(TypeError), quietly(module):
        module()
    assert module.training
    assert torch.is_grad_enabled()
