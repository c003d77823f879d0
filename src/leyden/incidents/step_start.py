"""What a step changes before its loss is known, as it was when the step began."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_map_only

from leyden.generators import global_state, restore_global_state
from leyden.lifecycle import stateful_parts
from leyden.resume.own_generators import own_generator_states, restore_own_generators

__all__ = ["StepStart", "carries_gradients", "restore_start"]

_FEW = 16  # members of a container of hidden states


class StepStart:
    """Notes, at the start of each step, what the step will change before its loss is known.

    These are random generators, buffers such as the running means of batch normalisation, hidden
    states of recurrent parts, and, where gradients are accumulated, the gradients so far. Weights
    and the state of optimizers are not among them: until the optimizer's step they are what they
    were.

    Args:
        module: The module, on its device, when the training starts.
    """

    def __init__(self, module: LightningModule) -> None:
        self._module = module
        self._buffered = [
            (name, part)
            for name, part in module.named_modules()
            if next(part.named_buffers(recurse=False), None) is not None
        ]
        names = {id(part): name for name, part in module.named_modules()}
        self._stateful = {"": module} | {names[id(one)]: one for one in stateful_parts(module)}
        self._extra = {
            name: part
            for name, part in module.named_modules()
            if type(part).get_extra_state is not nn.Module.get_extra_state
        }
        self._has_generators = bool(own_generator_states(module, []))
        self._state: dict[str, Any] = {}

    def note(self, *, gradients: bool) -> None:
        """Note how things are; the notes of the step before are dropped.

        Args:
            gradients: Whether the gradients so far count.
        """
        module = self._module
        self._state = {
            "generators": global_state(),
            "own_generators": own_generator_states(module, []) if self._has_generators else {},
            "buffers": self._buffers(),
            "attributes": {name: _attributes(part) for name, part in self._stateful.items()},
            "extra": {name: _copied(part.get_extra_state()) for name, part in self._extra.items()},
            "gradients": _gradients(module) if gradients else {},
        }

    def state(self) -> dict[str, Any]:
        """Give what was noted, and the modes of training and evaluation, for `restore_start`."""
        modes = {name: part.training for name, part in self._module.named_modules()}
        return {**self._state, "modes": modes}

    def _buffers(self) -> dict[str, Tensor]:
        return {
            f"{owner}.{name}" if owner else name: buffer.detach().clone()
            for owner, part in self._buffered
            for name, buffer in part.named_buffers(recurse=False)
            if not is_lazy(buffer)  # it gets its shape in this step
        }


def carries_gradients(trainer: Trainer, batch_index: int) -> bool:
    """Say whether the gradients that are there before a step count in it.

    Else they are those of the step before, and are about to be dropped.

    Args:
        trainer: The trainer.
        batch_index: The place of the batch in its epoch.
    """
    is_first = batch_index % trainer.accumulate_grad_batches == 0
    return not (trainer.lightning_module.automatic_optimization and is_first)


@torch.no_grad()
def restore_start(module: LightningModule, state: Mapping[str, Any]) -> None:
    """Put back what was noted: the module and the global generators are as the step found them.

    Args:
        module: The module, with the weights of then.
        state: What ``StepStart.state`` returned, perhaps in another process.
    """
    parts = dict(module.named_modules())
    for name, mode in state["modes"].items():
        parts[name].training = mode
    buffers = dict(module.named_buffers())
    for name, value in state["buffers"].items():
        if name in buffers and buffers[name].shape == value.shape:
            buffers[name].copy_(value)
        else:  # it was None when the module was made
            owner, _, key = name.rpartition(".")
            setattr(module.get_submodule(owner), key, value.to(module.device, copy=True))
    for name, values in state["attributes"].items():
        for key, value in values.items():
            setattr(parts[name], key, _copied(value, module.device))
    for name, value in state["extra"].items():
        parts[name].set_extra_state(_copied(value, module.device))
    for name, parameter in module.named_parameters():
        noted = state["gradients"].get(name)
        parameter.grad = None if noted is None else noted.to(parameter.device, copy=True)
    restore_own_generators(module, [], state["own_generators"])
    restore_global_state(state["generators"])  # last: all of the above may draw


def _attributes(part: nn.Module) -> dict[str, Any]:
    """Numbers, tensors and short lists of tensors that a part keeps in plain attributes."""
    return {
        name: _copied(value)
        for name, value in vars(part).items()
        if not name.startswith("_") and name != "training" and _is_state(value)
    }


def _is_state(value: Any) -> bool:
    if type(value) in (list, tuple):
        return 0 < len(value) <= _FEW and all(isinstance(one, Tensor) for one in value)
    return type(value) in (bool, int, float, Tensor)


def _copied(value: Any, device: torch.device | None = None) -> Any:
    def copy(tensor: Tensor) -> Tensor:
        return tensor.detach().to(device or tensor.device, copy=True)

    if isinstance(value, Tensor):
        return copy(value)
    is_plain = isinstance(value, bool | int | float)  # as most are, at every step
    return value if is_plain else tree_map_only(Tensor, copy, value)


def _gradients(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.detach().clone()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
