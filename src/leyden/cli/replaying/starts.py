"""With which configuration each step of a run was made, which may have gone on with others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from leyden.config import differences, load_saved_config
from leyden.errors import ConfigError, ResumeError
from leyden.resume.checkpoints import num_steps
from leyden.runs import RunDir, read_manifest

__all__ = ["PastStart", "start_of_step"]


@dataclass(frozen=True, slots=True)
class PastStart:
    """A start of a run.

    Args:
        run: The run.
        config: The file of its configuration; ``None`` for the last one, where nothing is known.
        step: How many optimizer steps were made before it.
    """

    run: RunDir
    config: str | None = None
    step: int = 0

    def load_config(self) -> Any:
        """Read its configuration, in plain containers."""
        return OmegaConf.to_container(load_saved_config(self.run, self.config))

    def check_until(self, until: int | None) -> None:
        """Refuse steps of which the last are made with other options than the first.

        Args:
            until: The step before which to stop; ``None`` for no others.

        Raises:
            ConfigError: If there are such.
        """
        if until is None:
            return
        last = start_of_step(self.run, until - 1)
        if found := self._differences(last):
            raise ConfigError(
                f"Expected the steps until {until} to be made with the same options, but from "
                f"step {last.step + 1} on they are others ({'; '.join(found)}). Replay them in "
                "two parts."
            )

    def check_checkpoint(self, checkpoint: Path | None) -> None:
        """Refuse a checkpoint from which steps were made with other options.

        Args:
            checkpoint: What the steps are made from; ``None`` for the beginning of the run.

        Raises:
            ResumeError: If it is from before this start, and options were others then.
        """
        done = 0 if checkpoint is None else num_steps(checkpoint)
        if done >= self.step:
            return
        if found := self._differences(start_of_step(self.run, done + 1)):
            raise ResumeError(
                f"Expected a checkpoint of step {self.step} or later in "
                f"{str(self.run.checkpoints_dir)!r}, where the run went on with other options "
                f"({'; '.join(found)}), but there is none. Have more of them kept: "
                "callbacks.resume.keep=..."
            )

    def _differences(self, other: "PastStart") -> list[str]:
        if other.config == self.config:
            return []
        return differences(self.load_config(), other.load_config())


def start_of_step(run: RunDir, step: int) -> PastStart:
    """Find the start in which a step was made that is part of the run.

    A run that goes on from a checkpoint makes steps anew that came after it, so of all starts from
    which the step follows it is the last.

    Args:
        run: The run.
        step: The optimizer step, from one.

    Returns:
        The start; of a run that has not kept such facts, one with the configuration kept last.
    """
    starts = [start for start in read_manifest(run.manifest_path)["starts"] if "config" in start]
    before = [start for start in starts if start["step"] < step]
    if not before:
        return PastStart(run)
    return PastStart(run, before[-1]["config"], before[-1]["step"])
