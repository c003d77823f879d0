"""What each process of a run has to itself, beside what Lightning keeps in a checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from leyden.errors import ResumeError
from leyden.generators import global_state, restore_global_state
from leyden.resume.attributes import Baseline
from leyden.resume.loaders import LoaderFollower
from leyden.resume.metrics import metric_states, restore_metric_states
from leyden.resume.own_generators import own_generator_states, restore_own_generators
from leyden.resume.trainer_internals import (
    accumulates,
    drawn_ahead,
    logged_state,
    restore_logged,
)

__all__ = [
    "callbacks_of",
    "gathered",
    "generator_owners",
    "rank_state",
    "restore_rank_state",
    "set_modes",
]

Followers = Mapping[str, Sequence[LoaderFollower]]


def rank_state(
    trainer: Trainer,
    module: LightningModule,
    followers: Followers,
    baseline: Baseline,
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Write down the state of this process.

    Args:
        trainer: The trainer.
        module: Its module.
        followers: Of the loaders of each phase.
        baseline: How things were before the training.
        made: How things were when the loaders of each phase were made.

    Returns:
        Tensors and plain values.
    """
    return {
        "made": dict(made),
        "logged": logged_state(trainer),
        "metrics": metric_states(module),
        "gradients": _gradients(trainer, module),
        "buffers": _buffers(module),
        "changes": baseline.changes(trainer, module),
        "modes": {name: part.training for name, part in module.named_modules()},
        "loaders": {
            phase: [one.state_dict(drawn_ahead(trainer, phase)) for one in some]
            for phase, some in followers.items()
        },
        "own_generators": own_generator_states(module, generator_owners(trainer)),
        "generators": global_state(),
    }


def restore_rank_state(
    trainer: Trainer,
    module: LightningModule,
    followers: Followers,
    state: Mapping[str, Any],
    baseline: Baseline,
) -> None:
    """Put this process back; the loaders have been brought to their places.

    Args:
        trainer: The trainer.
        module: Its module.
        followers: Of the loaders of each phase.
        state: What `rank_state` returned.
        baseline: How things were before the training of this process.

    Raises:
        ResumeError: If there are more or fewer loaders than there were.
    """
    restore_metric_states(module, state["metrics"])
    restore_logged(trainer, state["logged"])
    _restore_gradients(trainer, module, state["gradients"])
    baseline.restore(trainer, module, state["changes"])
    _restore_buffers(module, state["buffers"])
    set_modes(module, state["modes"])
    for phase, some in followers.items():
        _restore_loaders(phase, some, state["loaders"].get(phase, []))
    restore_own_generators(module, generator_owners(trainer), state["own_generators"])
    restore_global_state(state["generators"])  # last: all of the above may draw


def set_modes(module: LightningModule, modes: Mapping[str, bool]) -> None:
    """Have parts of a module train or not, by their names."""
    parts = dict(module.named_modules())
    for name in modes.keys() & parts.keys():
        parts[name].training = modes[name]


def gathered(state: dict[str, Any], trainer: Trainer) -> list[dict[str, Any]]:
    """Bring the states of all processes together on rank zero.

    Args:
        state: That of this process.
        trainer: The trainer.

    Returns:
        All states, by rank; elsewhere than on rank zero, only this one.
    """
    if trainer.world_size == 1 or not torch.distributed.is_initialized():
        return [state]
    states: list[Any] | None = [None] * trainer.world_size if trainer.is_global_zero else None
    torch.distributed.gather_object(state, states)
    return [state] if states is None else states


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """The callbacks of a trainer."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # set outside its class
    return callbacks


def generator_owners(trainer: Trainer) -> list[object]:
    """What may hold generators beside the module."""
    datamodule = getattr(trainer, "datamodule", None)
    others = [*callbacks_of(trainer), *([] if datamodule is None else [datamodule])]
    return [*others, *trainer.optimizers]


def _restore_loaders(phase: str, some: Sequence[LoaderFollower], states: list[Any]) -> None:
    if not some:  # a phase that has not begun yet
        return
    if states and len(states) != len(some):
        raise ResumeError(
            f"Expected {len(states)} {phase} loaders, as when the checkpoint was written, but got "
            f"{len(some)}. Hand in the loaders that were used then."
        )
    for one, its_state in zip(some, states, strict=False):
        one.restore_generators(its_state)


def _gradients(trainer: Trainer, module: LightningModule) -> dict[str, Tensor]:
    """Those that the next step adds to: all while they are accumulated, else what none zeroes."""
    some = _parameters(trainer, module)
    if not accumulates(trainer):
        optimized = {id(one) for one in _optimized(trainer)}
        some = {name: one for name, one in some.items() if id(one) not in optimized}
    return {name: one.grad.detach().clone() for name, one in some.items() if one.grad is not None}


def _restore_gradients(
    trainer: Trainer, module: LightningModule, gradients: Mapping[str, Tensor]
) -> None:
    for name, parameter in _parameters(trainer, module).items():
        parameter.grad = (
            gradients[name].to(parameter.device, copy=True) if name in gradients else None
        )


def _parameters(trainer: Trainer, module: LightningModule) -> dict[str, Tensor]:
    """Those of the module, and what optimizers have beside, such as a plain tensor."""
    named: dict[str, Tensor] = dict(module.named_parameters())
    known = {id(one) for one in named.values()}
    beside = [one for one in _optimized(trainer) if id(one) not in known]
    return named | {f"optimizers {index}": one for index, one in enumerate(beside)}


def _optimized(trainer: Trainer) -> list[Tensor]:
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return [one for group in groups for one in group["params"]]


def _buffers(module: LightningModule) -> dict[str, Tensor]:
    """The buffers that are left out of the module's own state."""
    kept = module.state_dict().keys()
    return {
        name: buffer.detach().clone() for name, buffer in module.named_buffers() if name not in kept
    }


def _restore_buffers(module: LightningModule, values: Mapping[str, Tensor]) -> None:
    buffers = dict(module.named_buffers())
    for name, value in values.items():
        if name in buffers:
            buffers[name].copy_(value)
        else:  # it was None when the module was made
            owner, _, key = name.rpartition(".")
            setattr(module.get_submodule(owner), key, value.to(module.device))
