"""``leyden predict``: what a trained model says of new rows."""

import argparse
import warnings
from pathlib import Path

from leyden.cli.facts import print_facts
from leyden.cli.guard import guarded
from leyden.cli.predicting import find_predictor, predict_file

__all__ = ["run_predict"]


def run_predict(arguments: argparse.Namespace) -> int:
    """Predict as the command line says.

    Args:
        arguments: What ``add_predict`` made of it.

    Returns:
        The exit code: 0, 2 for a user's slip, 130 after Ctrl-C.
    """
    return guarded(lambda: _predict(arguments))


def _predict(arguments: argparse.Namespace) -> None:
    target = arguments.output or Path(f"{arguments.input.stem}-predictions.parquet")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        predictor = find_predictor(
            arguments.run,
            checkpoint=arguments.checkpoint,
            threshold=arguments.threshold,
            trust=arguments.trust,
        )
        found = predict_file(
            predictor,
            arguments.input,
            target,
            label_column=arguments.label_column,
            drop=arguments.drop,
        )
    classes = [(f"class {name}", count) for name, count in sorted(found.classes.items())]
    print_facts([("predictions", target), ("rows", found.rows), *classes])
