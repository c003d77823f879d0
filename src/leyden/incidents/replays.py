"""A step of a run, made again."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils._pytree import tree_map_only

from leyden.errors import ConfigError, MissingPathError, ResumeError
from leyden.incidents.examination import TALKS, examine, loss_of_step, say_nothing
from leyden.incidents.records import FACTS, Incident, read_incident, real_number
from leyden.incidents.rows import BadRow, find_bad_rows
from leyden.incidents.step_start import restore_start
from leyden.introspect import NonFinite

__all__ = [
    "MadeStep",
    "Replay",
    "Source",
    "quiet_lightning",
    "replay",
    "replay_incident",
    "same_bits",
]

Source: TypeAlias = Literal["auto", "incident", "checkpoint"]
"""Where a replay starts: what the flight recorder kept of the step, or a checkpoint before it."""


@dataclass(frozen=True, slots=True)
class MadeStep:
    """A batch of training that was made again.

    Args:
        step: The optimizer step that it is part of, from one.
        epoch: Its epoch, from zero.
        batch: Its place in the epoch, from zero.
        loss: Its loss.
        recorded: Its loss in the run; ``None`` if nothing says so.
    """

    step: int
    epoch: int
    batch: int
    loss: float
    recorded: float | None = None

    @property
    def is_equal(self) -> bool | None:
        """Whether the two are equal in every bit; ``None`` if only one is known."""
        return None if self.recorded is None else same_bits(self.loss, self.recorded)


@dataclass
class Replay:
    """A step of a run as it was before it was made, to be looked at and made as often as one likes.

    The module has the weights, the buffers and the modes from before the step, and the global
    random generators stand where they stood, so that whatever is called now finds what the step
    found. ``restore`` brings that back after something else was done. What the module logs is
    dropped.

    Args:
        step_number: The optimizer step, from one.
        epoch: Its epoch, from zero.
        batch_index: The place of the batch in the epoch, from zero.
        module: The module.
        arguments: What ``training_step`` is called with; the batch first.
        origin: Where the batch comes from: sets and rows, as far as that is known.
        loss: The loss, once the step was made.
        recorded: The loss in the run; ``None`` if nothing says so.
        findings: The first tensor with a value that is not finite, in the forward pass, and if
            there is none in the gradients; then the first such output of a layer, if that is
            another one. Empty if all are finite, or the step was not made.
        rows: Rows of the batch with values that are not finite.
        made: The batches that were made on the way, oldest first, the last one being this step.
        trainer: The trainer of the run that was made again, with its optimizers; ``None`` where
            there is none.
        start: What the replay started from, in words.
    """

    step_number: int
    epoch: int
    batch_index: int
    module: LightningModule
    arguments: tuple[Any, ...]
    origin: Any = None
    loss: float | None = None
    recorded: float | None = None
    findings: tuple[NonFinite, ...] = ()
    rows: tuple[BadRow, ...] = ()
    made: tuple[MadeStep, ...] = ()
    trainer: Trainer | None = None
    start: str = ""
    _weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _state: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _device: torch.device = field(default_factory=lambda: torch.device("cpu"), repr=False)

    @property
    def batch(self) -> Any:
        """The batch, as the step got it."""
        return self.arguments[0]

    @property
    def is_equal(self) -> bool | None:
        """Whether the loss is that of the run in every bit; ``None`` if one is not known."""
        if self.loss is None or self.recorded is None:
            return None
        return same_bits(self.loss, self.recorded)

    def restore(self) -> None:
        """Bring weights, buffers, modes and the global generators back to before the step."""
        self.module.to(self._device)
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                parameter.copy_(self._weights[name])
        restore_start(self.module, self._state)

    def step(self) -> Tensor:
        """Make the step, forward and backward; the gradients are in the parameters then.

        Nothing is logged, and no optimizer changes the weights.

        Returns:
            The loss, ``()``, detached.
        """
        self.restore()
        divisor = 1 if self.trainer is None else self.trainer.accumulate_grad_batches
        if not self.module.automatic_optimization:
            divisor = 1
        with torch.enable_grad():
            with self._context():
                loss = loss_of_step(self.module, self.arguments)
            if divisor > 1:
                loss = loss / divisor
            loss.backward()  # type: ignore[no-untyped-call] # torch has no types for it
        loss = loss.detach() * divisor if divisor > 1 else loss.detach()
        self.loss = loss.item()
        return loss

    def _context(self) -> AbstractContextManager[Any]:
        if self.trainer is None:
            return nullcontext()
        return self.trainer.precision_plugin.train_step_context()

    def keep(self, state: Mapping[str, Any]) -> None:
        """Take what is now for what is before the step.

        Args:
            state: What `StepStart.state` returned when the step began.
        """
        self._device = self.module.device
        self._weights = {
            name: value.detach().clone() for name, value in self.module.named_parameters()
        }
        self._state = state
        own = vars(self.module)  # there is no loop that could take what is logged
        own.update({name: say_nothing for name in TALKS if hasattr(self.module, name)})

    def examine(self) -> None:
        """Make the step quietly, and note the loss and what is not finite in it."""
        found = examine(self.module, self.arguments, self._state, context=self._context())
        self.loss = self._as_recorded(found.loss).item()
        self.findings = found.findings
        self.rows = tuple(find_bad_rows(self.batch, self.origin))

    def _as_recorded(self, loss: Tensor) -> Tensor:
        """Divide and multiply a loss as it was in the run, where gradients are accumulated."""
        count = 1 if self.trainer is None else self.trainer.accumulate_grad_batches
        return loss / count * count if self.module.automatic_optimization else loss


def same_bits(one: float, other: float) -> bool:
    """Compare two losses in every bit; NaN is equal to NaN.

    Args:
        one: A loss.
        other: A loss.
    """
    return one == other or (math.isnan(one) and math.isnan(other))


def replay(
    run: str | PathLike[str],
    step: int | None = None,
    *,
    until: int | None = None,
    module: LightningModule | None = None,
    source: Source = "auto",
    rank: int | None = None,
) -> Replay:
    """Make a step of a run again, bit for bit, and hold everything as it was before the step.

    Of a run that was started from a configuration, its objects are made again as ``leyden resume``
    does, in a folder that is removed afterwards; the run's folder is not touched. The replay starts
    from what the flight recorder kept of the step, or goes on from the newest checkpoint before it
    (or from the beginning of the run, if it began from nothing), and compares every loss with the
    ledger. An incident of any other project is made again from its folder and a ``module``.

    Random generators of the process are left where they stood before the step.

    Args:
        run: The folder of a run, or of an incident.
        step: The optimizer step, from one, as ``step`` in the ledger counts them; not needed for an
            incident.
        until: Make the steps from ``step`` on and stop before this one.
        module: For an incident alone: the module, made as it was made for the training.
        source: Where to start.
        rank: Whose batch, for an incident of several processes; that of the first one with a value
            that is not finite if ``None``.

    Returns:
        The step, not made with ``until``, and otherwise made once.

    Raises:
        ConfigError: If the step is none of the run, or ``module`` is missing.
        MissingPathError: If there is no such run, or it has no ledger.
        ResumeError: If there is nothing before the step to start from.
    """
    path = Path(run)
    is_incident = (path / FACTS).is_file()
    if module is not None:
        return replay_incident(read_incident(path), module, rank=rank)
    if is_incident and not (path.parent.parent / "run.json").is_file():
        raise ConfigError(
            f"Expected `module` for the incident in {str(path)!r}, which is of no run with a "
            "configuration, but got None. Pass the module, made as for the training."
        )
    if not path.is_dir():
        raise MissingPathError(f"Expected `run` to be a folder, but got {str(path)!r}.")
    if is_incident:
        step, path, source = read_incident(path).step, path.parent.parent, "incident"
    if step is None:
        raise ConfigError("Expected `step` to be the number of a step, but got None.")
    # Only the room of the command line can make a run from its configuration, and few need it.
    rebuilt: Callable[..., Replay] = import_module("leyden.cli.replaying").replay_run
    return rebuilt(path, step, until=until, source=source, rank=rank)


def replay_incident(
    incident: Incident, module: LightningModule, *, rank: int | None = None
) -> Replay:
    """Make a step again from what the flight recorder kept of it.

    Args:
        incident: The incident.
        module: The module, with parameters of the same names and shapes.
        rank: Whose batch; see ``replay``.

    Returns:
        The step, made once.

    Raises:
        DataError: If the batch or the state was not kept.
        ResumeError: If the module does not fit, or what was kept is not from before the step.
    """
    facts = incident.facts
    rank = int(facts["rank"]) if rank is None else rank
    if not 0 <= rank < len(incident.ranks):
        raise ConfigError(f"Expected `rank` to be below {len(incident.ranks)}, but got {rank}.")
    if not facts["is_before_step"]:
        raise ResumeError(
            f"Expected the weights before the step in {str(incident.path)!r}, but an optimizer had "
            "changed them before the loss was known. Replay the run instead."
        )
    of_rank = incident.ranks[rank]
    state, batch = incident.state(rank), incident.batch(rank)
    trainer = _trainer_of(module, facts)  # first: it brings the module to its precision
    _load_weights(module, state["state_dict"], incident.path)
    device = trainer.strategy.root_device
    module.to(device)
    batch = tree_map_only(Tensor, lambda one: one.to(device), batch)
    found = Replay(
        step_number=incident.step,
        epoch=facts["epoch"],
        batch_index=facts["batch"],
        module=module,
        arguments=(batch, facts["batch"])[: facts["num_arguments"]],
        origin=of_rank["origin"],
        recorded=real_number(of_rank["loss"]),
        trainer=trainer,
        start=f"incident {incident.path.name}",
    )
    if not module.automatic_optimization:  # and asks for its optimizers
        trainer.strategy.setup_optimizers(trainer)
        trainer.strategy.load_optimizer_state_dict(state)
    found.keep(state["start"])
    found.examine()
    found.rows = tuple(BadRow(**row) for row in of_rank["nonfinite_rows"])
    found.restore()
    return found


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Have Lightning say nothing but warnings."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _load_weights(module: LightningModule, weights: Mapping[str, Any], path: Path) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ResumeError(
            f"Expected `module` to fit the weights in {str(path)!r}, but it does not: {reason} "
            "Make it as it was made for the training."
        ) from error


def _trainer_of(module: LightningModule, facts: Mapping[str, Any]) -> Trainer:
    """Give a module a trainer that counts as the one of the run did."""
    with quiet_lightning():
        trainer = Trainer(
            accelerator="cpu" if facts["device"] == "cpu" else "auto",
            devices=1,
            precision=facts["precision"],
            accumulate_grad_batches=facts["accumulate_grad_batches"],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    module.trainer = trainer
    trainer.precision_plugin.convert_module(module)
    trainer.strategy.connect(module)
    trainer.state.fn, trainer.training = TrainerFn.FITTING, True
    trainer.fit_loop.epoch_progress.current.completed = facts["epoch"]
    progress = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress
    progress.optimizer.step.total.completed = facts["step"] - 1
    return trainer
