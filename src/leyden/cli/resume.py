"""``leyden resume``: go on with a run, with the configuration that is in its folder."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from leyden.cli import training
from leyden.cli.command import Commands, add_command
from leyden.cli.folders import leave_if_done
from leyden.cli.start import Origin, find_origin
from leyden.cli.train import answer, exit_code, prepare_process
from leyden.config import (
    Sources,
    check_config,
    dotted_keys,
    explain_unknown_key,
    load_saved_config,
    plain_config,
)
from leyden.errors import ConfigError, ResumeError
from leyden.resume.checkpoints import num_steps
from leyden.runs import RunDir

__all__ = ["add_resume"]

_DESCRIPTION = """Go on with a run where it was left: after Ctrl-C, SIGTERM, an error, `kill -9` or
a power cut. What comes out is what would have come out without the interruption."""

_EPILOG = """examples:
  leyden resume runs/2026-11-21/09-06-10-M1__cnn
  leyden resume runs/2026-11-21/09-06-10-M1__cnn trainer.max_epochs=20   train longer

A sweep is gone on with by its own command.
"""


def add_resume(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "resume",
        run_resume,
        summary="go on with a run that was interrupted",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={
            0: "the run ended well, or was finished already",
            1: "a bug: there is a traceback",
            2: "a slip of yours, or nothing to go on with; the line says which",
            130: "Ctrl-C; the same command goes on",
            143: "SIGTERM, likewise",
        },
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of the run")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="what is to be other than it was"
    )


def run_resume(arguments: argparse.Namespace) -> int:
    """Go on as the command line says.

    Args:
        arguments: What ``add_resume`` made of it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C, 143 after SIGTERM.
    """
    prepare_process()
    for name in ("lightning.pytorch", "lightning.fabric"):  # as the configuration of Hydra has it
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        origin = find_origin(arguments.run)
        run = _run_of(origin)
        config = _configure(origin, run, arguments.overrides)
        leave_if_done(run, plain_config(config))
        _go_on(config, origin, run)
    except (KeyboardInterrupt, SystemExit) as exit_:
        return exit_code(exit_)
    except Exception as error:
        code = None if os.environ.get("HYDRA_FULL_ERROR") == "1" else answer(error)
        if code is None:
            raise
        return code
    return 0


def _run_of(origin: Origin) -> RunDir:
    if origin.run is None:
        problem = f"Expected `RUN` to be the folder of a run, but got {str(origin.checkpoint)!r}"
        raise ResumeError(f"{problem}. Use `leyden train resume=FILE` for a file elsewhere.")
    return origin.run


def _go_on(config: DictConfig, origin: Origin, run: RunDir) -> None:
    step = num_steps(origin.checkpoint)
    print(f"going on with {run.path} from step {step}, {origin.checkpoint.name}")
    try:
        training.train(config, sys.argv, origin=origin)
    except (KeyboardInterrupt, SystemExit):
        training.say_how_to_go_on(run)
        raise


def _configure(origin: Origin, run: RunDir, overrides: Sequence[str]) -> DictConfig:
    config = load_saved_config(run)
    known = dotted_keys(config)
    for override in overrides:
        key, sign, _ = override.partition("=")
        if not sign:
            raise ConfigError(f"Expected an override key=value, but got {override!r}.")
        if key.startswith("+"):
            continue
        if key not in known:
            raise ConfigError(explain_unknown_key(key, known))
    changes = OmegaConf.from_dotlist([override.removeprefix("+") for override in overrides])
    try:
        merged = OmegaConf.merge(config, changes)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    assert isinstance(merged, DictConfig)  # noqa: S101 - of two of them
    OmegaConf.update(merged, "resume", str(origin.checkpoint))
    OmegaConf.update(merged, "retrain", value=False)
    check_config(plain_config(merged), Sources(overrides))
    return merged
