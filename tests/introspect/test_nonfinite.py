import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from leyden.introspect import NonFinite, find_nonfinite


def make_model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(inplace=True), nn.Linear(3, 1))


def total(model: Any, batch: Any) -> Tensor:
    out: Tensor = model(batch).sum()
    return out


def test_finite_step_has_none_and_leaves_no_trace() -> None:
    model = make_model()
    model[0].weight.grad = torch.ones(3, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert find_nonfinite(model, torch.randn(4, 2), loss=total) is None
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert model[0].bias.grad is None
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())
    assert not any(one._backward_hooks for one in model.parameters())


def test_weights_come_first() -> None:
    model = make_model()
    with torch.no_grad():
        model[3].weight[0, 1] = math.nan
    found = find_nonfinite(model, torch.full((4, 2), math.inf), loss=total)
    assert found == NonFinite("weight", "3.weight", 1, 0, 3)
    assert str(found) == "1 NaN of 3 in weight '3.weight'"


def test_buffers_come_next() -> None:
    model = make_model().eval()
    model[1].running_mean.fill_(math.inf)
    found = find_nonfinite(model, torch.ones(4, 2), loss=total)
    assert found == NonFinite("buffer", "1.running_mean", 0, 3, 3)


def test_part_of_the_batch_is_named() -> None:
    batch = ({"x": torch.ones(4, 2), "n": torch.tensor([1])}, [torch.tensor([math.nan, math.inf])])

    def loss(model: Any, batch: Any) -> Tensor:
        return total(model, batch[0]["x"])

    found = find_nonfinite(make_model(), batch, loss=loss)
    assert found == NonFinite("batch", "[1][0]", 1, 1, 2)
    assert str(found) == "1 NaN and 1 Inf of 2 in batch '[1][0]'"


class Root(nn.Module):
    @override
    def forward(self, x: Tensor) -> Tensor:
        return x.sqrt()


def test_first_layer_whose_output_is_bad_is_named() -> None:
    model = nn.Sequential(nn.Identity(), Root(), nn.Identity())
    model.register_parameter("scale", nn.Parameter(torch.ones(())))
    batch = torch.tensor([4.0, -1.0])

    def loss(model: Any, batch: Any) -> Tensor:
        out: Tensor = total(model, batch) * model.scale
        return out

    assert find_nonfinite(model, batch, loss=loss) == NonFinite("output", "1", 1, 0, 2)


def test_what_happens_between_layers_is_an_input() -> None:
    model = make_model()

    def loss(model: Any, batch: Any) -> Tensor:
        out: Tensor = model[3](model[0](batch) / 0)
        return out.sum()

    found = find_nonfinite(model, torch.ones(4, 2), loss=loss)
    assert found is not None
    assert (found.where, found.name, found.num_inf) == ("input", "3", 12)


def test_loss_is_named_where_all_layers_are_finite() -> None:
    found = find_nonfinite(make_model(), torch.ones(4, 2), loss=lambda m, b: m(b).sum() * math.inf)
    assert found is not None
    assert (found.where, found.name, found.num_values) == ("loss", "", 1)
    assert str(found) in {"1 Inf of 1 in loss", "1 NaN of 1 in loss"}


def test_gradients_are_looked_at_as_they_are_computed() -> None:
    model: Any = nn.Sequential(nn.Linear(1, 1), nn.LeakyReLU(1.0), Root())
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)  # the root of zero is zero, its slope is infinite
    found = find_nonfinite(model, torch.ones(2, 1), loss=total)
    assert found == NonFinite("output gradient", "1", 0, 2, 2)


def test_gradient_of_a_weight_is_named_where_no_output_has_one() -> None:
    model: Any = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.zeros_(model[0].weight)

    def loss(model: Any, batch: Any) -> Tensor:
        root: Tensor = model[0].weight.sqrt().sum() + model(batch).sum()
        return root

    found = find_nonfinite(model, torch.ones(2, 1), loss=loss)
    assert found == NonFinite("weight gradient", "0.weight", 0, 1, 1)


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_kept_or_chosen(training: bool) -> None:
    seen = list[bool]()

    def loss(model: Any, batch: Any) -> Tensor:
        seen.append(model.training)
        return total(model, batch)

    model = make_model().train(training)
    find_nonfinite(model, torch.ones(4, 2), loss=loss)
    find_nonfinite(model, torch.ones(4, 2), loss=loss, training=not training)
    assert seen == [training, not training]
    assert model.training is training
