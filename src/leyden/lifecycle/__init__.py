"""Moments of a run: what is called at each of them, and where a step stands within its batch."""

from leyden.lifecycle.every import Every
from leyden.lifecycle.hook import Hook
from leyden.lifecycle.hook_set import HookSet
from leyden.lifecycle.last_step import is_last_step
from leyden.lifecycle.likeness import check_likeness, check_methods
from leyden.lifecycle.moments import Moments
from leyden.lifecycle.quiet import quietly
from leyden.lifecycle.results import Fetches, Results, copy_fetches, make_feeds
from leyden.lifecycle.run_view import Counters, RunView, Stage
from leyden.lifecycle.serving import count_batches, find_origin
from leyden.lifecycle.stage_callback import STEPS, StageCallback, StageTimer
from leyden.lifecycle.stages import STAGES, TraingenCallback
from leyden.lifecycle.states import StateResetting, reset_states, stateful_parts
from leyden.lifecycle.windows import Window, find_window

__all__ = [
    "STAGES",
    "STEPS",
    "Counters",
    "Every",
    "Fetches",
    "Hook",
    "HookSet",
    "Moments",
    "Results",
    "RunView",
    "Stage",
    "StageCallback",
    "StageTimer",
    "StateResetting",
    "TraingenCallback",
    "Window",
    "check_likeness",
    "check_methods",
    "copy_fetches",
    "count_batches",
    "find_origin",
    "find_window",
    "is_last_step",
    "make_feeds",
    "quietly",
    "reset_states",
    "stateful_parts",
]
