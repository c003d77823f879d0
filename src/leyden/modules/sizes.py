"""Sizes of a network that come from the data unless they are told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Shape", "Size", "plain_size"]

Shape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]
"""A shape, or shapes by the names of several inputs."""


@dataclass(frozen=True, slots=True)
class Size:
    """An argument of a module that the data knows too.

    Args:
        argument: Its name.
        attribute: Where a data module has it.
        reason: Why a data module may not have it, for errors.
        remedy: What then helps, for errors.
    """

    argument: str
    attribute: str
    reason: str = ""
    remedy: str = ""

    def explain(self, data: object, sizes: Iterable["Size"]) -> str:
        """Say that the data does not know it, and what to do.

        Args:
            data: The data module, if there is one.
            sizes: All that the module would ask it for.
        """
        arguments, attributes = (
            " and ".join(f"`{getattr(size, part)}`" for size in sizes)
            for part in ("argument", "attribute")
        )
        remedy = f"pass {arguments} to the module."
        if data is None:
            problem = f"Expected a data module that knows {attributes}, but got none"
            return f"{problem}. Give the trainer one, or {remedy}"
        problem = f"Expected `{self.attribute}` to be known, but {type(data).__name__} has none"
        if self.reason:
            return f"{problem}: {self.reason}. {self.remedy}, or {remedy}"
        return f"{problem}. {remedy.capitalize()}"


def plain_size(size: Shape | int | None) -> Any:
    """Write a number or a shape down in numbers, lists and dictionaries, as checkpoints hold them.

    Example:
        >>> plain_size({"image": (1, 8, 8), "meta": (3,)})
        {'image': [1, 8, 8], 'meta': [3]}
    """
    if isinstance(size, Mapping):
        return {name: list(map(int, shape)) for name, shape in size.items()}
    return size if size is None or isinstance(size, int) else list(map(int, size))
