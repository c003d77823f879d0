"""Moments of a run: where a step stands among the windows of its batch, and what ends with it."""

from leyden.lifecycle.states import StateResetting, reset_states, stateful_parts
from leyden.lifecycle.windows import Window, find_window

__all__ = ["StateResetting", "Window", "find_window", "reset_states", "stateful_parts"]
