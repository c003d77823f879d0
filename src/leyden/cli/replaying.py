"""A run made again from its folder, up to one of its steps."""

import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from omegaconf import OmegaConf, open_dict
from torch import Tensor
from typing_extensions import override

from leyden.callbacks import FlightRecorder
from leyden.cli import training
from leyden.cli.past_starts import PastStart, start_of_step
from leyden.cli.start import Origin
from leyden.errors import ConfigError, LeydenError, MissingPathError, ResumeError
from leyden.incidents import (
    Incident,
    MadeStep,
    Replay,
    Source,
    StepStart,
    carries_gradients,
    quiet_lightning,
    read_incident,
    replay_incident,
    true_loss,
)
from leyden.resume import Moment, leave_quietly, load
from leyden.resume.checkpoint_file import digest_path_of, verify
from leyden.resume.replaced import Replaced
from leyden.runs import RunDir, read_manifest, relocate
from leyden.tracking import read_ledger
from leyden.types import Phase

__all__ = ["find_checkpoint", "replay_run"]

_STATE = "leyden.resume"  # what ExactResume puts into a checkpoint
_EXPECTED = (  # warnings that are to be told in a run that goes on, and not in one made again
    "Expected the loggers to be those",
    "Checkpoint directory .* exists and is not empty",
    r"`isinstance\(treespec, LeafSpec\)`",
    "The '.*dataloader' does not have many workers",
)
_NUMBERED = re.compile(r"\d{6,}-step=(?P<step>\d+)\.ckpt")


def replay_run(
    path: Path,
    step: int,
    *,
    until: int | None = None,
    source: Source = "auto",
    rank: int | None = None,
) -> Replay:
    """Make a step of a run again; see ``leyden.replay``.

    Args:
        path: The folder of the run.
        step: The optimizer step, from one.
        until: The step before which to stop.
        source: Where to start.
        rank: Of the process, for an incident.

    Raises:
        ConfigError: If there is no such step.
        MissingPathError: If there is no such run, or it has no ledger.
        ResumeError: If there is nothing to start from.
    """
    run = RunDir(path)
    _check_arguments(run, step, until)
    incident = _find_incident(run, step)
    rows = _training_rows(run, incident)
    _check_step(run, rows, step, until)
    start = start_of_step(run, step)
    start.check_until(until)
    is_kept = incident is not None and incident.facts["is_reproduced"] and until is None
    if source == "incident" or (source == "auto" and is_kept):
        if incident is None:
            raise ResumeError(
                f"Expected an incident at step {step} in {str(run.path)!r}, but there is none. "
                "Pass source='checkpoint'."
            )
        return _replay_incident(start, incident, rank)
    return _replay_from_checkpoint(start, rows, incident, step, until)


def _check_arguments(run: RunDir, step: int, until: int | None) -> None:
    if not run.manifest_path.is_file():
        raise MissingPathError(
            f"Expected `RUN` to be the folder of a run, but got {str(run.path)!r}, which has no "
            f"{run.manifest_path.name}."
        )
    if step < 1:
        raise ConfigError(f"Expected `step` to be at least 1, but got {step!r}.")
    if until is not None and until < step:
        raise ConfigError(f"Expected `until` to be at least {step}, but got {until!r}.")


def _find_incident(run: RunDir, step: int) -> Incident | None:
    path = run.path / "incidents" / str(step)
    return read_incident(path) if path.is_dir() else None


def _training_rows(run: RunDir, incident: Incident | None) -> list[dict[str, Any]]:
    """Read what the run has fit, batch by batch; nothing where the incident will do."""
    if not run.ledger_path.exists():
        if incident is not None:
            return []
        raise MissingPathError(
            f"Expected the ledger of the run in {str(run.ledger_path)!r}, which does not exist. "
            "Only runs with a `BatchMonitor` can be replayed."
        )
    rows: list[dict[str, Any]] = read_ledger(run.ledger_path).to_pylist()
    return [row for row in rows if row["phase"] == Phase.TRAIN]


def _check_step(run: RunDir, rows: Sequence[dict[str, Any]], step: int, until: int | None) -> None:
    # An incident may have ended the run before the ledger had its step.
    names = [path.name for path in (run.path / "incidents").glob("*")]
    incidents = [int(name) for name in names if name.isdecimal()]
    last = max([0, *(row["step"] for row in rows), *incidents])
    if step > last:
        raise ConfigError(f"Expected `step` to be a step of the run, 1 to {last}, but got {step}.")
    if until is not None and until > last + 1:
        raise ConfigError(f"Expected `until` to be at most {last + 1}, but got {until}.")


def _replay_incident(start: PastStart, incident: Incident, rank: int | None) -> Replay:
    """Have the run make its module, and nothing else."""
    stop = _StopBeforeTraining()
    with _made_again(start, None, stop) as made:
        module = made.model
    return replay_incident(incident, module, rank=rank)


def _replay_from_checkpoint(
    start: PastStart,
    rows: Sequence[dict[str, Any]],
    incident: Incident | None,
    step: int,
    until: int | None,
) -> Replay:
    run, target = start.run, None if until is not None else _position(rows, incident, step)
    checkpoint = find_checkpoint(run, step, before=target)
    if checkpoint is None and read_manifest(run.manifest_path).get("parents"):
        raise ResumeError(
            f"Expected a checkpoint before step {step} in {str(run.checkpoints_dir)!r}, but there "
            "is none, and the run did not begin from nothing. Have more of them kept: "
            "callbacks.resume.keep=..."
        )
    start.check_checkpoint(checkpoint)
    catcher = _StepCatcher(target, until)
    with _made_again(start, checkpoint, catcher):
        pass
    place = "the beginning of the run" if checkpoint is None else f"checkpoint {checkpoint.name}"
    if catcher.found is None:
        raise ResumeError(
            f"Expected the run to come to step {until or step} again from {place}, but it ended "
            "before. Replay it with the data and the code that it was made with."
        )
    found = catcher.found
    found.start = place
    losses = {(row["epoch"], row["batch"]): row["loss"] for row in rows}
    if incident is not None:
        losses[incident.facts["epoch"], incident.facts["batch"]] = float(incident.facts["loss"])
    found.made = tuple(
        MadeStep(*facts, recorded=losses.get((facts[1], facts[2]))) for facts in catcher.facts()
    )
    found.recorded = losses.get((found.epoch, found.batch_index))
    found.restore()
    return found


def _position(
    rows: Sequence[dict[str, Any]], incident: Incident | None, step: int
) -> tuple[int, int]:
    """Give epoch and place of the batch by which a step was made."""
    if incident is not None:
        return incident.facts["epoch"], incident.facts["batch"]
    row = next(row for row in rows if row["step"] >= step)  # steps may come two at a time
    return row["epoch"], row["batch"]


def find_checkpoint(
    run: RunDir, step: int, *, before: tuple[int, int] | None = None
) -> Path | None:
    """Find the newest checkpoint of a run from which a step can be made again exactly.

    Args:
        run: The run.
        step: The optimizer step, from one.
        before: Epoch and place of a batch that is still to come then.

    Returns:
        Its path; ``None`` if there is none.
    """
    candidates = sorted(_steps(run.checkpoints_dir), reverse=True, key=lambda one: one[0])
    for _, path in itertools.dropwhile(lambda one: one[0] >= step, candidates):
        if digest_path_of(path).exists() and verify(path) is not None:
            continue
        try:
            checkpoint = load(path)
        except LeydenError:  # removed meanwhile, or not one that can be gone on with
            continue
        state = checkpoint.get(_STATE)
        is_exact = state is not None and state["moment"] != Moment.ELSEWHERE
        if is_exact and (before is None or _place(checkpoint) <= before):
            return path
    return None


def _steps(folder: Path) -> Iterator[tuple[int, Path]]:
    """List checkpoints and the number of optimizer steps before them."""
    for path in folder.glob("*.ckpt"):
        numbered = _NUMBERED.fullmatch(path.name)
        if numbered is not None:
            yield int(numbered["step"]), path
        elif not path.name.startswith("."):
            try:
                facts = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
                yield facts["global_step"], path
            except Exception:  # noqa: BLE001, S112 - whatever it is, nothing can go on from it
                continue


def _place(checkpoint: dict[str, Any]) -> tuple[int, int]:
    """Epoch and number of batches of it that were over."""
    loops = checkpoint["loops"]["fit_loop"]
    return checkpoint["epoch"], loops["epoch_loop.batch_progress"]["current"]["ready"]


class _made_again:  # noqa: N801 - used like a function
    """Make a run again in a folder that is removed afterwards, until a callback ends it.

    Args:
        start: The start of the run, with whose configuration it is made.
        checkpoint: What to go on from; ``None`` for its beginning.
        callback: Ends it.
    """

    def __init__(self, start: PastStart, checkpoint: Path | None, callback: Callback) -> None:
        self._start, self._checkpoint, self._callback = start, checkpoint, callback
        self._folder = TemporaryDirectory(prefix="leyden-replay-")

    def __enter__(self) -> training.Training:
        try:
            return self._make()
        except BaseException:
            self._folder.cleanup()
            raise

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def _make(self) -> training.Training:
        scratch = Path(self._folder.name).resolve()
        run = self._start.run
        config = OmegaConf.create(relocate(self._start.load_config(), run.path.absolute(), scratch))
        with open_dict(config):
            config.tracking = {}
            config.run_dir, config.resume, config.retrain = str(scratch), None, False
            config.trainer.enable_progress_bar = False
            config.trainer.enable_model_summary = False
        origin = None if self._checkpoint is None else Origin(self._checkpoint, run)
        with quiet_lightning(), warnings.catch_warnings():
            for message in _EXPECTED:
                warnings.filterwarnings("ignore", message)
            made = training.prepare(config, origin)
            if made.trainer.world_size > 1:
                raise ConfigError(
                    "Expected a run of one process, but got one of "
                    f"{made.trainer.world_size}. Replay an incident of it: leyden.replay("
                    "'RUN/incidents/STEP', module=...)."
                )
            self._fit(made)
        return made

    def _fit(self, made: training.Training) -> None:
        trainer: Any = made.trainer
        trainer.loggers = [DummyLogger()]  # callbacks and modules may ask for one
        for callback in trainer.callbacks:
            if isinstance(callback, FlightRecorder):
                callback.rest()
        trainer.callbacks.append(self._callback)
        trainer.fit(made.model, datamodule=made.data, ckpt_path=made.checkpoint)


class _StopBeforeTraining(Callback):
    """Ends a run when its module is made."""

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        raise leave_quietly()


class _StepCatcher(Callback):
    """Lets a run come to a step, and ends it with everything as it was before.

    Args:
        target: Epoch and place of the batch that is made again.
        until: Or the optimizer step before which to stop.
    """

    def __init__(self, target: tuple[int, int] | None, until: int | None) -> None:
        super().__init__()
        self._target, self._until = target, until
        self.found: Replay | None = None
        self._made: list[tuple[int, int, int, Tensor]] = []
        self._loss: Tensor | None = None
        self._batch_index = 0
        self._replaced = Replaced()

    def facts(self) -> list[tuple[int, int, int, float]]:
        """Step, epoch, batch and loss of the batches that were made, oldest first."""
        return [(step, epoch, batch, loss.item()) for step, epoch, batch, loss in self._made]

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def training_step(*arguments: Any, **options: Any) -> Any:
            if not self._is_there(trainer):
                return original(*arguments, **options)
            found = self.found = self._catch(trainer, pl_module, arguments)
            if self._until is None:
                found.examine()
                if pl_module.automatic_optimization:  # and can be had from the run itself
                    found.loss = _loss_in(original(*arguments, **options), trainer)
                self._note(trainer, torch.tensor(found.loss, dtype=torch.float64))
            raise leave_quietly()

        original = self._replaced.replace(trainer.strategy, "training_step", training_step)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch_index, self._loss = batch_idx, None

    def _is_there(self, trainer: Trainer) -> bool:
        if self._until is not None:
            return trainer.global_step + 1 >= self._until
        return (trainer.current_epoch, self._batch_index) == self._target

    def _catch(
        self, trainer: Trainer, module: LightningModule, arguments: tuple[Any, ...]
    ) -> Replay:
        start = StepStart(module)
        start.note(gradients=carries_gradients(trainer, self._batch_index))
        data = trainer.datamodule  # type: ignore[attr-defined] # set outside its class
        origin = getattr(data, "origin", None)
        epoch, batch_index = trainer.current_epoch, self._batch_index
        found = Replay(
            step_number=trainer.global_step + 1,
            epoch=epoch,
            batch_index=batch_index,
            module=module,
            arguments=arguments,
            origin=origin("train", epoch, batch_index) if callable(origin) else None,
            trainer=trainer,
        )
        found.keep(start.state())
        return found

    @override
    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        self._loss = true_loss(trainer, loss)

    @override
    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._loss is not None:
            self._note(trainer, self._loss)

    def _note(self, trainer: Trainer, loss: Tensor) -> None:
        place = trainer.global_step + 1, trainer.current_epoch, self._batch_index
        self._made.append((*place, loss))

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._replaced.put_all_back()


def _loss_in(result: Any, trainer: Trainer) -> float:
    """Give the loss that a step has returned as the ledger has it."""
    loss = result["loss"] if isinstance(result, Mapping) else result
    count = trainer.accumulate_grad_batches
    return float((loss.detach() / count * count).item())
