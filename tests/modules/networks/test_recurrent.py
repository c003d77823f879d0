import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from leyden.errors import ConfigError
from leyden.modules import LSTM, HiddenState

CELLS = ["lstm", "gru"]


def in_windows(network: LSTM, series: Tensor, *sizes: int) -> list[Tensor]:
    """Give a network one window after the other, beginning anew."""
    network.reset_state()
    return [network(window) for window in torch.split(series, list(sizes), dim=1)]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 3), (1, 2)])
@pytest.mark.parametrize("batch", [1, 5])
def test_it_takes_series_with_and_without_channels(
    cell: str, shape: tuple[int, ...], batch: int
) -> None:
    network = LSTM(shape, 4, cell=cell, hidden=6, num_layers=2)
    assert network(torch.randn(batch, *shape)).shape == (batch, 4)


@pytest.mark.parametrize("cell", CELLS)
def test_it_has_the_layers_that_are_asked_for(cell: str) -> None:
    network = LSTM((9, 3), 4, cell=cell, hidden=5, num_layers=2, dropout=0.3)
    assert isinstance(network.layers, {"lstm": nn.LSTM, "gru": nn.GRU}[cell])
    layers: Any = network.layers
    dropout, last = list[Any](network.head)
    assert (layers.input_size, layers.hidden_size, layers.num_layers) == (3, 5, 2)
    assert (layers.dropout, dropout.p, last.out_features) == (0.3, 0.3, 4)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_windows_give_what_the_whole_series_gives(cell: str, trains: bool, num_layers: int) -> None:
    network = LSTM((12, 2), 3, cell=cell, hidden=5, num_layers=num_layers, dropout=0)
    network.train(trains)
    series = torch.randn(4, 12, 2)
    (whole,) = in_windows(network, series, 12)
    torch.testing.assert_close(in_windows(network, series, 4, 4, 4)[-1], whole)
    torch.testing.assert_close(in_windows(network, series, 1, 9, 2)[-1], whole)
    assert not torch.allclose(network(series), whole)  # it goes on until it is reset


def test_without_a_state_every_call_begins_anew() -> None:
    network = LSTM((4, 2), 3, stateful=False, dropout=0)
    series = torch.randn(5, 4, 2)
    assert torch.equal(network(series), network(series))
    network.reset_state()
    assert not [name for name in network.state_dict() if "state" in name]


def test_training_and_evaluation_have_states_of_their_own() -> None:
    network = LSTM((12, 2), 3, dropout=0)
    series, other = torch.randn(4, 12, 2), torch.randn(7, 4, 2)
    expected = in_windows(network, series, 4, 4, 4)
    network.reset_state()
    found = []
    for window in torch.split(series, 4, dim=1):
        found.append(network(window))
        network.eval()
        network(other)
        network.reset_state()
        network.train()
    assert all(map(torch.equal, found, expected))


def test_gradients_end_with_the_window() -> None:
    network = LSTM((3, 2), 1, dropout=0)
    first, second = torch.randn(2, 4, 3, 2, requires_grad=True).unbind()
    for window in (first, second):
        window.retain_grad()
        network(window).sum().backward()
    before = first.grad
    assert before is not None
    network.reset_state()
    first.grad = None
    network(first).sum().backward()
    torch.testing.assert_close(first.grad, before, rtol=0, atol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_of_another_batch_size_is_dropped(cell: str) -> None:
    network = LSTM((4, 2), 3, cell=cell, dropout=0)
    series = torch.randn(5, 4, 2)
    (expected,) = in_windows(network, series, 4)
    network(torch.randn(6, 4, 2))
    assert torch.equal(network(series), expected)


def test_a_state_follows_the_dtype_of_the_network() -> None:
    network = LSTM((8, 2), 3, dropout=0)
    series = torch.randn(5, 8, 2, dtype=torch.float64)
    network(series[:, :4].float())
    found = network.double()(series[:, 4:])
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, in_windows(network, series, 8)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_saved_network_goes_on_where_it_was(cell: str, tmp_path: Path) -> None:
    network = LSTM((6, 2), 3, cell=cell, dropout=0)
    series = torch.randn(5, 6, 2)
    network.eval()
    network(torch.randn(2, 3, 2))
    network.train()
    network(series[:, :3])
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    other = LSTM((6, 2), 3, cell=cell, dropout=0)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(series[:, 3:]), network(series[:, 3:]))
    later = torch.randn(2, 3, 2)
    assert torch.equal(other.eval()(later), network.eval()(later))


def test_a_state_that_is_loaded_takes_the_place_of_the_present_one() -> None:
    network, fresh = LSTM((4, 2), 3, dropout=0), LSTM((4, 2), 3, dropout=0)
    series = torch.randn(5, 4, 2)
    network(series)
    network.load_state_dict(fresh.state_dict())
    assert torch.equal(network(series), fresh(series))


def test_a_hidden_state_can_have_the_batch_first() -> None:
    state = HiddenState(batch_axis=0)
    state.keep(torch.ones(3, 2), torch.zeros(3, 4))
    found = state.recall(torch.zeros(3, 9))
    assert found is not None
    assert [tuple(tensor.shape) for tensor in found] == [(3, 2), (3, 4)]
    assert state.recall(torch.zeros(2, 9)) is None


@pytest.mark.parametrize("shape", [(), (3, 8, 8)])
def test_it_refuses_what_is_no_series(shape: tuple[int, ...]) -> None:
    problem = (
        f"Expected samples of shape (time, channels) or (time,) for an LSTM, but got {shape}."
        " Use model=mlp, or reshape the shards."
    )
    with pytest.raises(ConfigError, match=re.escape(problem)):
        LSTM(shape, 4)


def test_an_unknown_cell_is_refused_with_the_nearest() -> None:
    problem = r"`cell` to be a kind of recurrent layer, but got 'grus'[.] Did you mean 'gru'[?]"
    with pytest.raises(ConfigError, match=problem):
        LSTM((4, 2), 3, cell="grus")
