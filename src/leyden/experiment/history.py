"""Metrics kept in memory, under the names that an outcome has."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from leyden.errors import check_version

__all__ = ["MetricHistory", "name_metric"]

_VERSION = 1


class MetricHistory(Logger):
    """Keeps the last value that each metric has in each epoch; ``ExactResume`` brings them back."""

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, dict[float, float]] = {}

    @property
    @override
    def name(self) -> str:
        return ""  # no part of the path of checkpoints

    @property
    @override
    def version(self) -> str:
        return ""

    @override
    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: they are no metrics."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        epoch = metrics.get("epoch", step)
        for name, value in metrics.items():
            if name != "epoch":
                self._values.setdefault(name, {})[float(epoch or 0)] = float(value)

    def state_dict(self) -> dict[str, Any]:
        """Write down all values."""
        lists = {name: list(map(list, values.items())) for name, values in self._values.items()}
        return {"version": _VERSION, "values": lists}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the values of a run that is gone on with.

        Args:
            state_dict: What ``state_dict`` returned.

        Raises:
            ResumeError: If it is of another version.
        """
        check_version(state_dict, _VERSION)
        self._values = {name: dict(pairs) for name, pairs in state_dict["values"].items()}

    @property
    def metrics(self) -> dict[str, list[float]]:
        """Values by name, in the order of epochs."""
        found = {name: name_metric(name) for name in self._values}
        return {
            (name if found[name] in self._values else found[name]): list(values.values())
            for name, values in self._values.items()
        }


def name_metric(name: str, *, phase: str = "") -> str:
    """Give a metric the name that it has in an outcome.

    Args:
        name: As it is logged.
        phase: The phase it is of, if the name has to say so.

    Example:
        >>> [name_metric(name) for name in ("train/loss", "val/loss", "loss")]
        ['loss', 'val_loss', 'loss']
        >>> [name_metric(name, phase="test") for name in ("test/loss", "test_loss", "loss")]
        ['test_loss', 'test_loss', 'test_loss']
    """
    plain = name.removeprefix("train/").replace("/", "_")
    return plain if plain.startswith(f"{phase}_") or not phase else f"{phase}_{plain}"
