"""Predictions of a run on its validation data, and the threshold by which it decides."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leyden.cli.evaluating import Request, find_or_make
from leyden.cli.start import newest_checkpoint
from leyden.errors import ConfigError, MissingPathError, ResumeError, suggest_beside
from leyden.files import replacing
from leyden.resume import load
from leyden.resume.checkpoints import digest_path_of
from leyden.runs import RunDir
from leyden.types import Phase

__all__ = ["apply_threshold", "find_best", "find_records", "threshold_of"]

_TUNER = "ThresholdTuner"


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
                f"exist. {suggest_beside(told)}"
            )
        return told
    return run.best_path if run.best_path.is_file() else newest_checkpoint(run)[0]


def find_records(run: RunDir, checkpoint: Path | None) -> Path:
    """Find stored predictions on the validation data of a run, or make and store them.

    Args:
        run: The run.
        checkpoint: With which weights.

    Returns:
        The rows of an evaluation, ``evaluation/<time>/<step>/records.parquet``.

    Raises:
        MissingPathError: If there is no checkpoint.
        LeydenError: If there is no validation data, or the module cannot predict.
    """
    if checkpoint is None:
        raise MissingPathError(
            f"Expected stored predictions or a checkpoint in {str(run.path)!r}, but there are "
            "none. Pass `--records` or `--checkpoint`."
        )
    request = Request(run.path, str(checkpoint), Phase.VAL.value, metrics=())
    return find_or_make(request).records.path


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
