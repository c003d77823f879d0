"""The whole state of a training run: how it is captured, kept and brought back."""

from leyden.resume.attributes import Baseline
from leyden.resume.checkpoints import (
    CheckpointStore,
    as_it_was,
    as_plain,
    files_of,
    latest_checkpoint,
    load,
    overwrite_later_files,
    verify,
)
from leyden.resume.continuation import STATE_VERSION, Continuation
from leyden.resume.interrupts import Interrupted, Interrupts
from leyden.resume.loaders import (
    FastForward,
    LoaderFollower,
    check_fast_forward,
    follow,
    follower_of,
)
from leyden.resume.loggers import continue_loggers, logger_states
from leyden.resume.making import Making, as_made, making_of
from leyden.resume.moments import Moment
from leyden.resume.observation import observe
from leyden.resume.rank_state import callbacks_of, gathered, rank_state
from leyden.resume.trainer_internals import (
    LoopHooks,
    draws_ahead,
    dump,
    first_of_loop,
    has_to_make,
    leave_quietly,
    loaders_of,
    written_state,
)

__all__ = [
    "STATE_VERSION",
    "Baseline",
    "CheckpointStore",
    "Continuation",
    "FastForward",
    "Interrupted",
    "Interrupts",
    "LoaderFollower",
    "LoopHooks",
    "Making",
    "Moment",
    "as_it_was",
    "as_made",
    "as_plain",
    "callbacks_of",
    "check_fast_forward",
    "continue_loggers",
    "draws_ahead",
    "dump",
    "files_of",
    "first_of_loop",
    "follow",
    "follower_of",
    "gathered",
    "has_to_make",
    "latest_checkpoint",
    "leave_quietly",
    "load",
    "loaders_of",
    "logger_states",
    "making_of",
    "observe",
    "overwrite_later_files",
    "rank_state",
    "verify",
    "written_state",
]
