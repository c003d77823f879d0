"""Predictions of a run on its validation data: where they are, and how they are made."""

import json
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from pyarrow import parquet
from torch import Tensor
from typing_extensions import override

from leyden.callbacks.collected_rows import sets_of_rows
from leyden.callbacks.scores_of_step import ScoresOfStep
from leyden.cli.start import newest_checkpoint
from leyden.config import build, build_data, load_saved_config
from leyden.errors import ConfigError, MissingPathError, ResumeError
from leyden.files import replacing
from leyden.incidents import quiet_lightning
from leyden.resume import load
from leyden.resume.checkpoint_file import digest_path_of
from leyden.runs import RunDir, claim_dir
from leyden.types import Phase

__all__ = ["apply_threshold", "find_best", "find_records", "make_records", "threshold_of"]

_PHASE = b"leyden.phase"  # in the metadata of a file of records
_TUNER = "ThresholdTuner"
_EXPECTED = (  # warnings that are to be told in a training, and not here
    "The '.*dataloader' does not have many workers",
    "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
)


def find_best(run: RunDir, told: Path | None) -> Path | None:
    """Find the checkpoint that a run predicts with.

    Args:
        run: The run.
        told: What the user has named, if anything.

    Returns:
        That; or else ``best.ckpt``, or the newest one; ``None`` if there is none.

    Raises:
        MissingPathError: If what was named does not exist.
    """
    if told is not None:
        if not told.is_file():
            raise MissingPathError(
                f"Expected `--checkpoint` to be a file, but got {str(told)!r}, which does not "
                "exist."
            )
        return told
    best = run.checkpoints_dir / "best.ckpt"
    return best if best.is_file() else newest_checkpoint(run)[0]


def find_records(run: RunDir, checkpoint: Path | None) -> Path | None:
    """Find the newest stored predictions on validation data.

    Args:
        run: The run.
        checkpoint: Whose predictions; anyone's if ``None``.

    Returns:
        A ``records.parquet`` that says that it is of the validation; ``None`` if there is none.
    """
    step = "*" if checkpoint is None else str(load(checkpoint)["global_step"])
    paths = run.evaluation_dir.glob(f"*/{step}/records.parquet")
    newest = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    return next((path for path in newest if _is_of_validation(path)), None)


def _is_of_validation(path: Path) -> bool:
    """Say whether records say so themselves; on those of a test, nothing may be tuned."""
    try:
        metadata = parquet.read_schema(path).metadata or {}
    except pa.ArrowInvalid:  # it is left alone, and new ones are made
        return False
    return bool(metadata.get(_PHASE) == Phase.VAL.value.encode())


def make_records(run: RunDir, checkpoint: Path | None) -> Path:
    """Predict the validation data of a run, and store what was predicted.

    Args:
        run: The run.
        checkpoint: With which weights.

    Returns:
        ``evaluation/<time>/<step>/records.parquet``, with a row for each sample: ``set_number``,
        ``score`` and ``target``.

    Raises:
        MissingPathError: If there is no checkpoint.
        ConfigError: If there is no validation data, or the module does not give scores.
    """
    if checkpoint is None:
        raise MissingPathError(
            f"Expected stored predictions or a checkpoint in {str(run.path)!r}, but there are "
            "none. Pass `--records` or `--checkpoint`."
        )
    config, keeper = load_saved_config(run), _RecordKeeper()
    data, model = build_data(config), build(config, "model")
    quiet: Any = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    alone: Any = {"devices": 1, "num_nodes": 1, "strategy": "auto"}
    with (
        TemporaryDirectory(prefix="leyden-calibrate-") as scratch,
        quiet_lightning(),
        warnings.catch_warnings(),
    ):
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message)
        places: Any = {"default_root_dir": scratch, "enable_checkpointing": False}
        trainer = build(config, "trainer", callbacks=[keeper], **quiet, **alone, **places)
        trainer.validate(model, datamodule=data, ckpt_path=str(checkpoint), verbose=False)
    folder = claim_dir(run.evaluation_dir, time.strftime("%Y-%m-%d_%H-%M-%S"))
    path = folder / str(load(checkpoint)["global_step"]) / "records.parquet"
    with replacing(path) as temporary:
        parquet.write_table(keeper.table(checkpoint), temporary)
    return path


class _RecordKeeper(Callback):
    """Keeps scores, targets and set numbers of a validation."""

    def __init__(self) -> None:
        super().__init__()
        self._source = ScoresOfStep(None, None)
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        found = self._source.find(pl_module, outputs, batch)
        if dataloader_idx != 0 or found is None:
            return
        scores, targets = (part.detach().cpu() for part in found)
        sets = sets_of_rows(trainer, batch_idx, len(scores))
        if sets is not None:
            self._parts.append((sets, scores, targets))

    def table(self, checkpoint: Path) -> Any:
        """Give what was kept, with a word about where it is from."""
        if not self._parts:
            raise ConfigError("Expected validation data to calibrate on, but the run has none.")
        columns = [torch.cat(parts).numpy() for parts in zip(*self._parts, strict=True)]
        named = zip(("set_number", "score", "target"), columns, strict=True)
        table = pa.table(
            {name: pa.array(list(part) if part.ndim > 1 else part) for name, part in named}
        )
        source = json.dumps({"checkpoint": checkpoint.name})
        return table.replace_schema_metadata({_PHASE: Phase.VAL.value, "leyden.source": source})


def threshold_of(checkpoint: Path) -> float | None:
    """Say by which threshold a checkpoint decides; ``None`` if it has none."""
    places = _places(load(checkpoint))
    return None if not places else float(places[0]["threshold"])


def apply_threshold(checkpoint: Path | None, value: float) -> Path:
    """Have a checkpoint decide by another threshold; it is replaced at once.

    Args:
        checkpoint: One of ``ModelCheckpoint``, or of ``Trainer.save_checkpoint``.
        value: The threshold.

    Returns:
        The checkpoint.

    Raises:
        MissingPathError: If there is no checkpoint.
        ResumeError: If it is one from which a run goes on exactly, which must stay what it is.
        ConfigError: If it has no threshold.
    """
    if checkpoint is None:
        raise MissingPathError("Expected a checkpoint for `--apply`, but the run has none.")
    if digest_path_of(checkpoint).exists():
        raise ResumeError(
            f"Expected a checkpoint to predict with for `--apply`, but {str(checkpoint)!r} is one "
            "from which the run goes on exactly. Pass `--checkpoint` with another one."
        )
    load(checkpoint)  # what is broken, or holds more than data, is said in our words
    facts = torch.load(checkpoint, map_location="cpu", weights_only=True)
    places = _places(facts)
    if not places:
        raise ConfigError(
            f"Expected {str(checkpoint)!r} to hold a `threshold`, among its hyper-parameters, "
            "its buffers or those of a `ThresholdTuner`, but it has none. Leave out `--apply` and "
            "use the one in calibration.json."
        )
    for place in places:
        present = place["threshold"]
        new = torch.full_like(present, value) if isinstance(present, Tensor) else value
        place["threshold"] = new
    with replacing(checkpoint.resolve()) as temporary:
        torch.save(facts, temporary)
    return checkpoint


def _places(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """List the parts of a checkpoint that hold a threshold."""
    states = [
        state
        for name, state in facts.get("callbacks", {}).items()
        if name.startswith(_TUNER) and isinstance(state, dict)
    ]
    candidates = [facts.get("hyper_parameters", {}), facts.get("state_dict", {}), *states]
    return [place for place in candidates if place.get("threshold") is not None]
