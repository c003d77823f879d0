"""What a training changes besides weights and buffers.

Modules remember things in plain attributes, and in those of objects that they hold: a hidden state,
outputs gathered for later, averages of weights ... So do data modules and optimizers of a project.
Callbacks freeze parameters and let them go, and change settings of the trainer. What is as it was
before the training is left to the project, which may have changed since.
"""

import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torchmetrics import Metric

from leyden.resume.hidden import Hidden
from leyden.resume.holders import CALLBACK, Holders, find_holders, own_attributes, roots_of
from leyden.resume.values import copied, is_plain, put, same

__all__ = ["Baseline"]

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
        attributes: Plain attributes of the module, its parts, and others, by their owners' names.
        hidden: Modules that the module holds and that are not among its parts.
        is_trained: Whether a parameter is, by its name.
        settings: Of the trainer.
    """

    attributes: Mapping[str, Mapping[str, Any]]
    hidden: Hidden
    is_trained: Mapping[str, bool]
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, trainer: Trainer, module: nn.Module) -> "Baseline":
        """Note how things are."""
        found = find_holders(roots_of(trainer, module))
        return cls(
            _plain_attributes(found), Hidden.of(found), _is_trained(module), _settings(trainer)
        )

    def changes(self, trainer: Trainer, module: nn.Module) -> dict[str, Any]:
        """Copy what is not as it was.

        Args:
            trainer: The trainer.
            module: Its module.

        Returns:
            Plain values, for `restore`.
        """
        found = find_holders(roots_of(trainer, module))
        return {
            "attributes": _changed_attributes(_plain_attributes(found), self.attributes),
            "hidden": self.hidden.changes(found, trainer),
            "is_trained": _changed(_is_trained(module), self.is_trained),
            "settings": _changed(_settings(trainer), self.settings),
        }

    def restore(self, trainer: Trainer, module: nn.Module, changes: Mapping[str, Any]) -> None:
        """Change again what a training had changed, and have the rest as it was before.

        Args:
            trainer: The trainer.
            module: Its module.
            changes: What `changes` returned, perhaps in another process.
        """
        for name, value in {**self.settings, **changes["settings"]}.items():
            setattr(trainer, name, value)
        parameters = dict(module.named_parameters())
        for name, value in {**self.is_trained, **changes["is_trained"]}.items():
            if name in parameters:
                parameters[name].requires_grad = value
        names = {*self.attributes, *changes["attributes"]}
        values = {
            name: {**self.attributes.get(name, {}), **changes["attributes"].get(name, {})}
            for name in names
        }
        missing = _restore_attributes(trainer, module, values)
        missing |= self.hidden.restore(find_holders(roots_of(trainer, module)), changes["hidden"])
        if gone := sorted(missing & {*changes["attributes"], *changes["hidden"]["weights"]}):
            warnings.warn(
                f"Objects that the run had are not there, so that it will differ: "
                f"{', '.join(gone)}. Make them where the module or data module is made.",
                stacklevel=2,
            )


def _settings(trainer: Trainer) -> dict[str, Any]:
    return {name: getattr(trainer, name) for name in _SETTINGS}


def _is_trained(module: nn.Module) -> dict[str, bool]:
    return {name: one.requires_grad for name, one in module.named_parameters()}


def _changed(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in now.items() if value != before.get(name, _MISSING)}


def _plain_attributes(found: Holders) -> dict[str, dict[str, Any]]:
    """Copy attributes that are tensors, numbers, strings, or containers of those, of each owner.

    Metrics among the owners are left out. Of callbacks, whose state is what they say it is, only
    averages of weights are taken, which many keep to themselves; of data modules all but lists, in
    which people write down what has passed.
    """
    held = {id(owner) for owner in found.owners.values()}
    return {
        name: {
            key: copied(value)
            for key, value in own_attributes(owner).items()
            if id(value) not in held and _is_kept(name, value)
        }
        for name, owner in found.owners.items()
        if not isinstance(owner, Metric)
    }


def _is_kept(owner: str, value: Any) -> bool:
    if owner.startswith(CALLBACK):
        return _is_weights(value)
    return is_plain(value) and not (owner == "datamodule" and type(value) in (list, deque))


def _is_weights(value: Any) -> bool:
    some = value.values() if type(value) is dict else [value]
    return is_plain(value) and len(some) > 0 and all(type(one) is Tensor for one in some)


def _changed_attributes(
    now: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Those that are not what they were: owners with changes, and of these what changed."""
    changed = {
        name: {
            key: value
            for key, value in values.items()
            if not same(value, before.get(name, {}).get(key, _MISSING))
        }
        for name, values in now.items()
    }
    return {name: values for name, values in changed.items() if values}


def _restore_attributes(
    trainer: Trainer, module: nn.Module, attributes: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """Have all owners hold what they held; return the names of those that are not there."""
    missing = set(attributes)
    for _ in range(2):  # some are there only after what holds them was restored
        found = find_holders(roots_of(trainer, module))
        weights = _storages(module.state_dict().values())
        for name in [name for name in found.owners if name in missing]:
            missing.discard(name)
            _give(found.owners[name], attributes[name], weights, module)
        if not missing:
            break
    return missing


def _give(owner: Any, values: Mapping[str, Any], weights: set[int], module: nn.Module) -> None:
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    is_part = isinstance(owner, nn.Module)
    now = own_attributes(owner)
    trained = dict(owner.named_parameters(recurse=False)) if is_part else {}
    for key, value in values.items():
        if key in trained:  # such as a pruned one
            continue
        current = now.get(key, _MISSING)
        if same(value, current):
            continue
        new = put(value, current, device, lambda one: not _storages([one]) & weights)
        if new is not current:
            (setattr if is_part else object.__setattr__)(owner, key, new)


def _storages(tensors: Iterable[Any]) -> set[int]:
    return {one.untyped_storage().data_ptr() for one in tensors if isinstance(one, Tensor)}
