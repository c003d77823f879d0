"""Results for Weights & Biases."""

import inspect
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from leyden._extras import require
from leyden.errors import ConfigError

__all__ = ["WandbTracker"]

_NEEDED = {"extra": "all", "needed_for": "the tracker 'wandb'"}


class WandbTracker(WandbLogger):
    """Log to Weights & Biases.

    Without a key of that service, and unless ``WANDB_MODE`` says otherwise, nothing is sent: the
    run is kept in ``wandb``, in its folder, and ``wandb sync`` sends it when you want.

    Args:
        run_dir: The folder of the run, whose name the run gets.
        mode: ``"online"``, ``"offline"`` or ``"disabled"``; ``None`` for online if there is a key.
        project: What W&B lists the run under.
        offline: Another way to write ``mode="offline"``.
        settings: Other arguments of Lightning's ``WandbLogger``, or of ``wandb.init``.

    Raises:
        MissingExtraError: If W&B is not installed.
        ConfigError: If it shall be online, and there is no key.
    """

    def __init__(
        self,
        run_dir: str | Path,
        *,
        mode: str | None = None,
        project: str = "leyden",
        offline: bool = False,
        **settings: Any,
    ) -> None:
        wandb = require("wandb", **_NEEDED)
        run = Path(run_dir).absolute()
        # Lightning's own `offline` would set it for the whole process.
        known = {"name": run.name, "save_dir": run, "project": project}
        known["mode"] = _find_mode(wandb, "offline" if offline else mode)
        chosen: dict[str, Any] = known | settings
        Path(chosen["save_dir"]).mkdir(parents=True, exist_ok=True)
        super().__init__(**chosen)

    def finish(self, status: str) -> None:
        """End the run, so that the next one in this process is another.

        Args:
            status: ``"success"`` or not.
        """
        run = require("wandb", **_NEEDED).run
        if run is not None and run.id == self.version:
            run.finish(0 if status == "success" else 1)


def _find_mode(wandb: ModuleType, mode: str | None) -> str | None:
    if mode is None and "WANDB_MODE" in os.environ:
        return None
    if mode in ("offline", "disabled", "shared"):
        return mode
    if mode not in (None, "online"):
        problem = "Expected `mode` to be 'online', 'offline' or 'disabled'"
        raise ConfigError(f"{problem}, but got {mode!r}.")
    if _has_key(wandb):
        return "online"
    if mode == "online":
        problem = "Expected a key of W&B for `mode` 'online', but there is none"
        raise ConfigError(f"{problem}. Run `wandb login`, or leave out `mode`.")
    return "offline"


def _has_key(wandb: ModuleType) -> bool:
    if "prompt" in inspect.signature(wandb.login).parameters:
        return bool(wandb.login(prompt=False, verify=False))
    return bool(wandb.api.api_key)  # in older versions
