"""What comes out of a training."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from typing_extensions import override

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome(Mapping[str, Any]):
    """What came out of a training, by name: ``outcome["metrics"]``, or ``outcome.metrics``.

    ``dict(outcome)`` is plain: JSON can hold it.

    Args:
        elapsed: ``start`` and ``end``, in seconds since 1970, and ``duration`` in seconds, by step;
            ``total`` for all of them.
        metrics: Values by name: of training and validation (``val_<name>``) one for each epoch that
            has it, of the test (``test_<name>``) one.
        hardware_info: ``platform``, ``cpu`` and ``gpu``; see ``leyden.runs.hardware_info``.
    """

    elapsed: Mapping[str, Mapping[str, float]]
    metrics: Mapping[str, list[float]]
    hardware_info: Mapping[str, Any]

    @override
    def __getitem__(self, key: str) -> Any:
        if key not in list(self):
            raise KeyError(key)
        return getattr(self, key)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter([entry.name for entry in fields(self)])

    @override
    def __len__(self) -> int:
        return len(fields(self))
