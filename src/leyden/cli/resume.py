"""``leyden resume``: go on with a run, with the configuration that is in its folder."""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from leyden.cli import training
from leyden.cli.folders import leave_if_done
from leyden.cli.guard import answer, exit_code, prepare_process, wants_traceback
from leyden.cli.start import Origin, find_origin
from leyden.cli.summary import say_how_to_go_on
from leyden.config import (
    Sources,
    check_config,
    dotted_keys,
    explain_unknown_key,
    load_saved_config,
    plain_config,
)
from leyden.errors import ConfigError, ResumeError
from leyden.incidents import quiet_lightning
from leyden.resume.checkpoints import num_steps
from leyden.runs import RunDir

__all__ = ["run_resume"]

_LOG_FORMAT = "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"  # Hydra's


def run_resume(arguments: argparse.Namespace) -> int:
    """Go on as the command line says.

    Args:
        arguments: What ``add_resume`` made of it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C, 143 after SIGTERM.
    """
    prepare_process()
    try:
        origin = find_origin(arguments.run)
        run = _run_of(origin)
        config = _configure(origin, run, arguments.overrides)
        leave_if_done(run, plain_config(config))
        _go_on(config, origin, run)
    except (KeyboardInterrupt, SystemExit) as exit_:
        return exit_code(exit_)
    except Exception as error:
        code = None if wants_traceback() else answer(error)
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
        with _logging_to(run), quiet_lightning():  # as the configuration of Hydra has it
            training.train(config, sys.argv, origin=origin)
    except (KeyboardInterrupt, SystemExit):
        say_how_to_go_on(run)
        raise


@contextmanager
def _logging_to(run: RunDir) -> Iterator[None]:
    """Have messages go to the log of the run and to the terminal, as in a run that begins."""
    handlers: list[logging.Handler] = [
        logging.FileHandler(run.log_path),
        logging.StreamHandler(sys.stdout),
    ]
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_LOG_FORMAT))
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


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
