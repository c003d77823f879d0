"""A sampler that can begin in the middle of an epoch, without the rows before being read."""

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from torch.utils.data import Sampler
from typing_extensions import override

from leyden.generators import Stream

__all__ = ["SkippingSampler", "draws_at_once"]

_LIBRARIES = ("torch.utils.data.", "lightning.")


class SkippingSampler(Sampler[Any]):
    """Another sampler's indices, from any place on.

    What torch's samplers draw from the global generators, they draw with the first index: `begin`
    has that happen, so that nothing a training step draws comes in between. A sampler of unknown
    make may draw at any index, and gets a stream of its own.

    Args:
        sampler: A sampler or batch sampler.
    """

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self._indices: Iterator[Any] = iter(())
        self._to_skip = 0

    def begin(self, skipped: int, stream: Stream | None) -> None:
        """Begin a pass; torch asks for the iterator once or twice, and gets the same one.

        Args:
            skipped: Indices to leave out.
            stream: Where the sampler draws from; ``None`` for the global generators.
        """
        indices = iter(self.sampler)
        self._indices = indices if stream is None else _within(stream, indices)
        self._to_skip = skipped

    def draw(self) -> None:
        """Have the sampler draw what it draws at its beginning."""
        if self._to_skip:
            self._skip()
        else:
            self._indices = chain(list(islice(self._indices, 1)), self._indices)

    def _skip(self) -> None:
        deque(islice(self._indices, self._to_skip), maxlen=0)
        self._to_skip = 0

    @override
    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._to_skip:
            self._skip()
        return next(self._indices)

    def __len__(self) -> int:
        return len(self.sampler)


def draws_at_once(sampler: object) -> bool:
    """Whether a sampler takes what it needs of the global generators before its first index.

    Args:
        sampler: A sampler, or a batch sampler with a ``sampler``.

    Returns:
        True for the samplers of torch and Lightning.
    """
    inner = getattr(sampler, "sampler", None)
    known = f"{type(sampler).__module__}.".startswith(_LIBRARIES)
    return known and (inner is None or draws_at_once(inner))


def _within(stream: Stream, indices: Iterator[Any]) -> Iterator[Any]:
    while True:
        with stream.use():
            try:
                index = next(indices)
            except StopIteration:
                return
        yield index
