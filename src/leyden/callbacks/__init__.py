"""When something is done to a run: one class per file."""

from leyden.callbacks.batch_monitor import BatchMonitor
from leyden.callbacks.history_figure import HistoryFigure
from leyden.callbacks.stage_hooks import StageHooks
from leyden.callbacks.state_reset import StateReset

__all__ = ["BatchMonitor", "HistoryFigure", "StageHooks", "StateReset"]
