"""Modules that a module holds in a list or in an object, and that no checkpoint has therefore.

People keep averages of weights so, and teachers. So it is with optimizers and schedules that the
trainer does not know of.
"""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from leyden.errors import ResumeError
from leyden.resume.checkpoints.plain import as_plain
from leyden.resume.holders import Holders
from leyden.resume.metrics import metric_states, restore_metric_states

__all__ = ["Hidden"]


@dataclass(frozen=True, slots=True)
class Hidden:
    """How hidden modules were before the training, of which one that stays so is not kept.

    Args:
        weights: A digest of each weight and buffer, by the names of module and weight.
    """

    weights: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, found: Holders) -> "Hidden":
        """Note how they are."""
        return cls(
            {
                name: {key: _digest(value) for key, value in _weights(one).items()}
                for name, one in found.hidden.items()
            }
        )

    def changes(self, found: Holders, trainer: Trainer) -> dict[str, Any]:
        """Copy what is not as it was.

        Args:
            found: What holds something now.
            trainer: The trainer, which sees to its own optimizers and schedules.

        Returns:
            Plain values, for `restore`.
        """
        known = {id(one) for one in trainer.optimizers}
        known |= {id(one.scheduler) for one in trainer.lr_scheduler_configs}
        weights = {name: self._changed(name, one) for name, one in found.hidden.items()}
        states = {name: _state(one) for name, one in found.stateful.items() if id(one) not in known}
        return {
            "weights": {name: some for name, some in weights.items() if some},
            "metrics": {name: metric_states(one) for name, one in found.hidden.items()},
            "states": {name: state for name, state in states.items() if state is not None},
        }

    def restore(self, found: Holders, changes: Mapping[str, Any]) -> set[str]:
        """Have them be as they were.

        Args:
            found: What holds something now.
            changes: What `changes` returned, perhaps in another process.

        Returns:
            Names of modules that are not there.
        """
        for name, some in changes["weights"].items():
            there = _weights(found.hidden[name]) if name in found.hidden else {}
            with torch.no_grad():
                for key in some.keys() & there.keys():
                    there[key].copy_(some[key])
        for name, state in changes["metrics"].items():
            if name in found.hidden:
                restore_metric_states(found.hidden[name], state)
        for name, state in changes["states"].items():
            if name in found.stateful:
                found.stateful[name].load_state_dict(copy.deepcopy(state))
        return set(changes["weights"]) - set(found.hidden)

    def _changed(self, name: str, module: nn.Module) -> dict[str, Tensor]:
        now = _weights(module)
        if {key: _digest(value) for key, value in now.items()} == self.weights.get(name):
            return {}
        return {key: value.detach().clone() for key, value in now.items()}


def _weights(module: nn.Module) -> dict[str, Tensor]:
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: one for name, one in named if not nn.parameter.is_lazy(one)}


def _digest(value: Tensor) -> str:
    """A digest of the bits of a tensor, wherever it is."""
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(content.numpy().data).hexdigest()


def _state(one: Any) -> Any:
    """What an object says of itself, if a checkpoint can hold it."""
    state = copy.deepcopy(one.state_dict())
    try:
        as_plain({"state": state})
    except ResumeError:
        return None
    return state
