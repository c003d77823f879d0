"""What is written about a step that went wrong."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from leyden.errors import LeydenError, ResumeError
from leyden.incidents.examination import Examination, examine, statistics_of
from leyden.incidents.kept_batch import keep_batch
from leyden.incidents.records import IncidentFolder, read_incident
from leyden.incidents.replays import same_bits
from leyden.incidents.rows import find_bad_rows
from leyden.incidents.true_loss import as_recorded
from leyden.introspect import NonFinite, stored_gradients, weights
from leyden.lifecycle import find_origin
from leyden.resume import as_plain, gathered
from leyden.runs import versions
from leyden.types import Phase

__all__ = ["IncidentWriter", "Sighting"]

_MANY = 1000  # attempts at one step that may be kept


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of an incident when it is noticed.

    Args:
        trouble: What is wrong.
        arguments: What ``training_step`` was called with, the batch first; empty if it draws its
            batches itself.
        start: What `StepStart.state` gives.
        losses: Of each rank.
        is_before_step: Whether weights and optimizers are those from before the step.
        facts: Step, epoch, batch and so on.
        before: Likewise, of the steps before, oldest first.
    """

    trouble: str
    arguments: tuple[Any, ...]
    start: Mapping[str, Any]
    losses: Sequence[float]
    is_before_step: bool
    facts: Mapping[str, Any]
    before: Sequence[Mapping[str, Any]]


class IncidentWriter:
    """Writes incidents of a run; every rank calls it at the same steps.

    Args:
        parent: The folder of all incidents; made when there is one.
        trainer: The trainer.
        module: Its module.
    """

    def __init__(self, parent: Path, trainer: Trainer, module: LightningModule) -> None:
        self._parent, self._trainer, self._module = parent, trainer, module

    def write(self, sighting: Sighting) -> str:
        """Examine the step and write what is found.

        Args:
            sighting: What is known.

        Returns:
            What is to be told about it.
        """
        trainer = self._trainer
        structure, tensors = keep_batch(sighting.arguments[0]) if sighting.arguments else (None, {})
        of_rank = {**self._examine(sighting), "batch_structure": structure}
        ranks = gathered(of_rank, trainer)
        culprit = next((i for i, one in enumerate(ranks) if _is_guilty(one)), 0)
        state, problem = self._state(sighting)
        facts = {
            "trouble": sighting.trouble,
            **sighting.facts,
            "rank": culprit,
            "is_before_step": sighting.is_before_step,
            **self._setting(sighting),
            "state_problem": problem,
            **ranks[culprit],
            **({"ranks": ranks} if len(ranks) > 1 else {}),
            "before": sighting.before,
        }
        facts["loss_hex"] = float(facts["loss"]).hex()
        name = trainer.strategy.broadcast(self._name(sighting))
        if name is None:  # the run has come to the same step again
            return f"{_told(facts)} It is in {self._parent} already."
        folder = IncidentFolder(self._parent, name)
        error = self._put(folder, tensors, state, facts)
        if error is not None:
            return f"{_told(facts)} It could not be kept in {self._parent}: {error}"
        return f"{_told(facts)} See {folder.path}; `leyden.replay` makes the step again."

    def _name(self, sighting: Sighting) -> str | None:
        """Choose a name that is free; ``None`` if this batch is kept already."""
        step = sighting.facts["step"]
        names = [str(step), *(f"{step}-{number}" for number in range(2, _MANY))]
        for name in names:
            path = self._parent / name
            if not path.exists():
                return name
            with suppress(LeydenError):
                kept = read_incident(path).facts
                if all(kept[key] == sighting.facts[key] for key in ("epoch", "batch")):
                    return None
        return None

    def _examine(self, sighting: Sighting) -> dict[str, Any]:
        """Say what is special about this rank: its batch, and where the step breaks on it."""
        trainer, module = self._trainer, self._module
        batch = sighting.arguments[0] if sighting.arguments else None
        origin = find_origin(trainer, Phase.TRAIN, sighting.facts["batch"])
        loss = sighting.losses[trainer.global_rank if len(sighting.losses) > 1 else 0]
        found, problem = self._make_again(sighting)
        is_same = None
        if found is not None:
            is_same = same_bits(as_recorded(found.loss, trainer, module).item(), loss)
        return {
            "loss": loss,
            "origin": _plain_origin(origin),
            "nonfinite_rows": [asdict(row) for row in find_bad_rows(batch, origin)],
            "findings": [] if found is None else [asdict(one) for one in found.findings],
            "rows_of_output": [] if found is None else list(found.rows),
            "is_reproduced": is_same,
            "problem": problem,
            "weights": statistics_of(weights(module)),
            "gradients": statistics_of(stored_gradients(module)),
            "activations": {} if found is None else found.activations,
        }

    def _make_again(self, sighting: Sighting) -> tuple[Examination | None, str | None]:
        strategy = self._trainer.strategy
        if not sighting.arguments:
            return None, "The step draws its batches itself."
        if not sighting.is_before_step:
            return None, "An optimizer has changed the weights within this batch."
        if type(strategy) not in (SingleDeviceStrategy, DDPStrategy):
            return None, f"The step is not made again with {type(strategy).__name__}."
        context = self._trainer.precision_plugin.train_step_context()
        try:
            return (
                examine(self._module, sighting.arguments, sighting.start, context=context),
                None,
            )
        except Exception as error:  # noqa: BLE001 - it is the user's code, and training may go on
            return None, f"The step could not be made again: {type(error).__name__}: {error}"

    def _state(self, sighting: Sighting) -> tuple[dict[str, Any], str | None]:
        """Give what the step began with, and why it cannot be written, if so."""
        trainer, module = self._trainer, self._module
        strategy = trainer.strategy
        state: dict[str, Any] = {"start": dict(sighting.start)}
        weights_of_all = strategy.lightning_module_state_dict()  # every rank has to ask
        optimizers = [strategy.optimizer_state(one) for one in trainer.optimizers]
        if trainer.is_global_zero:
            state |= {
                "epoch": trainer.current_epoch,
                "global_step": trainer.global_step,
                "state_dict": weights_of_all,
                "optimizer_states": optimizers,
                "lr_schedulers": [
                    one.scheduler.state_dict() for one in trainer.lr_scheduler_configs
                ],
            }
        try:
            as_plain(state)
        except ResumeError as error:
            return {}, " ".join(str(error).split())
        with suppress(ResumeError):  # they may be anything, and the weights do without
            name = module.CHECKPOINT_HYPER_PARAMS_KEY
            state |= as_plain({name: dict(module.hparams)})
        return state, None

    def _setting(self, sighting: Sighting) -> dict[str, Any]:
        kind = type(self._module)
        return {
            "module": f"{kind.__module__}.{kind.__qualname__}",
            "num_arguments": len(sighting.arguments),
            "precision": str(self._trainer.precision),
            "accumulate_grad_batches": self._trainer.accumulate_grad_batches,
            "device": self._module.device.type,
            "versions": versions(),
        }

    def _put(
        self,
        folder: IncidentFolder,
        tensors: Mapping[str, Any],
        state: dict[str, Any],
        facts: Mapping[str, Any],
    ) -> str | None:
        """Write the files of all ranks; say why not, if so."""
        strategy, rank = self._trainer.strategy, self._trainer.global_rank
        problem: str | None = None
        try:
            if rank == 0:
                folder.begin()
        except OSError as error:
            problem = str(error)
        strategy.barrier()
        try:
            if problem is None:
                if tensors:
                    folder.write_batch(tensors, rank=rank)
                if state:
                    folder.write_state(state, rank=rank)
        except OSError as error:
            problem = str(error)
        problems = [one for one in gathered({"problem": problem}, self._trainer) if one["problem"]]
        if rank == 0:
            problem = problems[0]["problem"] if problems else None
            try:
                folder.abandon() if problem else folder.finish(facts)
            except OSError as error:
                problem = str(error)
                folder.abandon()
        return strategy.broadcast(problem)


def _plain_origin(origin: Any) -> dict[str, Any] | None:
    if origin is None:
        return None
    slices = [
        {"set_number": piece.set_number, "rows": [int(row) for row in piece.rows]}
        for piece in getattr(origin, "slices", ())
    ]
    return {"name": origin.name, "set_numbers": list(origin.set_numbers), "slices": slices}


def _is_guilty(of_rank: Mapping[str, Any]) -> bool:
    return bool(of_rank["nonfinite_rows"] or of_rank["findings"])


def _told(facts: Mapping[str, Any]) -> str:
    """Tell what is known in a few sentences."""
    parts = [str(facts["what"])]
    if facts["origin"] is not None:
        parts.append(f"The batch is {facts['origin']['name']}.")
    rows = facts["nonfinite_rows"]
    if rows:
        first, more = rows[0], f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        is_known = first["set_number"] is not None
        whose = f", row {first['row_in_set']} of set {first['set_number']}," if is_known else ""
        parts.append(f"Row {first['row']} of the batch{whose} is not finite{more}.")
    found = [NonFinite(**one) for one in facts["findings"]]
    if found:
        parts.append(f"The step breaks here: {', then '.join(map(str, found))}.")
    if facts["problem"]:
        parts.append(str(facts["problem"]))
    return " ".join(parts)
