"""A step of a model, made for the sake of its gradients."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from leyden.errors import ConfigError, DataError
from leyden.introspect.untouched import untouched

__all__ = [
    "TALKS",
    "Loss",
    "call",
    "compute_loss",
    "first_tensor",
    "say_nothing",
    "stepping",
    "to_device",
]

Loss: TypeAlias = Callable[[Any, Any], Tensor]
"""Called as ``loss(model, batch)``; returns a scalar with its graph."""

TALKS = ("log", "log_dict", "record")
"""Methods by which a step tells others."""


@contextmanager
def stepping(model: nn.Module, *, training: bool | None) -> Iterator[None]:
    """Have a model make steps that nobody hears of, and put it back afterwards.

    Args:
        model: The model; what it logs is dropped.
        training: In training mode or not; as it is if ``None``.
    """
    with untouched(model):
        for name in TALKS:
            if callable(getattr(model, name, None)):
                vars(model)[name] = say_nothing
        if training is not None:
            model.train(training)
        # cuDNN has no gradients for recurrent layers in evaluation mode.
        is_quick = torch.backends.cudnn.enabled and not _has_idle_recurrence(model)
        with (
            torch.backends.cudnn.flags(enabled=is_quick),
            torch.inference_mode(mode=False),
            torch.enable_grad(),
        ):
            yield


def compute_loss(model: nn.Module, batch: Any, loss: Loss | None, index: int = 0) -> Tensor:
    """Compute the loss of a batch.

    Args:
        model: The model.
        batch: A batch on the model's device.
        loss: How; by the model's own ``training_step`` if ``None``.
        index: Place of the batch in its epoch, from zero.

    Returns:
        The loss with its graph, ``()``.

    Raises:
        ConfigError: If there is no telling how.
        DataError: If there is no loss, or not a single number.
    """
    found = loss(model, batch) if loss is not None else _step(model, batch, index)
    if isinstance(found, Mapping):
        found = found.get("loss")
    if not isinstance(found, Tensor) or found.numel() != 1:
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else repr(found)
        raise DataError(f"Expected the loss to be a tensor with one number, but got {got}.")
    return found.reshape(())


def to_device(batch: Any, model: nn.Module) -> Any:
    """Move the tensors of a batch to where the model's parameters are.

    Args:
        batch: A tensor, or tensors in dictionaries, lists and tuples.
        model: The model.
    """
    first = next(model.parameters(), None)
    return batch if first is None else _move(batch, first.device)


def call(model: nn.Module, inputs: Any) -> Any:
    """Call a model.

    Args:
        model: The model.
        inputs: A tensor, or its arguments in a tuple or a dictionary.

    Returns:
        What it returns.
    """
    inputs = to_device(inputs, model)
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def first_tensor(output: Any) -> Tensor | None:
    """Find the first tensor of what a layer returns.

    Args:
        output: A tensor, or tensors in dictionaries, lists and tuples.
    """
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, Mapping) else output
    if isinstance(output, Mapping | list | tuple):
        found = (first_tensor(part) for part in parts)
        return next((one for one in found if one is not None), None)
    return None


def _step(model: Any, batch: Any, index: int) -> Any:
    step = getattr(model, "training_step", None)
    if step is None:
        problem = "Expected `loss` to say how the loss of a batch is computed, but got None"
        raise ConfigError(
            f"{problem} for a model without `training_step`. "
            "Pass `loss=lambda model, batch: ...`, which returns a scalar."
        )
    names = list(inspect.signature(step).parameters)
    if not getattr(model, "automatic_optimization", True) or "dataloader_iter" in names:
        problem = "Expected `loss` to say how the loss of a batch is computed, but got None"
        raise ConfigError(
            f"{problem} for a model whose `training_step` makes optimizer steps or takes batches "
            "itself. Pass `loss=lambda model, batch: ...`, which returns a scalar."
        )
    return step(batch, index) if len(names) > 1 else step(batch)


def say_nothing(*_args: Any, **_options: Any) -> None:
    """Stand for a method that logs."""


def _has_idle_recurrence(model: nn.Module) -> bool:
    return any(isinstance(part, nn.RNNBase) and not part.training for part in model.modules())


def _move(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _move(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_move(part, device) for part in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(_move(part, device) for part in batch)
    return batch
