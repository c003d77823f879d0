"""The running values of metrics: what torchmetrics has gathered and not yet computed."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection, MetricTracker
from torchmetrics.wrappers.abstract import WrapperMetric

__all__ = ["metric_states", "restore_metric_states"]


def metric_states(module: nn.Module) -> dict[str, Any]:
    """Write down what every metric within a module has gathered.

    Args:
        module: A module with metrics among its parts.

    Returns:
        For each metric, by its name in the module, its states and the count of its updates; for
        each tracker of metrics, how many it has made.
    """
    _let_groups_share(module)
    states = {name: metric_state(metric) for name, metric in _metrics(module)}
    return states | {name: {"steps": tracker.n_steps} for name, tracker in _trackers(module)}


def restore_metric_states(module: nn.Module, states: dict[str, Any]) -> None:
    """Have the metrics of a module go on from where they were.

    Args:
        module: The module, with the metrics it had.
        states: What `metric_states` returned; metrics it does not name are left alone.
    """
    for name, tracker in _trackers(module):
        if name in states:
            _set_steps(tracker, states[name]["steps"])
    for name, metric in _metrics(module):
        if name in states:
            restore_metric_state(metric, states[name])


def metric_state(metric: Metric) -> dict[str, Any]:
    """Write down what one metric has gathered.

    Args:
        metric: Any metric.
    """
    return {
        "values": {name: _copy(getattr(metric, name)) for name in _names(metric)},
        "updates": metric._update_count,
        "computed": _copy(metric._computed),
        "last": _copy(metric._forward_cache),
    }


def restore_metric_state(metric: Metric, state: dict[str, Any]) -> None:
    """Have a metric go on from where it was.

    Args:
        metric: A metric of the same kind.
        state: What `metric_state` returned.
    """
    for name, value in state["values"].items():
        setattr(metric, name, _moved(value, metric))
    metric._update_count = state["updates"]
    metric._computed = _moved(state["computed"], metric)
    metric._forward_cache = _moved(state["last"], metric)


def _metrics(module: nn.Module) -> Iterator[tuple[str, Metric]]:
    return ((name, part) for name, part in module.named_modules() if isinstance(part, Metric))


def _trackers(module: nn.Module) -> list[tuple[str, MetricTracker]]:
    return [
        (name, part) for name, part in module.named_modules() if isinstance(part, MetricTracker)
    ]


def _set_steps(tracker: MetricTracker, steps: int) -> None:
    """Give a tracker as many copies of its metric as it had made."""
    while tracker.n_steps > steps:
        del tracker[-1]
    while tracker.n_steps < steps:
        tracker.increment()


def _names(metric: Metric) -> list[str]:
    """A metric's states; one made of others keeps some in plain attributes."""
    plain = [name for name, value in vars(metric).items() if type(value) in (int, float, Tensor)]
    ours = [name for name in plain if name != "_update_count" and name not in metric._defaults]
    return [*metric._defaults, *(ours if isinstance(metric, WrapperMetric) else ())]


def _let_groups_share(module: nn.Module) -> None:
    """In a collection, only the first metric of a group gathers; let the others see it."""
    for part in module.modules():
        if isinstance(part, MetricCollection):
            list(part.values(copy_state=False))


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, list | tuple):
        return type(value)(_copy(part) for part in value)
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return value


def _moved(value: Any, metric: Metric) -> Any:
    if isinstance(value, Tensor):
        return value.to(metric.device, copy=True)
    if isinstance(value, list | tuple):
        return type(value)(_moved(part, metric) for part in value)
    if isinstance(value, dict):
        return {key: _moved(part, metric) for key, part in value.items()}
    return value
