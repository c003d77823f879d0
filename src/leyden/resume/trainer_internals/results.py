"""The averages and other results that ``self.log`` gathers in a loop."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.trainer.connectors.logger_connector.result import (
    _Metadata,
    _ResultCollection,
    _ResultMetric,
    _Sync,
)

from leyden.resume.metrics import metric_state, restore_metric_state

__all__ = ["restore_results", "results_state"]

_META = (
    "fx",
    "name",
    "prog_bar",
    "logger",
    "on_step",
    "on_epoch",
    "enable_graph",
    "add_dataloader_idx",
    "dataloader_idx",
    "metric_attribute",
)


def results_state(results: _ResultCollection) -> list[dict[str, Any]]:
    """Write down what a loop has gathered.

    Args:
        results: Of the loop.

    Returns:
        Tensors and plain values, for each result.
    """
    return [
        {
            "key": key,
            **_meta_state(metric.meta),
            "has_reset": metric.has_reset,
            "is_tensor": metric.is_tensor,  # else a metric of the module, which keeps its values
            "state": metric_state(metric),
        }
        for key, metric in results.items()
    ]


def _meta_state(meta: _Metadata) -> dict[str, Any]:
    return {
        "meta": {name: getattr(meta, name) for name in _META},
        "reduce_fx": meta.reduce_fx.__name__,
        "sync": {
            "_should": meta.sync.should,
            "rank_zero_only": meta.sync.rank_zero_only,
            "_op": meta.sync.op,
        },
    }


def restore_results(
    results: _ResultCollection, state: list[dict[str, Any]], trainer: Trainer
) -> None:
    """Have a loop gather on from where it was.

    Args:
        results: Of the loop; what they have is dropped.
        state: What `results_state` returned.
        trainer: The trainer.
    """
    results.clear()
    for one in state:
        sync = _Sync(fn=trainer.strategy.reduce, **one["sync"])
        meta = _Metadata(**one["meta"], reduce_fx=one["reduce_fx"], _sync=sync)
        metric = _ResultMetric(meta, one["is_tensor"])
        if one["is_tensor"]:
            metric.to(trainer.strategy.root_device)
        else:
            metric.value = trainer.lightning_module.get_submodule(str(meta.metric_attribute))
        restore_metric_state(metric, one["state"])
        metric.has_reset = one["has_reset"]
        results[one["key"]] = metric
