"""A step made once more, to see where it breaks."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from leyden.errors import ConfigError
from leyden.incidents.rows import bad_rows_of, tensors_of
from leyden.incidents.step_start import restore_start
from leyden.introspect import (
    NonFinite,
    find_layers,
    find_nonfinite,
    find_nonfinite_tensor,
    is_mask,
    untouched,
)
from leyden.introspect.look import watching
from leyden.introspect.step import TALKS, say_nothing

__all__ = ["Examination", "examine", "loss_of_step", "statistics_of"]

_STATISTICS = ("num_nonfinite", "mean", "std", "max")


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found when a step was made once more.

    Args:
        loss: Its loss, ``()``, in main memory.
        findings: The first tensor with a value that is not finite, in the forward pass, and if
            there is none in the gradients; then the first such output of a layer, if that is
            another one. Empty if all are finite.
        rows: Rows in which that output is not finite.
        activations: What each layer returned: ``num_nonfinite``, and of the finite values ``mean``,
            ``std`` and ``max``, the largest magnitude.
    """

    loss: Tensor
    findings: tuple[NonFinite, ...]
    rows: tuple[int, ...] = ()
    activations: dict[str, dict[str, float]] = field(default_factory=dict)


def examine(
    module: LightningModule,
    arguments: tuple[Any, ...],
    start: Mapping[str, Any],
    *,
    context: AbstractContextManager[Any] | None = None,
) -> Examination:
    """Make a step once more, and leave everything as it is.

    Args:
        module: The module, with the weights from before the step.
        arguments: What ``training_step`` is called with, the batch first.
        start: What `StepStart.state` returned when the step began.
        context: What the forward pass is made in, such as the one of mixed precision.

    Returns:
        What was found.

    Raises:
        ConfigError: If the step computes no loss.
    """
    seen = _Seen()
    trained = [(one, one.requires_grad) for one in module.parameters()]

    def loss_of(model: Any, _batch: Any) -> Tensor:
        try:
            with context or nullcontext(), watching(find_layers(model), seen.see):
                loss = loss_of_step(model, arguments)
        finally:
            for parameter, requires_grad in trained:  # the step may have been left half-way
                parameter.requires_grad = requires_grad
        seen.loss = loss.detach().to("cpu", copy=True).reshape(())
        return loss

    with untouched(module):
        restore_start(module, start)
        # The batch is only looked at: the step takes its own arguments.
        first = find_nonfinite(module, arguments[0], loss=loss_of)
    assert seen.loss is not None  # noqa: S101 - find_nonfinite has asked for it
    findings = () if first is None else tuple(dict.fromkeys([first, *seen.outputs]))
    return Examination(seen.loss, findings, tuple(seen.rows), seen.activations())


def loss_of_step(module: Any, arguments: tuple[Any, ...]) -> Tensor:
    """Compute the loss of a step with its graph; nobody hears of it, and nothing is updated.

    Args:
        module: The module. If it optimizes by itself, it is left at its first ``manual_backward``.
        arguments: What ``training_step`` is called with.

    Returns:
        The loss, ``()``.

    Raises:
        ConfigError: If there is none.
    """
    with _replaced(module, dict.fromkeys(TALKS, say_nothing)):
        if module.automatic_optimization:
            result = module.training_step(*arguments)
        else:
            result = _first_loss(module, arguments)
    loss = result.get("loss") if isinstance(result, Mapping) else result
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ConfigError(
            f"Expected `training_step` of {type(module).__name__} to return a loss, but got "
            f"{type(loss).__name__}."
        )
    return loss.reshape(())


def statistics_of(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Describe tensors by a few numbers, with one transfer to main memory.

    Args:
        tensors: Tensors of any shapes by name.

    Returns:
        For each with values: ``num_nonfinite``, and of the finite values ``mean``, ``std`` and
        ``max``, the largest magnitude.

    Example:
        >>> statistics_of({"bias": torch.tensor([1.0, -3.0, torch.nan])})
        {'bias': {'num_nonfinite': 1.0, 'mean': -1.0, 'std': 2.0, 'max': 3.0}}
    """
    numbers = {name: _numbers(one) for name, one in tensors.items() if one.numel()}
    if not numbers:
        return {}
    device = next(iter(numbers.values())).device
    rows = torch.stack([one.to(device) for one in numbers.values()]).tolist()
    return {
        name: dict(zip(_STATISTICS, row, strict=True))
        for name, row in zip(numbers, rows, strict=True)
    }


@torch.no_grad()
def _numbers(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    values = (tensor.coalesce().values() if tensor.is_sparse else tensor).flatten()
    values = (values.abs() if values.is_complex() else values).float()
    is_finite = torch.isfinite(values)
    count = is_finite.sum().clamp(min=1)
    # A mask in place of a selection, for whose length one would have to wait.
    values = torch.where(is_finite, values, 0.0)
    mean = values.sum() / count
    spread = torch.where(is_finite, values - mean, 0.0).square().sum() / count
    return torch.stack([(~is_finite).sum().float(), mean, spread.sqrt(), values.abs().max()])


class _Seen:
    """What layers return during a step."""

    def __init__(self) -> None:
        self.loss: Tensor | None = None
        self.rows: list[int] = []
        self.outputs: list[NonFinite] = []  # the first one that is not finite
        self._suspect: tuple[list[NonFinite], list[int]] | None = None
        self._numbers: dict[str, Tensor] = {}

    def activations(self) -> dict[str, dict[str, float]]:
        return {
            name: dict(zip(_STATISTICS, numbers.tolist(), strict=True))
            for name, numbers in self._numbers.items()
        }

    def see(self, name: str, _layer: nn.Module, output: Any) -> None:
        for _, tensor in tensors_of(output):
            if tensor.is_floating_point() and tensor.numel():
                self._numbers[name] = _numbers(tensor)
                if not self.outputs:
                    self._look_for_the_first(name, tensor)

    def _look_for_the_first(self, name: str, tensor: Tensor) -> None:
        """Keep the first output that is broken, or -Inf of which something later breaks."""
        found = find_nonfinite_tensor("output", {name: tensor})
        here = None if found is None else ([found], bad_rows_of(tensor))
        if find_nonfinite_tensor("output", {name: tensor}, with_masks=True) is not None:
            self.outputs, self.rows = self._suspect or here or ([], [])
        elif here is None:
            self._suspect = None  # what was -Inf before it did no harm
        elif not is_mask(tensor):
            self._suspect = self._suspect or here


class _ReachedError(Exception):
    """Ends a step at its first loss.

    Args:
        loss: The loss.
    """

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss


def _first_loss(module: Any, arguments: tuple[Any, ...]) -> Any:
    def manual_backward(loss: Any, *_args: Any, **_options: Any) -> None:
        raise _ReachedError(loss)

    with _replaced(module, {"manual_backward": manual_backward}):
        try:
            module.training_step(*arguments)
        except _ReachedError as reached:
            return reached.loss
    return None


@contextmanager
def _replaced(module: nn.Module, methods: Mapping[str, Any]) -> Iterator[None]:
    """Have other methods stand in for those of a module."""
    own = vars(module)
    names = [name for name in methods if callable(getattr(module, name, None))]
    before = {name: own[name] for name in names if name in own}
    own.update({name: methods[name] for name in names})
    try:
        yield
    finally:
        for name in names:
            del own[name]
        own.update(before)
