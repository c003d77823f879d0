"""Predictions as data: what a model gave for every row, and what functions make of it."""

from leyden.evaluation.comparison import Comparison, compare
from leyden.evaluation.functions import Metrics, MetricSource, find_metric
from leyden.evaluation.metrics import METRICS
from leyden.evaluation.records import Column, Records
from leyden.evaluation.running import Method, evaluate
from leyden.evaluation.stored import Evaluation, find_evaluation, list_evaluations

__all__ = [
    "METRICS",
    "Column",
    "Comparison",
    "Evaluation",
    "Method",
    "MetricSource",
    "Metrics",
    "Records",
    "compare",
    "evaluate",
    "find_evaluation",
    "find_metric",
    "list_evaluations",
]
