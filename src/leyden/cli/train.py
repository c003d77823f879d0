"""``python train.py`` and ``leyden train``: a run, or with ``-m`` a sweep, from a configuration."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig

from leyden.cli import training
from leyden.config import conf_dir, explain, register_resolvers
from leyden.runs import RunDir

__all__ = ["main"]

_CONFIG = "train"
_FULL_ERROR = "HYDRA_FULL_ERROR"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says.

    Args:
        arguments: Hydra overrides and options; those of the process if ``None``.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C, 143 after SIGTERM.
    """
    register_resolvers()
    # Lightning reads a torch class that torch has deprecated; nothing for a user to change.
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
    command = list(sys.argv)
    if arguments is not None:
        sys.argv[1:] = arguments  # where Hydra looks
    wants_traceback = os.environ.get(_FULL_ERROR) == "1"
    try:
        _compose_and_train(command)
    except (KeyboardInterrupt, SystemExit) as exit_:
        return _exit_code(exit_)
    except Exception as error:
        line = explain(error, conf_dir(), _CONFIG)
        if wants_traceback or line is None:
            raise
        print(line, file=sys.stderr)
        return 2
    return 0


def _exit_code(exit_: KeyboardInterrupt | SystemExit) -> int:
    """Say how the process ended, as shells do: 128 and the number of the signal."""
    if isinstance(exit_, SIGTERMException):
        return 128 + signal.SIGTERM
    # Lightning ends with code 1 after Ctrl-C.
    if isinstance(exit_, KeyboardInterrupt) or isinstance(exit_.__context__, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return int(exit_.code or 0)


def _compose_and_train(command: Sequence[str]) -> None:
    failed: list[Exception] = []

    def job(config: DictConfig) -> float | None:
        try:
            return _train(config, command)
        except Exception as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # Hydra goes on with the other jobs, and says which one it was
            failed.append(error)  # Hydra would print more than one line about it
            return None

    with _hydra_hands_errors_on():
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=_CONFIG)(job)()
    for error in failed:
        raise error


@contextmanager
def _hydra_hands_errors_on() -> Iterator[None]:
    """Have Hydra raise what it would print."""
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    finally:
        os.environ.pop(_FULL_ERROR)
        if before is not None:
            os.environ[_FULL_ERROR] = before


def _train(config: DictConfig, command: Sequence[str]) -> float | None:
    """Train once; the objective of a sweep is the best value of the monitored metric."""
    began = time.perf_counter()
    run_dir = RunDir(Path(config.run_dir))
    try:
        prepared = training.prepare(config)
    except Exception:
        _discard(run_dir)
        raise
    results = training.run(prepared, command)
    training.summarize(prepared, results, time.perf_counter() - began)
    return training.best_score(prepared.trainer)


def _discard(run_dir: RunDir) -> None:
    """Remove the folder of a run that never began, if it holds nothing but Hydra's log."""
    log_path = run_dir.path / f"{_CONFIG}.log"
    if set(run_dir.path.iterdir()) <= {log_path}:
        log_path.unlink(missing_ok=True)
        run_dir.path.rmdir()
