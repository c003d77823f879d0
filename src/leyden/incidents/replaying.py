"""Making a step of a run again: from what was kept of it, or from the folder of the run."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils._pytree import tree_map_only

from leyden.errors import ConfigError, MissingPathError, ResumeError
from leyden.incidents.records import FACTS, Incident, read_incident, real_number
from leyden.incidents.replays import Replay
from leyden.incidents.rows import BadRow
from leyden.runs import RunDir

__all__ = ["Source", "quiet_lightning", "replay", "replay_incident"]

Source: TypeAlias = Literal["auto", "incident", "checkpoint"]
"""Where a replay starts: what the flight recorder kept of the step, or a checkpoint before it."""


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
        module: For an incident alone, or an incident at ``step`` of any project's folder: the
            module, made as it was made for the training.
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
    kept = RunDir(path).incidents_dir / str(step)
    if module is not None and kept.is_dir():
        path = kept
    is_incident = (path / FACTS).is_file()
    if module is not None:
        return replay_incident(read_incident(path), module, rank=rank)
    if is_incident and not RunDir(path.parent.parent).manifest_path.is_file():
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
        ConfigError: If there is no such rank.
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
