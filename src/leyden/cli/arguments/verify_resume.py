"""What ``leyden verify-resume`` takes."""

from pathlib import Path

from leyden.cli.command import Commands, add_command, count

__all__ = ["add_verify_resume"]

_DESCRIPTION = """Run a training command for some batches, once as it is and once interrupted by
every kind of signal and started again each time, and compare the two bit for bit:
weights, optimizer states, batches, metrics and logged rows.

The command uses `ExactResume(DIR)` and `fit(..., ckpt_path=leyden.latest_checkpoint(DIR))`;
nothing else in it changes. Its real checkpoints are not touched."""

_EPILOG = """examples:
  leyden verify-resume --steps 60 --interruptions 5 -- python my_training.py --epochs 2
  leyden verify-resume --seed 7 --ignore time/* -- python fit.py   the places of an earlier one"""


def add_verify_resume(commands: Commands) -> None:
    """Add the sub-command to those of ``leyden``."""
    parser = add_command(
        commands,
        "verify-resume",
        "leyden.cli.verify_resume:run_verify_resume",
        summary="prove that a training command can be interrupted anywhere",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        exit_codes={
            0: "the same: there is a certificate",
            1: "something differs: what, where and why most likely is printed",
            2: "the command cannot be verified",
            130: "Ctrl-C; nothing was proved",
        },
    )
    add = parser.add_argument
    add("training", nargs="+", metavar="COMMAND", help="after `--`: a program and its arguments")
    add("--steps", type=count, default=60, metavar="N", help="batches (default: 60)")
    add(
        "--interruptions",
        type=count,
        default=5,
        metavar="K",
        help="times it is interrupted; 5 are every kind of signal (default: 5)",
    )
    add("--seed", type=int, metavar="S", help="that places are drawn with (default: by chance)")
    add(
        "--ignore",
        action="append",
        default=[],
        metavar="NAME",
        help="a metric that need not be the same, such as a time; a pattern, more than once",
    )
    add("--output", type=Path, metavar="FILE", help="write the result there too, as JSON")
    add("--folder", type=Path, metavar="DIR", help="work there, and leave all that was recorded")
    add(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="without any sign of life after which the command is taken to hang (default: 600)",
    )
