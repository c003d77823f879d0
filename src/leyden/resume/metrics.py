"""The running values of metrics: what torchmetrics has gathered and not yet computed."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

__all__ = ["metric_states", "restore_metric_states"]


def metric_states(module: nn.Module) -> dict[str, Any]:
    """Write down what every metric within a module has gathered.

    Args:
        module: A module with metrics among its parts.

    Returns:
        For each metric, by its name in the module, its states and the count of its updates.
    """
    _let_groups_share(module)
    return {name: metric_state(metric) for name, metric in _metrics(module)}


def restore_metric_states(module: nn.Module, states: dict[str, Any]) -> None:
    """Have the metrics of a module go on from where they were.

    Args:
        module: The module, with the metrics it had.
        states: What `metric_states` returned; metrics it does not name are left alone.
    """
    for name, metric in _metrics(module):
        if name in states:
            restore_metric_state(metric, states[name])


def metric_state(metric: Metric) -> dict[str, Any]:
    """Write down what one metric has gathered.

    Args:
        metric: Any metric.
    """
    return {
        "values": {name: _copy(getattr(metric, name)) for name in metric._defaults},
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


def _let_groups_share(module: nn.Module) -> None:
    """In a collection, only the first metric of a group gathers; let the others see it."""
    for part in module.modules():
        if isinstance(part, MetricCollection):
            list(part.values(copy_state=False))


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, list | tuple):
        return [_copy(part) for part in value]
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return value


def _moved(value: Any, metric: Metric) -> Any:
    if isinstance(value, Tensor):
        return value.to(metric.device)
    if isinstance(value, list):
        return [_moved(part, metric) for part in value]
    if isinstance(value, dict):
        return {key: _moved(part, metric) for key, part in value.items()}
    return value
