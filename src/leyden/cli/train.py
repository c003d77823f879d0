"""``python train.py`` and ``leyden train``: a run, or with ``-m`` a sweep, from a configuration."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from leyden.cli import training
from leyden.cli.folders import NEVER, HandedOn, typed_overrides
from leyden.cli.guard import (
    answer,
    exit_code,
    explain_failure,
    hydra_hands_errors_on,
    prepare_process,
    wants_traceback,
)
from leyden.cli.options import Typed, read_options
from leyden.cli.start import Origin, find_origin, newest_checkpoint
from leyden.cli.summary import say_how_to_go_on
from leyden.cli.sweep import Sweep, take_open_sweep
from leyden.config import conf_dir, config_digest, plain_config
from leyden.runs import RunDir, RunStatus, read_manifest, run_of

__all__ = ["main"]

_CONFIG = "train"
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
    with_traceback = wants_traceback()  # which Hydra's variable says, and leyden sets meanwhile
    typed = Typed(arguments, None, _CONFIG)
    try:
        typed = read_options(arguments, _CONFIG)
        sys.argv[1:] = map(_quote_path, typed.words)  # where Hydra looks
        return _compose_and_train(command)
    except (KeyboardInterrupt, SystemExit) as exit_:
        return exit_code(exit_)
    except Exception as error:
        code = None if with_traceback else answer(error, typed)
        if code is None:
            raise
        return code


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
        say_how_to_go_on(run)
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
        line = explain_failure(error)
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
