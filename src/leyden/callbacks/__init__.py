"""When something is done to a run: one class per file."""

from leyden.callbacks.activation_monitor import ActivationMonitor
from leyden.callbacks.array_log import ArrayLog
from leyden.callbacks.attribute_log import AttributeLog
from leyden.callbacks.batch_monitor import BatchMonitor
from leyden.callbacks.canvas import batch_to_canvas
from leyden.callbacks.checkpoint_hook import CheckpointHook
from leyden.callbacks.collector_hook import CollectorHook
from leyden.callbacks.exact_resume import ExactResume
from leyden.callbacks.extra_loaders import ExtraLoaders
from leyden.callbacks.flight_recorder import FlightRecorder
from leyden.callbacks.gradient_monitor import GradientMonitor
from leyden.callbacks.health_monitor import HealthMonitor
from leyden.callbacks.history_figure import HistoryFigure
from leyden.callbacks.interval_hook import IntervalHook
from leyden.callbacks.layer_histograms import LayerHistograms
from leyden.callbacks.logging_hook import LoggingHook
from leyden.callbacks.nan_guard import NaNGuard
from leyden.callbacks.reseeder import Reseeder
from leyden.callbacks.restore_hook import RestoreHook
from leyden.callbacks.run_card import RunCard
from leyden.callbacks.runtime_input_hook import RuntimeInputHook
from leyden.callbacks.stage_hooks import StageHooks
from leyden.callbacks.state_reset import StateReset
from leyden.callbacks.subset_selector import SubsetSelector
from leyden.callbacks.threshold_tuner import ThresholdTuner
from leyden.callbacks.weight_monitor import WeightMonitor

__all__ = [
    "ActivationMonitor",
    "ArrayLog",
    "AttributeLog",
    "BatchMonitor",
    "CheckpointHook",
    "CollectorHook",
    "ExactResume",
    "ExtraLoaders",
    "FlightRecorder",
    "GradientMonitor",
    "HealthMonitor",
    "HistoryFigure",
    "IntervalHook",
    "LayerHistograms",
    "LoggingHook",
    "NaNGuard",
    "Reseeder",
    "RestoreHook",
    "RunCard",
    "RuntimeInputHook",
    "StageHooks",
    "StateReset",
    "SubsetSelector",
    "ThresholdTuner",
    "WeightMonitor",
    "batch_to_canvas",
]
