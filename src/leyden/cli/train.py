"""``python train.py`` and ``leyden train``: a run, or with ``-m`` a sweep, from a configuration."""

import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, open_dict

from leyden.cli import training
from leyden.cli.folders import NEVER, HandedOn, typed_overrides
from leyden.cli.options import Typed, read_options
from leyden.cli.ranks import RanksFailedError
from leyden.cli.start import Origin, find_origin, newest_checkpoint
from leyden.cli.sweep import Sweep, take_open_sweep
from leyden.config import conf_dir, config_digest, explain, plain_config, register_resolvers
from leyden.runs import RunDir, RunStatus, read_manifest, run_of

__all__ = ["answer", "exit_code", "hydra_hands_errors_on", "main", "prepare_process"]

_CONFIG = "train"
_FULL_ERROR = "HYDRA_FULL_ERROR"
_DISK = {
    errno.ENOSPC: "Free space there",
    errno.EDQUOT: "Free some of your quota",
    errno.EFBIG: "Raise the limit of file sizes (`ulimit -f`)",
    errno.EROFS: "Make the file system writable",
    errno.EIO: "Check the disk",
}
_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says.

    Args:
        arguments: Hydra overrides and options; those of the process if ``None``.

    Returns:
        The exit code: 0, 1 if a job of a sweep or a process of a run failed, 2 for a user's slip,
        130 after Ctrl-C, 143 after SIGTERM.
    """
    prepare_process()
    command = list(sys.argv)
    arguments = sys.argv[1:] if arguments is None else arguments
    wants_traceback = os.environ.get(_FULL_ERROR) == "1"
    typed = Typed(arguments, None, _CONFIG)
    try:
        typed = read_options(arguments, _CONFIG)
        sys.argv[1:] = map(_quote_path, typed.words)  # where Hydra looks
        return _compose_and_train(command)
    except (KeyboardInterrupt, SystemExit) as exit_:
        return exit_code(exit_)
    except Exception as error:
        code = None if wants_traceback else answer(error, typed)
        if code is None:
            raise
        return code


def answer(error: Exception, typed: Typed | None = None) -> int | None:
    """Tell a user in a line what went wrong.

    Args:
        error: What ended a run.
        typed: The command line, where it names files of a user's own.

    Returns:
        The exit code, 2 for a slip; ``None`` if the error is a bug of which nothing was told.
    """
    line = _explain(error, typed)
    if line is not None:
        print(line, file=sys.stderr)
        return 1 if isinstance(error, RanksFailedError) else 2
    return None


def _explain(error: Exception, typed: Typed | None = None) -> str | None:
    if isinstance(error, RanksFailedError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f" in {error.filename}" if error.filename else ""
        remedy = f"{_DISK[error.errno]}, then go on: leyden resume RUN."
        return f"Expected a disk that can be written to, but got: {error.strerror}{where}. {remedy}"
    if isinstance(error, MisconfigurationException):  # such as a metric that nobody logs
        return " ".join(str(error).split())
    name, folder = (_CONFIG, None) if typed is None else (typed.name, typed.folder)
    return explain(error, conf_dir(), name, folder)


def prepare_process() -> None:
    """Do what every training from a configuration needs to have been done."""
    register_resolvers()
    # Lightning reads a torch class that torch has deprecated; nothing for a user to change.
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
    # Lightning calls what torch has deprecated; likewise.
    warnings.filterwarnings("ignore", r"torch\.distributed\.nn\.functional\.all_gather is")
    # The folder of checkpoints is shared with `ExactResume`, on purpose.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")


def exit_code(exit_: KeyboardInterrupt | SystemExit) -> int:
    """Say how the process ended, as shells do: 128 and the number of the signal.

    Args:
        exit_: What ends it.
    """
    if isinstance(exit_, SIGTERMException):
        return 128 + signal.SIGTERM
    # Lightning ends with code 1 after Ctrl-C.
    if isinstance(exit_, KeyboardInterrupt) or isinstance(exit_.__context__, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return int(exit_.code or 0)


def _quote_path(argument: str) -> str:
    """Have Hydra take a path as it is, with the ``=`` that is in the names of checkpoints."""
    key, _, value = argument.partition("=")
    if key != "resume" or not Path(value).exists():
        return argument
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"resume='{escaped}'"


def _compose_and_train(command: Sequence[str]) -> int:
    failed: list[Exception] = []

    def job(config: DictConfig) -> float | None:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            prepare_process()  # a launcher may have made this process for the job
            return _train_job(config, command)
        try:
            return _train(config, command)
        except Exception as error:  # noqa: BLE001 - raised again below
            failed.append(error)  # Hydra would print more than one line about it
            return None

    with _conclusion_of_sweep() as num_failed:
        try:
            with hydra_hands_errors_on():
                hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=_CONFIG)(
                    job
                )()
        except HandedOn as handed:
            raise handed.error from None
    for error in failed:
        raise error
    return 1 if num_failed else 0


@contextmanager
def _conclusion_of_sweep() -> Iterator[list[RunDir]]:
    """Show how the jobs of a sweep stand when all were tried, and list those that failed."""
    failed: list[RunDir] = []
    while (left := take_open_sweep()) is not None:  # by an earlier command in this process
        left.close()
    sweep: Sweep | None = None
    try:
        yield failed
    except ValueError:
        sweep = take_open_sweep()
        if sweep is None or not _all_failed(sweep):
            raise
        # Optuna has no best trial where all failed.
    except (KeyboardInterrupt, SystemExit):
        sweep, interrupted = None, take_open_sweep()
        if interrupted is not None:
            interrupted.close()
            print(
                f"Interrupted. To go on with the sweep in {interrupted.path}, run the same command "
                "again.",
                file=sys.stderr,
            )
        raise
    sweep = sweep or take_open_sweep()
    if sweep is not None:
        results = sweep.conclude()
        sweep.close()
        failed += [one.run for one in results if one.status is not RunStatus.FINISHED]


def _all_failed(sweep: Sweep) -> bool:
    results = sweep.results()
    return bool(results) and all(one.status is RunStatus.FAILED for one in results)


@contextmanager
def hydra_hands_errors_on() -> Iterator[None]:
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
    """Train once, where and from what `RunFolders` has chosen."""
    run, origin = RunDir(Path(config.run_dir)), None
    if config.get("resume") not in NEVER:
        path = Path(config.resume)
        origin = Origin(path, run_of(path))
    try:
        return training.train(config, command, origin=origin)
    except Exception:
        _discard(run)
        raise
    except (KeyboardInterrupt, SystemExit):
        training.say_how_to_go_on(run)
        raise


def _train_job(config: DictConfig, command: Sequence[str]) -> float | None:
    """Do a job of a sweep, or what is left of it; a failure is told, and leaves the others alone.

    The objective of a sweep is the best value of the monitored metric.
    """
    hydra_config = HydraConfig.get()
    sweep, wanted = Sweep(Path(hydra_config.sweep.dir)), Path(config.run_dir)
    number, overrides = hydra_config.job.num, typed_overrides(hydra_config, "task")
    try:
        run = sweep.claim(number, overrides, config_digest(plain_config(config)), wanted)
        if run.path != wanted:
            _discard(RunDir(wanted))
        with open_dict(config):
            config.run_dir = str(run.path.absolute())
        facts = read_manifest(run.manifest_path) if run.manifest_path.exists() else {}
        if facts.get("status") == RunStatus.FINISHED:
            print(f"job {number} is finished: {run.path}")
            return facts.get("objective")
        return training.train(config, command, origin=_origin_of_job(config, run), is_job=True)
    except Exception as error:  # noqa: BLE001 - the other jobs go on
        line = _explain(error)
        if line is None:
            _log.exception("job %s failed", number)
        else:
            print(f"job {number} failed: {line}", file=sys.stderr)
        return None


def _origin_of_job(config: DictConfig, run: RunDir) -> Origin | None:
    """A job goes on where it was left; one that is new begins where all begin."""
    path, problems = newest_checkpoint(run)
    if problems:
        print(problems, file=sys.stderr)
    if path is not None:
        return Origin(path, run)
    # What an earlier start has left, and nothing continues, would be mixed with what comes now.
    for old in (run.metrics_path, run.ledger_path, run.history_path):
        old.unlink(missing_ok=True)
    resume = config.get("resume")
    return None if resume in (*NEVER, "auto") else find_origin(resume)


def _discard(run: RunDir) -> None:
    """Remove the folder of a run that never began, if it holds nothing but Hydra's log."""
    log_path, lock_path = run.log_path, run.path / ".lock"
    if set(run.path.iterdir()) <= {log_path, lock_path}:
        log_path.unlink(missing_ok=True)
        lock_path.unlink(missing_ok=True)
        run.path.rmdir()
