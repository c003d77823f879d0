"""What each command takes, and its help: no more is imported before a command is known to run."""

from leyden.cli.arguments.calibrate import add_calibrate
from leyden.cli.arguments.compare import add_compare
from leyden.cli.arguments.completion import add_completion
from leyden.cli.arguments.evaluate import add_evaluate
from leyden.cli.arguments.inspect import add_inspect
from leyden.cli.arguments.new import add_new
from leyden.cli.arguments.pack import add_pack
from leyden.cli.arguments.predict import add_predict
from leyden.cli.arguments.replay import add_replay
from leyden.cli.arguments.report import add_report
from leyden.cli.arguments.resume import add_resume
from leyden.cli.arguments.runs import add_runs
from leyden.cli.arguments.verify_resume import add_verify_resume

__all__ = [
    "add_calibrate",
    "add_compare",
    "add_completion",
    "add_evaluate",
    "add_inspect",
    "add_new",
    "add_pack",
    "add_predict",
    "add_replay",
    "add_report",
    "add_resume",
    "add_runs",
    "add_verify_resume",
]
