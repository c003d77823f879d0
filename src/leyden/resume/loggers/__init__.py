"""Loggers: where they stood when a checkpoint was written, and how they go on from there."""

from leyden.resume.loggers.states import continue_loggers, logger_states

__all__ = ["continue_loggers", "logger_states"]
