"""Keep what is needed to make a step again that went wrong."""

import inspect
import math
import os
import warnings
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from typing_extensions import override

from leyden.errors import ConfigError, LeydenError, NonFiniteError, check_whole
from leyden.incidents import (
    Facts,
    IncidentWriter,
    LossWatch,
    Sighting,
    StepStart,
    Trouble,
    carries_gradients,
    gradient_scaler,
    true_loss,
)
from leyden.introspect.tensors import dense
from leyden.resume.replaced import Replaced
from leyden.runs import RunDir

__all__ = ["FlightRecorder", "OnIncident"]

OnIncident: TypeAlias = Literal["warn", "raise", "stop"]
"""What becomes of a run in which something went wrong."""


class FlightRecorder(Callback):
    """Notice the step in which a loss or a gradient breaks, and keep what it takes to repeat it.

    It remembers the last steps. When the loss or a gradient turns NaN or infinite, or the loss is
    many times its median, it writes the folder ``incidents/<step>`` before the optimizer makes the
    step: which rows of which sets were in the batch and which of them are not finite, the layer in
    which the first such value appears, the loss and the norms of the steps before, figures of every
    layer, the batch, and weights, optimizers and random generators as they were before the step.
    ``leyden.replay`` makes the step again from it. What follows an incident without a good step in
    between is not another one.

    A step costs it one norm of the gradients and one number that is waited for. Nothing of the
    training changes. Where gradients are scaled for half precision, infinite ones are a matter of
    the scaler, and only the loss counts.

    Args:
        dirpath: Folder of the incidents; ``incidents`` in the trainer's ``default_root_dir``, which
            is the folder of a leyden run, if ``None``.
        jump: A loss that is so many times the median of the last ones, and larger than all of
            them, is an incident; ``None`` if none is.
        history: Number of steps that are remembered.
        max_incidents: Number of incidents that are kept: the first ones.
        on_incident: ``"warn"``; ``"raise"`` to end the run with an error; ``"stop"`` to end it as
            if it were over, without the update by this step.

    Raises:
        ConfigError: If an argument is out of range.
        NonFiniteError: At an incident, with ``on_incident="raise"``; a ``LeydenError`` at a jump.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[FlightRecorder()])
    """

    def __init__(
        self,
        dirpath: str | os.PathLike[str] | None = None,
        *,
        jump: float | None = 100.0,
        history: int = 64,
        max_incidents: int = 5,
        on_incident: OnIncident = "warn",
    ) -> None:
        super().__init__()
        check_whole("max_incidents", max_incidents, 1)
        if on_incident not in get_args(OnIncident):
            known = ", ".join(map(repr, get_args(OnIncident)))
            raise ConfigError(
                f"Expected `on_incident` to be one of {known}, but got {on_incident!r}."
            )
        self._dirpath = None if dirpath is None else Path(dirpath)
        self._max_incidents, self._on_incident = max_incidents, on_incident
        self._watch = LossWatch(jump=jump, history=history)
        self._num_incidents = 0
        self._is_idle = False
        self._replaced = Replaced()
        self._writer: IncidentWriter | None = None
        self._start: StepStart | None = None
        self._parameters: list[torch.nn.Parameter] = []
        self._arguments: tuple[Any, ...] | None = None  # of the step at hand, once it has begun
        self._batch_index = 0
        self._num_updates = 0  # by optimizers, within the batch at hand
        self._loss: Tensor | None = None

    @cached_property  # which Lightning asks for in every hook of every step
    @override
    def state_key(self) -> str:
        return self._generate_state_key(
            dirpath=None if self._dirpath is None else self._dirpath.name
        )

    def rest(self) -> None:
        """Do nothing in the next ``fit``; for a run that is made again to be looked at."""
        self._is_idle = True

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._clean_up()
        is_trial = trainer.fast_dev_run  # type: ignore[attr-defined] # set outside its class
        if stage != "fit" or is_trial or self._is_idle:
            return
        folder = self._dirpath or RunDir(Path(trainer.default_root_dir)).incidents_dir
        self._writer = IncidentWriter(folder, trainer, pl_module)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"version": 1, "num_incidents": self._num_incidents, **self._watch.state_dict()}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._num_incidents = state_dict["num_incidents"]
        self._watch.load_state_dict(state_dict)

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._writer is None:
            return
        self._start = StepStart(pl_module)
        self._parameters = list(pl_module.parameters())
        draws_itself = "dataloader_iter" in inspect.signature(pl_module.training_step).parameters

        def training_step(*arguments: Any, **options: Any) -> Any:
            if self._arguments is None:  # an optimizer may have the step made several times
                self._begin_step(trainer, () if draws_itself else arguments)
            return original(*arguments, **options)

        original = self._replaced.replace(trainer.strategy, "training_step", training_step)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parameters = list(pl_module.parameters())  # some may be new

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._arguments, self._loss = None, None
        self._batch_index, self._num_updates = batch_idx, 0

    def _begin_step(self, trainer: Trainer, arguments: tuple[Any, ...]) -> None:
        assert self._start is not None  # noqa: S101 - made before the first step
        self._arguments = arguments
        self._start.note(gradients=carries_gradients(trainer, self._batch_index))

    @override
    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        if self._writer is not None:
            self._loss = true_loss(trainer, loss)

    @override
    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._loss is None or self._arguments is None:
            return
        error = self._look(trainer, self._loss)
        self._loss = None
        if error is not None:
            self._act(trainer, error)

    def _look(self, trainer: Trainer, loss_here: Tensor) -> LeydenError | None:
        """Look at the step, and keep it if something is wrong; say what."""
        ranks = self._measure(trainer, loss_here)
        loss = math.fsum(one for one, _ in ranks) / len(ranks)
        norm = max((norm for _, norm in ranks), key=lambda one: math.inf if one != one else one)  # noqa: PLR0124 - NaN
        facts = Facts(
            step=trainer.global_step + 1,
            epoch=trainer.current_epoch,
            batch=self._batch_index,
            loss=loss,
            gradient_norm=norm,
            learning_rates=_learning_rates(trainer),
        )
        is_finite = math.isfinite(norm) or self._are_gradients_finite(trainer)
        trouble = self._watch.judge(loss, is_finite=is_finite)
        error = None
        if trouble is not None:
            what = self._keep(trouble, facts, [one for one, _ in ranks])
            error = LeydenError(what) if trouble is Trouble.JUMP else NonFiniteError(what)
        self._watch.remember(facts)
        return error

    def _measure(self, trainer: Trainer, loss: Tensor) -> list[tuple[float, float]]:
        """Give the loss and the norm of the gradients of each rank, waiting for the device once."""
        gradients = self._gradients()
        # By itself torch goes the quick way on accelerators only.
        norm = get_total_norm(gradients, foreach=trainer.strategy.root_device.type == "cpu" or None)
        scaler = gradient_scaler(trainer)
        if scaler is not None:
            norm = norm / scaler.scale(torch.ones((), device=norm.device))
        dtype = torch.promote_types(loss.dtype, torch.float32)
        both = torch.stack([loss.to(dtype), norm.to(loss.device, dtype)])
        if trainer.world_size > 1:
            both = trainer.strategy.all_gather(both)
        return [(one, other) for one, other in both.reshape(-1, 2).tolist()]

    def _are_gradients_finite(self, trainer: Trainer) -> bool:
        """Look at each value: the norm of large ones is infinite while they are not."""
        if gradient_scaler(trainer) is not None:
            return True
        decision = all(bool(one.isfinite().all()) for one in self._gradients())
        return trainer.strategy.reduce_boolean_decision(decision)

    def _gradients(self) -> list[Tensor]:
        found = [one.grad for one in self._parameters if one.grad is not None]
        return [dense(one) if one.is_sparse else one for one in found]

    def _keep(self, trouble: Trouble, facts: Facts, losses: list[float]) -> str:
        """Write the incident, and give what is to be told about it."""
        assert self._writer is not None  # noqa: S101 - else no loss was noted
        assert self._start is not None  # noqa: S101 - likewise
        self._num_incidents += 1
        what = _describe(trouble, facts, self._watch.median)
        if self._num_incidents > self._max_incidents:
            return f"{what} It is not kept: there are {self._max_incidents} already."
        sighting = Sighting(
            trouble=trouble.value,
            arguments=self._arguments or (),
            start=self._start.state(),
            losses=losses,
            is_before_step=self._num_updates == 0,
            facts={**asdict(facts), "median": self._watch.median, "what": what},
            before=[asdict(one) for one in self._watch.before],
        )
        return self._writer.write(sighting)

    def _act(self, trainer: Trainer, error: LeydenError) -> None:
        if self._on_incident == "raise":
            raise error
        if trainer.is_global_zero:
            warnings.warn(str(error), stacklevel=2)
        if self._on_incident == "stop":
            trainer.should_stop = True
            if gradient_scaler(trainer) is None:  # which leaves such a step out itself
                for parameter in self._parameters:
                    parameter.grad = None  # what has none is not updated

    @override
    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        self._num_updates += 1

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._clean_up()

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        # Another callback may have been quicker to end the run over the same loss.
        if isinstance(exception, NonFiniteError) and self._loss is not None:
            self._look(trainer, self._loss)
        self._clean_up()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._clean_up()

    def _clean_up(self) -> None:
        self._replaced.put_all_back()
        self._writer = self._start = self._arguments = self._loss = None
        self._parameters = []


def _learning_rates(trainer: Trainer) -> tuple[float, ...]:
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    return tuple(float(group["lr"]) for group in groups if "lr" in group)


def _describe(trouble: Trouble, facts: Facts, usual: float | None) -> str:
    place = f"Step {facts.step} (epoch {facts.epoch}, batch {facts.batch})"
    match trouble:
        case Trouble.LOSS:
            return f"{place}: the loss is {facts.loss}."
        case Trouble.GRADIENT:
            return f"{place}: a gradient is not finite; the loss is {facts.loss:g}."
        case Trouble.JUMP:
            return f"{place}: the loss is {facts.loss:g}, and its median was {usual:g}."
