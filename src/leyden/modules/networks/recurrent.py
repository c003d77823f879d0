"""A recurrent network that remembers from one time window of a batch to the next."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import ConfigError, suggest

__all__ = ["LSTM", "HiddenState"]

_CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class HiddenState(nn.Module):
    """What a recurrent part carries from one call to the next, until it is reset.

    As a part of a module it is reset between batches, by ``LifecycleModule`` or by the callback
    ``StateReset``. There is one state for training and another for evaluation, so that a validation
    between two windows of a training batch changes nothing. Both are kept in checkpoints.

    Args:
        batch_axis: Axis of the batch in the tensors of the state; torch's recurrent layers have it
            second.

    Example:
        >>> import torch
        >>> state, inputs = HiddenState(batch_axis=0), torch.zeros(3, 5)
        >>> state.keep(torch.ones(3, 2))
        >>> state.recall(inputs)[0].shape
        torch.Size([3, 2])
        >>> state.reset_state()
        >>> state.recall(inputs) is None
        True
    """

    def __init__(self, *, batch_axis: int = 1) -> None:
        super().__init__()
        self._batch_axis = batch_axis
        self._kept: dict[str, list[Tensor]] = {}

    def recall(self, inputs: Tensor) -> tuple[Tensor, ...] | None:
        """Give the tensors that were kept last, on the device and of the dtype of the inputs.

        Args:
            inputs: The inputs of this call, ``(batch, ...)``.

        Returns:
            The tensors; ``None`` if there are none, or they belong to a batch of another size.
        """
        kept = self._kept.get(self._mode, [])
        if not kept or kept[0].shape[self._batch_axis] != len(inputs):
            return None
        return tuple(tensor.to(inputs) for tensor in kept)

    def keep(self, *tensors: Tensor) -> None:
        """Keep tensors for the next call; gradients do not reach back through them.

        Args:
            tensors: Each with the batch along ``batch_axis``.
        """
        self._kept[self._mode] = [tensor.detach() for tensor in tensors]

    def reset_state(self) -> None:
        """Forget the state of the present mode, training or evaluation."""
        self._kept.pop(self._mode, None)

    @property
    def _mode(self) -> str:
        return "train" if self.training else "eval"

    @override
    def get_extra_state(self) -> dict[str, list[Tensor]]:
        return dict(self._kept)

    @override
    def set_extra_state(self, state: Mapping[str, list[Tensor]]) -> None:
        self._kept = dict(state)


class LSTM(nn.Module):
    """Recurrent layers over time, then a linear layer on their output at the last step.

    The hidden state is kept from one call to the next until ``reset_state()``, so the windows of a
    batch, one after the other, give what the whole series would. Inputs should be of the order of
    one: they are not standardised here, as the windows of a batch would be so differently; the
    preprocessor ``standard_scaler`` does it.

    Args:
        input_shape: Shape of one window: ``(time, channels)`` or ``(time,)``.
        num_outputs: Size of the output.
        cell: ``"lstm"`` or ``"gru"``.
        hidden: Units of each recurrent layer.
        num_layers: How many recurrent layers there are.
        dropout: Fraction of units that are dropped in training after each recurrent layer.
        stateful: Whether the hidden state is kept from one call to the next.

    Raises:
        ConfigError: If ``input_shape`` is that of no series, or there is no such cell.

    Example:
        >>> import torch
        >>> LSTM((20, 3), 10)(torch.zeros(4, 20, 3)).shape
        torch.Size([4, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        cell: str = "lstm",
        hidden: int = 64,
        num_layers: int = 1,
        dropout: float = 0.2,
        stateful: bool = True,
    ) -> None:
        super().__init__()
        if len(input_shape) not in (1, 2):
            problem = "Expected samples of shape (time, channels) or (time,) for an LSTM"
            got = f"but got {tuple(input_shape)}"
            raise ConfigError(f"{problem}, {got}. Use model=mlp, or reshape the shards.")
        if cell not in _CELLS:
            problem = f"Expected `cell` to be a kind of recurrent layer, but got {cell!r}."
            raise ConfigError(f"{problem} {suggest(cell, _CELLS)}")
        self._has_channels = len(input_shape) == 2
        between: dict[str, Any] = {"dropout": dropout} if num_layers > 1 else {}
        channels = input_shape[1] if self._has_channels else 1
        self.layers = _CELLS[cell](channels, hidden, num_layers, batch_first=True, **between)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, num_outputs))
        self.state = HiddenState() if stateful else None

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        """Map ``(batch, *input_shape)`` to ``(batch, num_outputs)``."""
        series = inputs if self._has_channels else inputs.unsqueeze(-1)
        before = None if self.state is None else self.state.recall(series)
        is_lstm = isinstance(self.layers, nn.LSTM)
        outputs, after = self.layers(series, before[0] if before and not is_lstm else before)
        if self.state is not None:
            self.state.keep(*(after if is_lstm else (after,)))
        scores: Tensor = self.head(outputs[:, -1])
        return scores

    def reset_state(self) -> None:
        """Forget the hidden state of the present mode, training or evaluation."""
        if self.state is not None:
            self.state.reset_state()
