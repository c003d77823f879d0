"""What modules remember in plain attributes: a hidden state, outputs gathered for later ..."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

__all__ = ["changed_attributes", "plain_attributes", "restore_attributes"]

_MISSING = object()


def plain_attributes(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Copy the plain values that a module and its parts hold beside weights and buffers.

    Args:
        module: Any module. Metrics among its parts are left out.

    Returns:
        For each part, its attributes that are tensors, numbers, strings, or containers of those.
    """
    return {
        name: _of(part) for name, part in module.named_modules() if not isinstance(part, Metric)
    }


def changed_attributes(
    module: nn.Module, before: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Copy those that are not what they were.

    Args:
        module: The module.
        before: What `plain_attributes` returned before the training.

    Returns:
        Only parts with changes, and of these only what changed.
    """
    changed = {
        name: {
            key: value
            for key, value in values.items()
            if not _same(value, before.get(name, {}).get(key, _MISSING))
        }
        for name, values in plain_attributes(module).items()
    }
    return {name: values for name, values in changed.items() if values}


def restore_attributes(module: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Have a module hold what it held.

    Args:
        module: The module, where the training will be.
        attributes: What `changed_attributes` returned.
    """
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    parts = dict(module.named_modules())
    for name, values in attributes.items():
        for key, value in values.items():
            setattr(parts[name], key, _copy(value, device))


def _of(part: nn.Module) -> dict[str, Any]:
    return {
        key: _copy(value)
        for key, value in vars(part).items()
        if not key.startswith("_") and key != "training" and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(_is_plain(part) for part in value)
    if type(value) is dict:
        return all(isinstance(key, str | int) and _is_plain(one) for key, one in value.items())
    return value is None or type(value) in (bool, int, float, str, Tensor)


def _copy(value: Any, device: torch.device | None = None) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to(device or value.device, copy=True)
    if isinstance(value, list | tuple):
        return type(value)(_copy(part, device) for part in value)
    if isinstance(value, dict):
        return {key: _copy(part, device) for key, part in value.items()}
    return value


def _same(first: Any, second: Any) -> bool:
    if type(first) is not type(second):
        return False
    if isinstance(first, Tensor):
        return first.device == second.device and torch.equal(first, second)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    return bool(first == second)
