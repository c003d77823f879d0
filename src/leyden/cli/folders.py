"""Which folder a run or a sweep goes to, before Hydra makes it."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from typing_extensions import override

from leyden.cli.start import Origin, find_origin, is_done, newest_checkpoint
from leyden.cli.sweep import open_sweep
from leyden.config import (
    RUN_DIR,
    Sources,
    check_config,
    config_digest,
    differences,
    load_saved_config,
    plain_config,
)
from leyden.errors import ConfigError, ResumeError
from leyden.files import make_folder
from leyden.runs import RunDir, find_unfinished

__all__ = ["NEVER", "HandedOn", "RunFolders", "leave_if_done", "typed_overrides"]

NEVER = (None, "never")
"""Values of ``resume`` that begin anew."""

_STARTING = ("resume=auto", "resume=never", "resume=null")


class HandedOn(BaseException):
    """An error in one of Hydra's callbacks, of which Hydra would make a warning.

    Args:
        error: The error.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class RunFolders(Callback):
    """Have a run or a sweep go on in its folder, if ``resume`` says so."""

    @override
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            with read_write(config), open_dict(config):
                check_config(_plain(config), Sources.of(config.hydra))
                _choose_run_dir(config)
                if fixed := fixed_dir(config, "run"):  # which Hydra would fail to make otherwise
                    make_folder(fixed)
        except Exception as error:
            raise HandedOn(error) from error

    @override
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            with read_write(config), open_dict(config):
                _choose_sweep_dir(config)
        except Exception as error:
            raise HandedOn(error) from error


def leave_if_done(run: RunDir, config: Mapping[str, Any]) -> None:
    """End the program with a line and exit code 0 if there is nothing left to train."""
    if is_done(run, config):
        epochs = config.get("trainer", {}).get("max_epochs")
        print(
            f"{run.path} is finished (trainer.max_epochs={epochs}). To train longer, give more: "
            "trainer.max_epochs=..."
        )
        raise SystemExit(0)


def _choose_run_dir(config: DictConfig) -> None:
    resume, retrain = config.get("resume"), config.get("retrain", False)
    if retrain and resume in (*NEVER, "auto"):
        raise ConfigError(
            f"Expected `resume` to name a run or a checkpoint with `retrain=true`, but got "
            f"{resume!r}."
        )
    if resume in NEVER:
        return
    fixed = fixed_dir(config, "run")
    origin = _find_left(config, fixed) if resume == "auto" else find_origin(resume)
    if resume == "auto":
        place = "starting a new run" if origin is None else f"going on with {_run_path(origin)}"
        print(f"resume=auto: {place}", file=sys.stderr)
    config.resume = None if origin is None else str(origin.checkpoint)
    if origin is None or origin.run is None or retrain:
        return
    if fixed is None or fixed.absolute() == origin.run.path.absolute():
        leave_if_done(origin.run, config)
        _tell_differences(config, origin.run)
        config.hydra.run.dir = str(origin.run.path)


def _find_left(config: DictConfig, fixed: Path | None) -> Origin | None:
    """Find a run that was left before its end: in the folder that was named, or anywhere."""
    if fixed is not None:
        run = RunDir(fixed)
        if run.manifest_path.exists():
            leave_if_done(run, config)
        candidates = [run]
    else:
        candidates = find_unfinished(Path(config.runs_dir), _digest(config))
    for run in candidates:
        path, _ = newest_checkpoint(run)
        if path is not None:
            return Origin(path, run)
    return None


def _run_path(origin: Origin) -> Path:
    return origin.checkpoint if origin.run is None else origin.run.path


def fixed_dir(config: DictConfig, mode: str) -> Path | None:
    """Say which folder the user chose.

    Args:
        config: The whole configuration.
        mode: ``run`` or ``sweep``.

    Returns:
        The folder; ``None`` if a new one is to be claimed.
    """
    raw = OmegaConf.to_container(config.hydra[mode], resolve=False)
    assert isinstance(raw, dict)  # noqa: S101 - of Hydra's schema
    return None if "${claim_dir:" in str(raw["dir"]) else Path(str(config.hydra[mode].dir))


def _tell_differences(config: DictConfig, run: RunDir) -> None:
    found = differences(plain_config(load_saved_config(run)), _plain(config))
    if found:
        print(f"resume: other than before: {'; '.join(found)}", file=sys.stderr)


def _digest(config: DictConfig) -> str:
    return config_digest(_plain(config))


def _plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a configuration before Hydra has chosen the folder of the run."""
    before = HydraConfig.instance().cfg
    copy = config.copy()
    copy.hydra.runtime.output_dir = RUN_DIR
    HydraConfig.instance().set_config(copy)
    try:
        own = [str(key) for key in copy if key != "hydra"]
        return plain_config(OmegaConf.masked_copy(copy, own))
    finally:
        HydraConfig.instance().cfg = before


def _choose_sweep_dir(config: DictConfig) -> None:
    _seed_sampler(config)
    overrides = _identity(config)
    begins_anew = config.get("resume") == "never"
    fixed = fixed_dir(config, "sweep")
    sweep = open_sweep(
        Path(config.get("runs_dir", "runs")),
        overrides,
        make=lambda: Path(str(config.hydra.sweep.dir)),
        fixed=fixed,
        begins_anew=begins_anew,
        direction=_direction(config),
    )
    if sweep.is_continued and OmegaConf.select(config, "hydra.sweeper.storage") is not None:
        sweep.close()
        raise ResumeError(
            "Expected `hydra.sweeper.storage` to be null for a sweep that goes on, because its "
            "results are fed to the sampler again. Leave it out, or pass resume=never."
        )
    if sweep.is_continued:
        print(f"going on with the sweep in {sweep.path}", file=sys.stderr)
    config.hydra.sweep.dir = str(sweep.path)
    quoted = json.dumps(str(sweep.path), ensure_ascii=False)
    config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted}")  # for its jobs


def _identity(config: DictConfig) -> list[str]:
    """What makes a sweep the same as another: all that was typed, but whether to go on with it."""
    return typed_overrides(config.hydra, "hydra") + typed_overrides(config.hydra, "task")


def typed_overrides(hydra_config: Any, which: Literal["hydra", "task"]) -> list[str]:
    """List overrides as they were typed, but for whether to go on with what is there.

    Interpolations in them stay what they are.

    Args:
        hydra_config: The section of the configuration.
        which: Those for Hydra, or those for the run.
    """
    overrides = OmegaConf.to_container(hydra_config.overrides[which], resolve=False)
    assert isinstance(overrides, list)  # noqa: S101 - of Hydra's schema
    return [str(override) for override in overrides if override not in _STARTING]


def _seed_sampler(config: DictConfig) -> None:
    """A sampler without a seed would propose other trials when it is asked again."""
    sampler = OmegaConf.select(config, "hydra.sweeper.sampler")
    if isinstance(sampler, DictConfig) and "seed" in sampler and sampler.seed is None:
        sampler.seed = config.get("seed")


def _direction(config: DictConfig) -> str | None:
    """Say which objective is best; ``None`` where there are several."""
    chosen = OmegaConf.select(config, "hydra.sweeper.direction")
    if chosen is None:
        mode = OmegaConf.select(config, "callbacks.checkpoint.mode")
        return "maximize" if mode == "max" else "minimize"
    return getattr(chosen, "name", chosen) if not OmegaConf.is_list(chosen) else None
