"""What a training changes besides weights and buffers.

Modules remember things in plain attributes: a hidden state, outputs gathered for later ...
Callbacks freeze parameters and let them go, and change settings of the trainer. What is as it was
before the training is left to the project, which may have changed since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torchmetrics import Metric

__all__ = ["Baseline", "restore_changes"]

_MISSING = object()


_SETTINGS = (  # of the trainer, that callbacks change
    "accumulate_grad_batches",
    "check_val_every_n_epoch",
    "gradient_clip_algorithm",
    "gradient_clip_val",
    "log_every_n_steps",
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """How things were before the training.

    Args:
        attributes: Plain attributes of a module and its parts.
        is_trained: Whether a parameter is, by its name.
        settings: Of the trainer.
    """

    attributes: Mapping[str, Mapping[str, Any]]
    is_trained: Mapping[str, bool]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, trainer: Trainer, module: nn.Module) -> "Baseline":
        """Note how things are."""
        return cls(_plain_attributes(module), _is_trained(module), _settings(trainer))

    def changes(self, trainer: Trainer, module: nn.Module) -> dict[str, Any]:
        """Copy what is not as it was.

        Args:
            trainer: The trainer.
            module: Its module.

        Returns:
            Plain values, for `restore_changes`.
        """
        return {
            "attributes": _changed_attributes(module, self.attributes),
            "is_trained": _changed(_is_trained(module), self.is_trained),
            "settings": _changed(_settings(trainer), self.settings),
        }


def restore_changes(trainer: Trainer, module: nn.Module, changes: Mapping[str, Any]) -> None:
    """Change again what a training had changed.

    Args:
        trainer: The trainer.
        module: Its module.
        changes: What `Baseline.changes` returned.
    """
    for name, value in changes["settings"].items():
        setattr(trainer, name, value)
    parameters = dict(module.named_parameters())
    for name, value in changes["is_trained"].items():
        if name in parameters:
            parameters[name].requires_grad = value
    _restore_attributes(module, changes["attributes"])


def _settings(trainer: Trainer) -> dict[str, Any]:
    return {name: getattr(trainer, name) for name in _SETTINGS}


def _is_trained(module: nn.Module) -> dict[str, bool]:
    return {name: one.requires_grad for name, one in module.named_parameters()}


def _changed(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in now.items() if value != before.get(name, _MISSING)}


def _plain_attributes(module: nn.Module) -> dict[str, dict[str, Any]]:
    """Copy attributes that are tensors, numbers, strings, or containers of those, of each part.

    Metrics among the parts are left out.
    """
    return {
        name: _of(part) for name, part in module.named_modules() if not isinstance(part, Metric)
    }


def _changed_attributes(
    module: nn.Module, before: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Copy those that are not what they were: parts with changes, and of these what changed."""
    changed = {
        name: {
            key: value
            for key, value in values.items()
            if not _same(value, before.get(name, {}).get(key, _MISSING))
        }
        for name, values in _plain_attributes(module).items()
    }
    return {name: values for name, values in changed.items() if values}


def _restore_attributes(module: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Have a module hold what it held."""
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    parts = dict(module.named_modules())
    for name, values in attributes.items():
        for key, value in values.items():
            if key not in dict(parts[name].named_parameters(recurse=False)):  # such as a pruned one
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
