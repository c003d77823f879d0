"""No loaders, in a form that Lightning takes."""

from typing import Any

from lightning.pytorch.utilities import CombinedLoader
from typing_extensions import override

__all__ = ["NoLoaders"]


class NoLoaders(CombinedLoader):
    """No loaders at all; for an empty list, Lightning would warn of a loader without batches."""

    def __init__(self) -> None:
        super().__init__([], "sequential")

    @property  # type: ignore[explicit-override] # mypy overlooks it on what can be set
    @override
    def flattened(self) -> list[Any]:
        return []

    @flattened.setter
    def flattened(self, flattened: list[Any]) -> None:
        assert not flattened  # noqa: S101 - Lightning puts back what it was given
