"""Methods of single objects that others stand in for, for a while."""

from typing import Any

__all__ = ["Replaced"]

_NOT_ITS_OWN = object()


class Replaced:
    """Attributes of objects that are replaced for a while, each of them on the object itself."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, new: Any) -> Any:
        """Replace a method, or a value.

        Args:
            owner: The object.
            name: Of the attribute; an error if there is none.
            new: What takes its place; a method without ``self``.

        Returns:
            What was there.
        """
        original = getattr(owner, name)
        self._replaced.append((owner, name, vars(owner).get(name, _NOT_ITS_OWN)))
        setattr(owner, name, new)
        return original

    def put_back(self, owner: Any, *names: str) -> None:
        """Put single ones back, the last replaced first."""
        for name in names:
            at = max(
                index
                for index, (one, its_name, _) in enumerate(self._replaced)
                if one is owner and its_name == name
            )
            _put_back(*self._replaced.pop(at))

    def put_all_back(self) -> None:
        """Put back what is still replaced."""
        while self._replaced:
            _put_back(*self._replaced.pop())


def _put_back(owner: Any, name: str, before: Any) -> None:
    if before is _NOT_ITS_OWN:
        delattr(owner, name)
    else:
        setattr(owner, name, before)
