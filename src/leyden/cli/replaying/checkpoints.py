"""The checkpoint of a run from which a step can be made again."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from leyden.callbacks.exact_resume import STATE_KEY
from leyden.errors import LeydenError
from leyden.resume import Moment, load
from leyden.resume.checkpoints import digest_path_of, verify
from leyden.runs import RunDir

__all__ = ["find_checkpoint"]

_NUMBERED = re.compile(r"\d{6,}-step=(?P<step>\d+)\.ckpt")


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
        state = checkpoint.get(STATE_KEY)
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
