"""What a training changes besides weights and buffers.

Modules remember things in plain attributes, and in those of objects that they hold: a hidden state,
outputs gathered for later, averages of weights ...
Callbacks freeze parameters and let them go, and change settings of the trainer. What is as it was
before the training is left to the project, which may have changed since.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from sysconfig import get_paths
from types import FunctionType, ModuleType
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torchmetrics import Metric

from leyden.resume.values import copied, is_plain, same

__all__ = ["Baseline", "restore_changes"]

_MISSING = object()
_NOT_ITS_OWN = frozenset(vars(LightningModule())) | {"training"}  # which Lightning sees to
_NO_HELPERS = (  # they are looked after elsewhere, or hold the data
    *(nn.Module, Callback, LightningDataModule, Dataset, Sampler, DataLoader),
    *(type, ModuleType, FunctionType),
)
_LIBRARIES = tuple(get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))

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
            if not same(value, before.get(name, {}).get(key, _MISSING))
        }
        for name, values in _plain_attributes(module).items()
    }
    return {name: values for name, values in changed.items() if values}


def _restore_attributes(module: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Have a module hold what it held."""
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    parts = dict(module.named_modules())
    for name, values in attributes.items():
        helpers = _helpers(parts[name])
        for key, value in values.items():
            if key in dict(parts[name].named_parameters(recurse=False)):  # such as a pruned one
                continue
            owner, _, attribute = key.rpartition(".")
            if not owner:
                setattr(parts[name], attribute, copied(value, device))
            elif owner in helpers:  # else it is made later
                vars(helpers[owner])[attribute] = copied(value, device)


def _of(part: nn.Module) -> dict[str, Any]:
    return {
        f"{owner}.{key}".removeprefix("."): copied(value)
        for owner, helper in _helpers(part).items()
        for key, value in vars(helper).items()
        if key not in _NOT_ITS_OWN and is_plain(value)
    }


def _helpers(part: nn.Module) -> dict[str, Any]:
    """Objects of the user's classes that a part holds, by their attribute's name; and the part."""
    found: dict[str, Any] = {"": part}
    for key, value in vars(part).items():
        is_own = key not in _NOT_ITS_OWN and hasattr(value, "__dict__")
        if is_own and not isinstance(value, _NO_HELPERS) and not _is_of_library(type(value)):
            found[key] = value
    return found


def _is_of_library(kind: type) -> bool:
    """Whether a class is not of the user's project, which a notebook may be."""
    name = kind.__module__
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    is_project = name == "__main__" or (file != "" and not file.startswith(_LIBRARIES))
    return not is_project or name.partition(".")[0] == "leyden"
