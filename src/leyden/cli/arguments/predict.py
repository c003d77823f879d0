"""What ``leyden predict`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command

__all__ = ["add_predict"]

_DESCRIPTION = """Predict for new rows with the model of a run, or with a saved experiment, and
write the predictions to a file: the class by the model's threshold and the probabilities, or
numbers. Rows are prepared as in training. The file is there whole or not at all."""

_EPILOG = """examples:
  leyden predict RUN rows.csv                       rows-predictions.parquet
  leyden predict RUN new/shards -o predictions.csv
  leyden predict trained.zip images.npy -o predictions.npy
  leyden predict RUN rows.csv --threshold 0.3       another decision than the model's own

INPUT is a folder of numbered shards, or a .npy, .csv, .tsv or .parquet file with a sample in each
row; labels in it are left out. Columns are told by their names, in whatever order they are.
"""


def add_predict(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "predict",
        "leyden.cli.predict:run_predict",
        summary="predict for new rows",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="the folder of a run, or a saved experiment (.zip)"
    )
    parser.add_argument("input", type=Path, metavar="INPUT", help="a folder or a file of rows")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="as .parquet, .csv or .npy"
    )
    parser.add_argument(
        "--checkpoint", default="best", metavar="NAME", help="of a run: best, last, or a file"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="P", help="probability above which the answer is yes"
    )
    parser.add_argument(
        "--label-column", metavar="NAME", help="a column of the table that is no input"
    )
    parser.add_argument(
        "--drop",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="more columns of the table that are no inputs",
    )
    parser.add_argument(
        "--trust",
        nargs="+",
        default=(),
        metavar="PACKAGE",
        help="packages of which a saved experiment may make objects",
    )
