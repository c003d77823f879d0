"""What ``leyden calibrate`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["add_calibrate"]

_DESCRIPTION = """Find the decision threshold at which a metric is best on the validation data of a
run, and the sets that its model is best on, from predictions that the run has stored; if it has
none of its best checkpoint, they are made and stored first. What is found is kept in the run's
calibration.json and calibration.png. With --apply, the best checkpoint gets the threshold, and
whatever predicts from it uses it."""

_EPILOG = """examples:
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn                      threshold of the best F1
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn --metric informedness --bounds 0.2 0.8 --apply
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn --metric auroc --subset-size 5
  leyden calibrate runs/2026-11-21/09-06-10-M1__cnn --metric loss --subset-size 5   from the ledger
"""


def add_calibrate(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "calibrate",
        "leyden.cli.calibrate:run_calibrate",
        summary="find the best threshold of a run, and the sets it is best on",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--metric", default="f1", help="name or import path; f1 by default")
    parser.add_argument(
        "--bounds",
        nargs=2,
        type=float,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="lowest and highest threshold tried; 0 and 1 by default",
    )
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="from LOW to HIGH; 100")
    parser.add_argument(
        "--prefer", type=float, default=0.5, metavar="T", help="favoured among equals; 0.5"
    )
    parser.add_argument(
        "--better", choices=("higher", "lower"), help="which way is, where the metric is not to say"
    )
    parser.add_argument("--subset-size", type=int, metavar="N", help="how many sets are chosen")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="instead of the best one")
    parser.add_argument(
        "--records", type=Path, metavar="FILE", help="predictions, instead of those in the run"
    )
    for column in ("score", "target", "set-number"):
        parser.add_argument(f"--{column}", metavar="COLUMN", help="its name in the records")
    parser.add_argument(
        "--apply", action="store_true", help="have the checkpoint decide by the threshold"
    )
