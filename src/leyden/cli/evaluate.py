"""``leyden evaluate``, ``python evaluate.py``: what a model gives, and how good it is."""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from leyden.cli.evaluating import Request, evaluate_run
from leyden.cli.facts import print_facts
from leyden.cli.guard import guarded, hydra_hands_errors_on
from leyden.cli.report import renew_page
from leyden.config import conf_dir
from leyden.errors import ConfigError
from leyden.evaluation import Evaluation
from leyden.runs import RunDir

__all__ = ["main", "run_evaluate"]

_CONFIG = "evaluate"


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Evaluate as the command line says.

    Args:
        arguments: What ``add_evaluate`` made of it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C.
    """
    metrics = arguments.metrics
    request = Request(
        arguments.run,
        checkpoint=arguments.checkpoint,
        split=arguments.split,
        metrics=None if metrics is None else _named(metrics),
        data=arguments.data,
        batch_size=arguments.batch_size,
        method=arguments.method,
        anew=arguments.anew,
        accelerator=arguments.accelerator,
    )
    return guarded(lambda: _evaluate(request), _CONFIG)


def _named(metrics: Sequence[str]) -> dict[str, str]:
    """Read ``name=metric``; a metric alone is its own name."""
    pairs = (one.partition("=") for one in metrics)
    return {name: metric if sign else name for name, sign, metric in pairs}


def _evaluate(request: Request) -> None:
    done, was_run = evaluate_run(request)
    page = renew_page(RunDir(done.path.parents[2]))
    print_facts([*_lines(done, was_run=was_run), *([("report", page)] if page else ())])


def _lines(done: Evaluation, *, was_run: bool) -> Iterator[tuple[str, object]]:
    for name, number in done.metrics.items():
        yield name, "not a number" if number is None else f"{number:.5g}"
    for name, file in done.figures.items():
        yield name, done.path / file
    facts = done.facts
    rows = f"{facts['num_rows']} of {facts['split']}"
    yield "rows", rows if was_run else f"{rows}, stored before"
    yield "checkpoint", f"{facts.get('checkpoint')} (step {facts['global_step']})"
    yield "records", done.records.path


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate as a configuration says.

    Args:
        arguments: Hydra overrides and options; those of the process if ``None``.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C.
    """
    if arguments is not None:
        sys.argv[1:] = arguments
    failed: list[Exception] = []

    @hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=_CONFIG)
    def job(config: DictConfig) -> None:
        try:
            _evaluate(_read(config))
        except Exception as error:  # noqa: BLE001 - raised again below
            failed.append(error)  # Hydra would print more than one line about it

    def act() -> None:
        _refuse_trainer(sys.argv[1:])
        with hydra_hands_errors_on():
            job()
        for error in failed:
            raise error

    return guarded(act, _CONFIG)


def _refuse_trainer(overrides: Sequence[str]) -> None:
    """Say that a run of several processes is evaluated by one, where another is asked for."""
    for override in overrides:
        if re.match(r"[+~]*trainer\b", override):
            problem = "Expected no `trainer`, as one process evaluates, also where several trained"
            remedy = "Leave it out; accelerator=gpu chooses where."
            raise ConfigError(f"{problem}, but got {override!r}. {remedy}")


def _read(config: DictConfig) -> Request:
    """Make a request of a configuration."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)  # noqa: S101 - a DictConfig becomes a dictionary
    settings: dict[str, Any] = {str(key): value for key, value in plain.items()}
    metrics = settings["metrics"]
    if isinstance(metrics, list):
        metrics = {str(name): str(name) for name in metrics}
    if metrics is not None and not isinstance(metrics, Mapping):
        problem = "Expected `metrics` to be a list, or names with functions"
        raise ConfigError(f"{problem}, but got {metrics!r}. Write metrics=[accuracy].")
    settings["run"] = Path(str(settings["run"]))
    settings["data"] = None if settings["data"] is None else Path(str(settings["data"]))
    return Request(**{**settings, "metrics": metrics})
