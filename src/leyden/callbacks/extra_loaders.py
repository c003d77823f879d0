"""Run a batch of other data when something of it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from typing_extensions import override

from leyden.errors import DataError
from leyden.lifecycle import Fetches, Hook, copy_fetches, make_feeds

__all__ = ["ExtraLoaders"]


class ExtraLoaders(Hook):
    """Offer the fetches for batches of other loaders too, such as validation data.

    With ``ExtraLoaders({"validation": loader})`` there are results ``validation/<name>`` beside
    ``<name>``: when one is read, the next batch of the loader is fetched, once in a step, and
    handed to the same function. A loader that ends begins anew. Nothing of it leaves a trace:
    generators, and the mode of the module, are put back.

    Args:
        loaders: By name: an iterable of batches, a function that makes one when it is first needed,
            or, with a data module that has ``fetch(phase, epoch, batch_index)``, the name of a
            phase, such as ``"val"``. Batches of a phase go on where a checkpoint was.
        fetches: Functions ``function(module, **feeds)`` in a nested dictionary; ``None`` for those
            of the train batch.

    Raises:
        DataError: At a step, if a loader that is asked for has no batches.
    """

    def __init__(self, loaders: Mapping[str, Any], fetches: Fetches | None = None) -> None:
        self._loaders, self._fetches = dict(loaders), fetches
        self._iterators: dict[str, Iterator[Any]] = {}
        self._num_fetched = dict.fromkeys(loaders, 0)

    @override
    def before_step(
        self, step: int, fetches: dict[str, Any], feeds: dict[str, Any], batch: Any
    ) -> None:
        offered = copy_fetches(fetches if self._fetches is None else self._fetches)
        for name in self._loaders:
            fetches[name] = _wrap(offered, _Once(self, name).feeds)

    def next_batch(self, name: str) -> Any:
        """Fetch a batch, and bring it to the module's device.

        Args:
            name: Which loader.
        """
        loader = self._loaders[name]
        if isinstance(loader, str):
            batch = self._fetch(name, loader)
        else:
            batch = self._advance(name, loader)
        return self.run.trainer.strategy.batch_to_device(batch)

    def _fetch(self, name: str, phase: str) -> Any:
        data = self.run.data
        index = self._num_fetched[name] % len(data.plan(phase, 0))
        self._num_fetched[name] += 1
        return data.fetch(phase, 0, index)

    def _advance(self, name: str, loader: Any) -> Any:
        for _ in range(2):
            if name not in self._iterators:
                self._iterators[name] = iter(loader() if callable(loader) else loader)
            try:
                return next(self._iterators[name])
            except StopIteration:
                del self._iterators[name]
        problem = f"Expected the loader `{name}` to have batches, but got none."
        raise DataError(f"{problem} A loader that can be gone through once only cannot begin anew.")

    def state_dict(self) -> dict[str, Any]:
        """Write down how many batches of each phase were fetched."""
        return {"num_fetched": dict(self._num_fetched)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another run was.

        Args:
            state: What ``state_dict`` returned.
        """
        known = {n: count for n, count in state["num_fetched"].items() if n in self._loaders}
        self._num_fetched |= known


class _Once:
    """The feeds of one batch, fetched when they are first asked for."""

    def __init__(self, loaders: ExtraLoaders, name: str) -> None:
        self._loaders, self._name = loaders, name
        self._feeds: dict[str, Any] | None = None

    def feeds(self) -> dict[str, Any]:
        if self._feeds is None:
            self._feeds = make_feeds(self._loaders.next_batch(self._name))
        return self._feeds


def _wrap(fetches: Fetches, feeds: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    def wrap(item: Any) -> Any:
        if isinstance(item, Mapping):
            return _wrap(item, feeds)
        return lambda module, **_: item(module, **feeds())

    return {name: wrap(item) for name, item in fetches.items()}
