"""What hooks at the start of a training do to a state that has been loaded already.

Many have a module begin in ``on_fit_start`` or ``on_train_start``: a teacher gets the weights of
its student, a count is set to zero. A run that goes on is past that.
"""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from leyden.resume.holders import is_of_library
from leyden.resume.rank_state import callbacks_of
from leyden.resume.values import is_plain, same

__all__ = ["Started"]


class Started:
    """The state that a training starts with, to be put back once its hooks have been called.

    Args:
        module: With the weights that were loaded.
        parts: Of the checkpoint, those named in `PARTS`.
    """

    PARTS: ClassVar = ("optimizer_states", "lr_schedulers", "callbacks")

    def __init__(self, module: nn.Module, parts: Mapping[str, Any]) -> None:
        self._weights = {
            name: one.detach().to("cpu", copy=True) for name, one in _weights(module).items()
        }
        self._parts = parts

    def restore(self, trainer: Trainer, module: LightningModule) -> None:
        """Put it back.

        Args:
            trainer: The trainer, with its optimizers.
            module: Its module.
        """
        with torch.no_grad():
            for name, one in _weights(module).items():
                if name in self._weights and self._weights[name].shape == one.shape:
                    one.copy_(self._weights[name])
        optimizers = zip(trainer.optimizers, self._parts["optimizer_states"] or [], strict=False)
        for optimizer, state in optimizers:
            for group, before in zip(optimizer.param_groups, state["param_groups"], strict=False):
                group.update({key: before[key] for key in before if key != "params"})
        schedules = zip(
            trainer.lr_scheduler_configs, self._parts["lr_schedulers"] or [], strict=False
        )
        for config, state in schedules:
            config.scheduler.load_state_dict(copy.deepcopy(state))
        self._restore_callbacks(trainer)

    def _restore_callbacks(self, trainer: Trainer) -> None:
        states = self._parts["callbacks"] or {}
        for callback in callbacks_of(trainer):
            state = states.get(callback.state_key)
            if state is None or is_of_library(type(callback)):
                continue
            now = callback.state_dict()
            if not is_plain(now) or not same(now, state):
                callback.load_state_dict(copy.deepcopy(state))


def _weights(module: nn.Module) -> dict[str, Tensor]:
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: one for name, one in named if not nn.parameter.is_lazy(one)}
