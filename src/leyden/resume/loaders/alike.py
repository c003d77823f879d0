"""What Lightning gets in place of a loader: a look-alike, whose batches are noted."""

from collections.abc import Iterable, Iterator
from typing import Any

from leyden.resume.loaders.follower import LoaderFollower

__all__ = ["follow", "follower_of"]

_FOLLOWER = "_leyden_follower"


def follow(loader: Iterable[Any], follower: LoaderFollower) -> Any:
    """Make a look-alike of a loader, whose batches go through its follower.

    Args:
        loader: What the user made; it is not changed.
        follower: Follows it.

    Returns:
        An object of a subclass of the loader's class that shares its attributes; for builtins and
        others that have none, an object that passes everything on.
    """
    kind = type(loader)
    members = {
        "__iter__": lambda _: follower.begin(),
        "__module__": kind.__module__,
        _FOLLOWER: follower,
    }
    try:
        alike: Any = object.__new__(type(kind.__name__, (kind,), members))
        object.__setattr__(alike, "__dict__", vars(loader))
    except TypeError:  # no class to inherit from, or no attributes to share
        return _Followed(loader, follower)
    return alike


class _Followed:
    """A loader whose class nothing can inherit from: a list, a generator ..."""

    def __init__(self, loader: Any, follower: LoaderFollower) -> None:
        self._loader = loader
        setattr(self, _FOLLOWER, follower)

    def __iter__(self) -> Iterator[Any]:
        return follower_of(self).begin()

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def follower_of(alike: Any) -> LoaderFollower:
    """Find the follower of a look-alike.

    Args:
        alike: What `follow` returned.
    """
    follower: LoaderFollower = getattr(alike, _FOLLOWER)
    return follower
