"""Sets that are kept open, and how much memory they may take up."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from typing_extensions import override

from leyden.data.addresses import address_of
from leyden.data.readahead import ReadAhead
from leyden.shards import OpenPiece
from leyden.types import Array, Rows

__all__ = ["OpenSet", "Shelf"]

Opener: TypeAlias = Callable[[], OpenPiece]

_LIMIT = 256 << 20  # bytes, of all phases together
_SMALL_DATA = 1 << 30  # bytes of files that may all stay mapped: to map them anew takes time
_MOST_SETS = 4096  # the system has a limit for maps, of tens of thousands
_DESCRIPTOR = 1 << 20  # bytes that an open file counts for: a process may have some hundreds
_AROUND = 1 << 16  # bytes that the system maps around each that is touched


@dataclass(slots=True)
class OpenSet:
    """One array of one set, open.

    Args:
        piece: Reads it.
        array: Its rows in memory or mapped; ``None`` where they are read one by one.
        address: Where ``array`` begins, in bytes.
        num_bytes: What it may take up of memory by now.
        is_preloaded: Whether its rows were read for good.
    """

    piece: OpenPiece
    array: Array | None
    address: int
    num_bytes: int
    is_preloaded: bool = False

    @classmethod
    def of(cls, piece: OpenPiece) -> "OpenSet":
        """Map or load a set."""
        array = piece.array
        if array is None:
            return cls(piece, None, 0, 0)
        least = _DESCRIPTOR if piece.has_descriptor else 0
        num_bytes = least if piece.is_mapped else array.nbytes
        return cls(piece, array, address_of(array), num_bytes)

    @classmethod
    def holding(cls, piece: OpenPiece, rows: Array) -> "OpenSet":
        """Keep the rows of a set that have been read."""
        rows = np.ascontiguousarray(rows)
        return cls(piece, rows, address_of(rows), rows.nbytes, is_preloaded=True)

    @override
    def __reduce__(self) -> tuple[Callable[..., "OpenSet"], tuple[object, ...]]:
        if self.is_preloaded:  # which are somewhere else in a copy, and in another process
            return OpenSet.holding, (self.piece, self.array)
        return OpenSet.of, (self.piece,)

    @property
    def can_stay(self) -> bool:
        """Whether it takes up nothing once its memory is given back."""
        return self.piece.is_mapped and not self.piece.has_descriptor

    @property
    def is_counted(self) -> bool:
        """Whether all that it may take up was noted."""
        return self.array is None or self.num_bytes >= self.array.nbytes

    def check(self) -> None:
        """Make sure that the file is still the one that was found, if rows are read from it.

        Raises:
            ShardError: If it is missing, or has been written since.
        """
        if not self.is_preloaded:
            self.piece.check()

    def read(self, rows: Rows) -> Array:
        """Copy rows out, ``(n, ...)``."""
        return self.piece.read(rows) if self.array is None else self.array[rows]


class Shelf:
    """The sets that were read from last, open; those not used for longest are closed first.

    Pages of a mapped file count as memory of the process once they are touched, so that sets that
    stay open forever would seem to fill the memory. They are the system's own, though, which takes
    them back when it needs room: where the files are small all together, they stay mapped.

    Args:
        limit: Bytes that open sets may take up.
        stays: Mapped files of up to so many bytes, all together, stay open beyond that.

    Attributes:
        ahead: Has files read before their turn.
        num_bytes: What open sets may take up by now.
    """

    def __init__(self, limit: int = _LIMIT, stays: int = _SMALL_DATA) -> None:
        self.limit, self._stays = limit, stays
        self.ahead = ReadAhead()
        self._open: OrderedDict[Hashable, OpenSet] = OrderedDict()
        self._emptied: OrderedDict[Hashable, OpenSet] = OrderedDict()  # mapped, with no page of it
        self.num_bytes = 0
        self._mapped_bytes = 0  # those of them that the system can take back
        self._expected_bytes = 0

    @override
    def __reduce__(self) -> tuple[Callable[..., "Shelf"], tuple[int, ...]]:
        return _empty_shelf, (self.limit, self._stays, self._expected_bytes)

    def __len__(self) -> int:
        """Count the sets that take up memory, or may at any moment."""
        return len(self._open)

    def __contains__(self, key: Hashable) -> bool:
        """Say whether a set is among these."""
        return key in self._open

    def expect(self, num_bytes: int) -> None:
        """Say that sets will be asked for.

        Args:
            num_bytes: What their rows take up, all together.
        """
        self._expected_bytes += num_bytes

    @property
    def keeps_maps(self) -> bool:
        """Whether mapped files stay open."""
        return 0 < self._expected_bytes <= self._stays

    def has_room(self, opened: OpenSet, num_sets: int) -> bool:
        """Say whether as many sets as large as one can be open at once."""
        if opened.array is None:
            return False
        if opened.piece.is_mapped and self.keeps_maps:
            return True
        return opened.array.nbytes * num_sets <= self.limit

    def get(self, key: Hashable, opener: Opener, *, checks: bool = True) -> OpenSet:
        """Fetch a set, and open it if it is not; others are not closed before ``tidy``.

        Args:
            key: What tells sets and their arrays apart.
            opener: Opens it.
            checks: Whether to look at its file, if it is open.

        Raises:
            ShardError: If its file is missing or broken, or has been written since it was found.
        """
        found = self._open.get(key) or self._emptied.get(key)
        if found is None:
            found = self._open[key] = OpenSet.of(opener())
            self._note(found, found.num_bytes)
            return found
        if checks:
            found.piece.check()
        if self._emptied.pop(key, None) is None:
            self._open.move_to_end(key)
        else:
            self._open[key] = found
        return found

    def count(self, opened: OpenSet, num_rows: int) -> None:
        """Note that rows of a set were read.

        Args:
            opened: The set.
            num_rows: How many.
        """
        array = opened.array
        if num_rows and array is not None and not opened.is_counted:
            touched = num_rows * (array.nbytes // max(1, len(array)) + _AROUND)
            more = min(touched, array.nbytes - opened.num_bytes)
            opened.num_bytes += more
            self._note(opened, more)

    def _note(self, opened: OpenSet, num_bytes: int) -> None:
        """Note that a set takes up more, or less."""
        self.num_bytes += num_bytes
        if opened.piece.is_mapped:
            self._mapped_bytes += num_bytes

    @property
    def _is_full(self) -> bool:
        kept = self._mapped_bytes if self.keeps_maps else 0
        return self.num_bytes - kept > self.limit or len(self._open) > _MOST_SETS

    def tidy(self) -> None:
        """Give back what does not fit; the set that was used last stays.

        A map costs next to nothing once its pages are given back, and much to make anew, so that it
        stays, unless it holds a descriptor.
        """
        closed = []
        while len(self._open) > 1 and self._is_full:
            key, one = self._open.popitem(last=False)
            self._note(one, -one.num_bytes)
            closed.append(one.piece)
            if one.can_stay:
                one.num_bytes = 0
                self._emptied[key] = one
        self.ahead.give_back(closed)
        while len(self._open) + len(self._emptied) > _MOST_SETS:
            self._emptied.popitem(last=False)


def _empty_shelf(limit: int, stays: int, expected_bytes: int) -> Shelf:
    """Make what a copy of a shelf, or one in another process, begins with."""
    shelf = Shelf(limit, stays)
    shelf.expect(expected_bytes)
    return shelf
