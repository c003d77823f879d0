"""``leyden evaluate``, ``python evaluate.py``: what a model gives, and how good it is."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import hydra
from omegaconf import DictConfig, OmegaConf

from leyden.cli.command import Commands, add_command
from leyden.cli.evaluating import Request, evaluate_run
from leyden.cli.facts import print_facts
from leyden.cli.guard import guarded
from leyden.cli.train import hydra_hands_errors_on
from leyden.config import conf_dir
from leyden.errors import ConfigError
from leyden.evaluation import METRICS, Evaluation, Method
from leyden.types import Phase

__all__ = ["add_evaluate", "main"]

_CONFIG = "evaluate"
_DESCRIPTION = f"""Run the model of a run over a part of its data, store what it gives for every row
in RUN/evaluation/<time>/<step>/, and compute metrics over the rows.

With --metrics, rows that are stored already are used, and neither the model nor the data is needed.
A metric is one of {", ".join(METRICS)};
any function of scikit-learn's metrics or torchmetrics.functional; an import path package.module.fn;
or a file of yours, FILE.py:fn. Yours are given the columns that their arguments are called like."""

_EPILOG = """examples:
  leyden evaluate RUN                                the best checkpoint on the test part
  leyden evaluate RUN --checkpoint last --split val
  leyden evaluate RUN --data other/shards            the same model, other data
  leyden evaluate RUN --metrics recall gap=mine.py:gap   more metrics of stored rows
  leyden compare RUN OTHER                           which rows got better, and which worse
"""


def add_evaluate(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "evaluate",
        run_evaluate,
        summary="store and judge what a trained model gives",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run, or evaluation")
    parser.add_argument(
        "--checkpoint", metavar="NAME", help="best (which is used otherwise), last, or a file"
    )
    parser.add_argument(
        "--split", metavar="NAME", help=f"{', '.join(Phase)}; test is used otherwise"
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="[NAME=]METRIC",
        help="what to compute, instead of what suits the rows",
    )
    parser.add_argument("--data", type=Path, metavar="PATH", help="other data than the run's")
    parser.add_argument("--batch-size", type=int, metavar="N", help="rows of a batch")
    parser.add_argument(
        "--method",
        choices=get_args(Method),
        default="auto",
        help="what of the module is called for a batch",
    )
    parser.add_argument(
        "--anew", action="store_true", help="run the model although there are stored rows"
    )
    parser.add_argument("--accelerator", metavar="NAME", help="cpu, gpu, auto ...")


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
    _show(done, was_run=was_run)


def _show(done: Evaluation, *, was_run: bool) -> None:
    print_facts(_lines(done, was_run=was_run))


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
        with hydra_hands_errors_on():
            job()
        for error in failed:
            raise error

    return guarded(act, _CONFIG)


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
