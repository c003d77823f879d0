"""How much a network may take that a file describes: not more than its weights explain."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from leyden.errors import DataError

__all__ = ["Allowance"]

_OTHERS = 1 << 30  # bytes of what is no weight, such as tables of metrics
_LEAST = 1 << 16  # bytes that the smallest tensor counts for, as its module takes memory too
_MAKERS: frozenset[Callable[..., Any]] = frozenset(
    {
        *(torch.arange, torch.empty, torch.empty_strided, torch.eye, torch.full, torch.linspace),
        *(torch.logspace, torch.ones, torch.rand, torch.randint, torch.randn, torch.randperm),
        *(torch.zeros, Tensor.new_empty, Tensor.new_full, Tensor.new_ones, Tensor.new_zeros),
    }
)


class Allowance(TorchFunctionMode):
    """Refuse tensors, before they take memory, that are larger than what is known of a model.

    Args:
        weights: All that is to be loaded into the model.

    Raises:
        DataError: Within it, if twice the weights, and as much again as tables of metrics may take,
            would be exceeded.

    Example:
        >>> with Allowance({"weight": torch.zeros(3)}):
        ...     made = torch.ones(3)
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._size = sum(weight.nbytes for weight in weights.values())
        self._left = 2 * sum(map(_count, weights.values())) + _OTHERS

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _MAKERS and "out" not in given:
            shape = {name: value for name, value in given.items() if name != "generator"}
            # On this device, tensors have sizes and no memory.
            self._take(func(*args, **{**shape, "device": "meta", "pin_memory": False}))
        return func(*args, **given)

    def _take(self, tensor: Tensor) -> None:
        self._left -= _count(tensor)
        if self._left < 0:
            problem = f"Expected a network that takes the {self._size:,} bytes of the weights"
            remedy = "Do not use the file."
            raise DataError(f"{problem}, but one is described that takes far more. {remedy}")


def _count(tensor: Tensor) -> int:
    return max(tensor.nbytes, _LEAST)
