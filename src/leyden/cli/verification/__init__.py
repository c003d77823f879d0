"""The parts of ``leyden verify-resume``: starting runs, comparing them, saying what differs."""

from leyden.cli.verification.causes import Cause, cause_of
from leyden.cli.verification.certificate import Leg, Outcome, as_json, print_certificate
from leyden.cli.verification.comparison import Difference, first_difference
from leyden.cli.verification.plan import plan_interruptions, requests_between
from leyden.cli.verification.records import Record, Start, read_start
from leyden.cli.verification.starts import Ended, run_command

__all__ = [
    "Cause",
    "Difference",
    "Ended",
    "Leg",
    "Outcome",
    "Record",
    "Start",
    "as_json",
    "cause_of",
    "first_difference",
    "plan_interruptions",
    "print_certificate",
    "read_start",
    "requests_between",
    "run_command",
]
