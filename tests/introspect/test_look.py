from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from leyden.errors import ConfigError, DataError
from leyden.introspect import activations, channel_norms, gradients, stored_gradients, weights

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))


def make_model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(5, 2)
    )


def mse(model: Any, batch: Any) -> Tensor:
    return functional.mse_loss(model(batch[0]), batch[1])


def by_hand(model: Any, *, training: bool) -> dict[str, Tensor]:
    model.train(training)
    torch.manual_seed(7)
    model.zero_grad()
    mse(model, (X, Y)).backward()  # type: ignore[no-untyped-call]
    return {
        name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None
    }


@pytest.mark.parametrize("training", [False, True])
def test_gradients_by_weights_are_those_of_backward(training: bool) -> None:
    expected = by_hand(make_model(), training=training)
    model = make_model()
    torch.manual_seed(7)
    found = gradients(model, (X, Y), loss=mse, training=training)
    assert list(found) == list(expected)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-6, atol=1e-9)


def test_model_is_left_as_it_was() -> None:
    model = make_model()
    model[4].weight.grad = torch.ones(2, 5)
    model[3].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dice = torch.get_rng_state()
    gradients(model, (X, Y), loss=mse, training=True)
    activations(model, X, training=True)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.equal(torch.get_rng_state(), dice)
    assert [part.training for part in model] == [True, True, True, False, True]
    assert [one.grad is None for one in model.parameters()] == [True] * 4 + [False, True]
    assert torch.equal(model[4].weight.grad, torch.ones(2, 5))
    assert not any(part._forward_hooks for part in model.modules())


def test_gradients_by_outputs_are_those_of_the_chain_rule() -> None:
    model = make_model().eval()
    found = gradients(model, (X, Y), loss=mse, of="outputs")
    assert list(found) == ["0", "1", "2", "3", "4"]
    prediction = model(X)
    last = 2 * (prediction - Y) / Y.numel()
    hidden = last @ model[4].weight * (model[:2](X) > 0)
    torch.testing.assert_close(found["4"], last, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found["2"], last @ model[4].weight, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(found["1"], hidden, rtol=1e-6, atol=1e-9)  # though ReLU overwrote it


def test_outputs_of_frozen_layers_have_gradients_too() -> None:
    model = make_model().eval()
    expected = gradients(model, (X, Y), loss=mse, layers="0", of="outputs")["0"]
    model[0].requires_grad_(requires_grad=False)
    found = gradients(model, (X, Y), loss=mse, layers="0", of="outputs")["0"]
    assert torch.equal(found, expected)
    assert list(gradients(model, (X, Y), loss=mse)) == ["1.weight", "1.bias", "4.weight", "4.bias"]


def test_gradients_are_computed_where_they_are_switched_off() -> None:
    model = make_model()
    expected = gradients(model, (X, Y), loss=mse)["4.bias"]
    with torch.inference_mode():
        inside = gradients(model, (X, Y), loss=mse)["4.bias"]
    assert torch.equal(inside, expected)


def test_recurrent_layers_give_their_first_output() -> None:
    lstm = nn.LSTM(4, 3, batch_first=True)
    model = nn.ModuleDict({"lstm": lstm})
    series = torch.randn(2, 5, 4)

    def loss(parts: Any, batch: Tensor) -> Tensor:
        out, (hidden, _) = parts["lstm"](batch)
        total: Tensor = out.sum() + hidden.sum()
        return total

    found = gradients(model, series, loss=loss, of="outputs")["lstm"]
    assert torch.equal(found, torch.ones(2, 5, 3))
    assert torch.equal(activations(lstm, series)["(root)"], lstm(series)[0])


class Trained(nn.Module):
    """Has a step of its own, which logs."""

    automatic_optimization = True

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.logged = list[str]()

    def log(self, name: str, _value: Any) -> None:
        self.logged.append(name)

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        loss = mse(self.layer, batch) * (batch_idx + 1)
        self.log("loss", loss)
        return {"loss": loss}


def test_own_step_is_the_loss_and_logs_nothing() -> None:
    model = Trained()
    found = gradients(model, (X, Y))
    expected = gradients(model.layer, (X, Y), loss=mse)
    assert torch.equal(found["layer.weight"], expected["weight"])
    assert model.logged == []
    model.log("later", 0)
    assert model.logged == ["later"]


def test_losses_that_cannot_be_are_told() -> None:
    model: Any = Trained()
    with pytest.raises(ConfigError, match="for a model without `training_step`"):
        gradients(model.layer, (X, Y))
    model.automatic_optimization = False
    with pytest.raises(ConfigError, match="whose `training_step` makes optimizer steps"):
        gradients(model, (X, Y))
    with pytest.raises(DataError, match=r"one number, but got shape \(6, 2\)"):
        gradients(model, (X, Y), loss=lambda model, batch: model.layer(batch[0]))
    with pytest.raises(DataError, match="one number, but got None"):
        gradients(model, (X, Y), loss=lambda model, batch: {"los": 1})  # type: ignore[arg-type, return-value]


def test_what_gradients_cannot_be_by_is_told() -> None:
    model = make_model()
    with pytest.raises(ConfigError, match=r"got 'output'\. Did you mean 'outputs'"):
        gradients(model, (X, Y), loss=mse, of="output")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="trained weights, but got 2"):
        gradients(model, (X, Y), loss=mse, layers=2)


def test_stored_gradients_are_those_of_the_last_backward_pass() -> None:
    model = make_model()
    assert stored_gradients(model) == {}
    expected = by_hand(model, training=False)
    found = stored_gradients(model, "4")
    assert list(found) == ["4.weight", "4.bias"]
    assert torch.equal(found["4.weight"], expected["4.weight"])


def test_activations_are_those_of_the_layers() -> None:
    model = make_model().eval()
    found = activations(model, X)
    hidden = X
    for name, layer in model.named_children():
        hidden = layer(hidden.clone())
        if name == "1":
            assert torch.equal(found["1"], hidden)  # though ReLU overwrote it
    assert torch.equal(found["4"], hidden)
    assert not found["0"].requires_grad
    assert list(activations(model, (X,), layers=[-1, 0])) == ["4", "0"]


def test_activations_in_training_mode_drop_out() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    assert activations(model, X)["0"].eq(X).all()
    assert not activations(model, X, training=True)["0"].eq(X).all()


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    @override
    def forward(self, *, x: Tensor, times: int) -> Tensor:
        for _ in range(times):
            out = self.layer(x)
            x = x + out
        return x


def test_arguments_may_be_named_and_the_last_call_counts() -> None:
    model = Named()
    found = activations(model, {"x": X, "times": 2})["layer"]
    assert torch.equal(found, model.layer(X + model.layer(X)))


def test_weights_are_not_copies() -> None:
    model = make_model()
    found = weights(model, "0.weight")["0.weight"]
    assert found.data_ptr() == model[0].weight.data_ptr()
    assert not found.requires_grad


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_channels_have_norms(axis: int) -> None:
    convolution = nn.Conv2d(3, 4, 5, bias=False)
    found = channel_norms(convolution, axis=axis)["weight"]
    values = convolution.weight.detach().double().movedim(axis, 0).flatten(1)
    torch.testing.assert_close(found.double(), values.square().sum(1).sqrt(), rtol=1e-6, atol=0)


def test_channels_may_have_other_norms() -> None:
    layer = nn.Linear(3, 2)
    expected = layer.weight.abs().sum(1).detach()
    for norm in (1, torch.abs):
        found = channel_norms(layer, norm=norm)
        torch.testing.assert_close(found["weight"], expected)
        torch.testing.assert_close(found["bias"], layer.bias.detach().abs())
    assert list(channel_norms(layer, axis=1)) == ["weight"]
    with pytest.raises(ConfigError, match="above zero"):
        channel_norms(layer, norm=-1)


def test_cudnn_is_off_where_a_recurrent_layer_is_evaluated() -> None:
    seen = list[bool]()

    def loss(model: Any, batch: Tensor) -> Tensor:
        seen.append(torch.backends.cudnn.enabled)
        total: Tensor = model(batch)[0].sum()
        return total

    model = nn.GRU(4, 3)
    for training in (False, True):
        gradients(model, torch.ones(2, 1, 4), loss=loss, training=training)
    assert seen == [False, True]
    assert torch.backends.cudnn.enabled
