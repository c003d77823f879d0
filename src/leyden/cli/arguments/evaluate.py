"""What ``leyden evaluate`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["METHODS", "METRICS", "PHASES", "add_evaluate"]

# Written down once more, as importing the rooms that they belong to takes seconds.
METRICS = (
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "cohen_kappa",
    "confusion_matrix",
    "f1",
    "log_loss",
    "mae",
    "matthews_corrcoef",
    "mse",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc",
    "roc_auc",
)
"""Names of ``leyden.evaluation.METRICS``."""

METHODS = ("auto", "eval_op", "predict_step", "test_step", "forward")
"""Values of ``leyden.evaluation.Method``."""

PHASES = ("train", "val", "test", "predict")
"""Values of ``leyden.types.Phase``."""

_DESCRIPTION = f"""Run the model of a run over a part of its data, store what it gives for every row
in RUN/evaluation/<time>/<step>/, and compute metrics over the rows.

One process does it, also where several have trained, on the kind of device that was trained on.
A report.html of the run is brought up to date.

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
        "leyden.cli.evaluate:run_evaluate",
        summary="store and judge what a trained model gives",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run, or evaluation")
    parser.add_argument(
        "--checkpoint", metavar="NAME", help="best (which is used otherwise), last, or a file"
    )
    parser.add_argument(
        "--split", metavar="NAME", help=f"{', '.join(PHASES)}; test is used otherwise"
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
        choices=METHODS,
        default="auto",
        help="what of the module is called for a batch",
    )
    parser.add_argument(
        "--anew", action="store_true", help="run the model although there are stored rows"
    )
    parser.add_argument("--accelerator", metavar="NAME", help="cpu, gpu, auto ...")
