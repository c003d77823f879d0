"""The one place that knows Lightning's private parts: of the trainer, its loops and connectors.

Every private name that is used has a test that fails when a release of Lightning moves it.
"""

from leyden.resume.trainer_internals.continuing import (
    Continued,
    continue_between_epochs,
    continue_epoch,
)
from leyden.resume.trainer_internals.hooks import LoopHooks
from leyden.resume.trainer_internals.logged import first_of_loop, logged_state, restore_logged
from leyden.resume.trainer_internals.progress import mend_progress, restore_progress
from leyden.resume.trainer_internals.running import (
    accumulates,
    at_epoch,
    drawn_ahead,
    draws_ahead,
    dump,
    has_to_make,
    leave_quietly,
    loaders_of,
)
from leyden.resume.trainer_internals.saved import note_written, restore_written, written_state

__all__ = [
    "Continued",
    "LoopHooks",
    "accumulates",
    "at_epoch",
    "continue_between_epochs",
    "continue_epoch",
    "drawn_ahead",
    "draws_ahead",
    "dump",
    "first_of_loop",
    "has_to_make",
    "leave_quietly",
    "loaders_of",
    "logged_state",
    "mend_progress",
    "note_written",
    "restore_logged",
    "restore_progress",
    "restore_written",
    "written_state",
]
