"""Rows of many shards, read into one array."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import accumulate
from math import inf

import numpy as np
from typing_extensions import override

from leyden.data.addresses import RowGather
from leyden.data.buffers import Buffers
from leyden.data.picks import Picks
from leyden.data.shelf import OpenSet, Shelf
from leyden.errors import ShardError
from leyden.shards import Catalog, OpenPiece
from leyden.shards.readers import refusing_lost_pages
from leyden.types import Array, Phase

__all__ = ["ShardStore"]

_MOMENT = 0.1  # seconds; a file that was there before is taken to be there still
_AHEAD_AT_MOST = 1 << 30  # bytes: what is read much before its turn may be forgotten by then
_LABELS_AT_MOST = 16 << 20  # bytes of labels that stay in memory, once they are read
_AT_ONCE = 64  # large files that are opened at once: a process may have some hundreds open
_SMALL = 1 << 20  # bytes that are read for all blocks at once, as labels mostly are
_CHECK_EVERY = 0.5  # seconds
_CHECK_SHARE = 50  # as many times longer than a check takes, it is until the next


class ShardStore:
    """Reads rows of any sets at once.

    Args:
        catalog: The sets.
        shelf: Keeps sets open; stores may share one.
        beside: The sets of other phases, which are read in their turn and checked along with these.

    Attributes:
        next_check: When to look at all files again, in seconds of ``time.perf_counter``: twice a
            second, or as often as takes little time.
    """

    def __init__(
        self,
        catalog: Catalog,
        shelf: Shelf | None = None,
        *,
        beside: Mapping[Phase, Catalog] | None = None,
    ) -> None:
        self.catalog, self._beside = catalog, beside or {}
        shelf = Shelf() if shelf is None else shelf
        self._catalogs = catalog.fields or {"": catalog}
        shelf.expect(catalog.num_samples * self.row_bytes)
        self._inputs = {
            name: _Arrays(shelf, field.open_data) for name, field in self._catalogs.items()
        }
        # To open them again for a few bytes would take longer than to read the inputs.
        keeps_labels = _label_bytes(catalog) <= _LABELS_AT_MOST
        self._labels = _Arrays(Shelf() if keeps_labels else shelf, catalog.open_labels)
        self.next_check = 0.0
        self._shelf = shelf
        paths = {shard.data.path for shard in catalog.shards}
        self._has_own_files = len(paths) == len(catalog.shards)

    @property
    def has_fields(self) -> bool:
        """Whether a row has several arrays of inputs, each with its name."""
        return "" not in self._inputs

    @property
    def labels_are_inputs(self) -> bool:
        """Whether the labels are the inputs themselves."""
        first = self.catalog.shards[0]
        return first.labels is not None and first.labels == first.data

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of the inputs of one row."""
        sizes = [math.prod(c.sample_shape) * c.dtype.itemsize for c in self._catalogs.values()]
        return max(1, sum(sizes))

    @property
    def has_labels(self) -> bool:
        """Whether every row has a label."""
        return self.catalog.has_labels

    def check(self) -> None:
        """Make sure that every file is still what it was when it was found.

        Raises:
            ShardError: If one is gone, or has been written since.
        """
        began = time.perf_counter()
        self.catalog.check()
        for phase, catalog in self._beside.items():
            try:
                catalog.check()
            except ShardError as error:
                error.add_note(f"while checking the shards of `{phase}`")
                raise
        for array in (*self._inputs.values(), self._labels):
            array.checked = began
        now = time.perf_counter()
        self.next_check = now + max(_CHECK_EVERY, _CHECK_SHARE * (now - began))

    def set_bytes(self, set_number: int) -> int:
        """Count the bytes of the inputs of a set."""
        return self.catalog.lengths[set_number] * self.row_bytes

    def preload(self, set_number: int) -> None:
        """Read the inputs of a set into memory, where they stay."""
        for array in self._inputs.values():
            array.preload(set_number)

    @property
    def is_open(self) -> bool:
        """Whether all sets are open and stay so, so that nothing has to be read ahead."""
        numbers, arrays = self.catalog.lengths, self._inputs.values()
        return self._shelf.keeps_maps and all(a.has(number) for number in numbers for a in arrays)

    def read_ahead(self, set_numbers: Iterable[int]) -> None:
        """Have the files of sets read that will be needed soon; returns at once."""
        numbers = list(set_numbers)
        num_bytes = sum(map(self.set_bytes, numbers))
        if not self._has_own_files or num_bytes > _AHEAD_AT_MOST:
            return
        for name, catalog in self._catalogs.items():
            array = self._inputs[name]
            new = [number for number in numbers if not array.has(number)]
            self._shelf.ahead.ask([catalog.shard(number).data.path for number in new])

    def inputs(self, picks: Picks) -> dict[str, Array]:
        """Read inputs.

        Args:
            picks: Which rows.

        Returns:
            The rows in that order, ``(rows, ...)``, by the name of the array; ``""`` if there is
            one only.

        Raises:
            ShardError: If a shard is missing or broken.
        """
        return {name: next(parts) for name, parts in self.input_parts(picks, [len(picks)]).items()}

    def labels(self, picks: Picks) -> Array:
        """Read labels; see ``inputs``."""
        return next(self.label_parts(picks, [len(picks)]))

    def input_parts(self, picks: Picks, sizes: Sequence[int]) -> dict[str, Iterator[Array]]:
        """Read inputs part by part, each when it is asked for; their sets are opened once.

        Args:
            picks: Which rows, of all parts.
            sizes: Rows of each part.

        Returns:
            The parts, as ``inputs`` gives them.

        Raises:
            ShardError: If a shard is missing or broken, once it is read.
        """
        return {name: array.parts(picks, sizes) for name, array in self._inputs.items()}

    def label_parts(self, picks: Picks, sizes: Sequence[int]) -> Iterator[Array]:
        """Read labels part by part; see ``input_parts``."""
        return self._labels.parts(picks, sizes)


class _Arrays:
    """One array of each set."""

    def __init__(self, shelf: Shelf, open_set: Callable[[int], OpenPiece]) -> None:
        self._shelf, self._open_set = shelf, open_set
        self._preloaded: dict[int, OpenSet] = {}
        self._buffers = Buffers()
        self.checked = -inf  # when all files were last looked at, in seconds of ``perf_counter``

    def preload(self, set_number: int) -> None:
        """Read a set into memory."""
        piece = self._open_set(set_number)
        rows = piece.read(np.arange(piece.num_rows))
        piece.unload()
        # One that is not mapped: what was read through this map counts as memory as well.
        self._preloaded[set_number] = OpenSet.holding(self._open_set(set_number), rows)

    def has(self, set_number: int) -> bool:
        """Say whether a set is open already."""
        return set_number in self._preloaded or (self, set_number) in self._shelf

    def parts(self, picks: Picks, sizes: Sequence[int]) -> Iterator[Array]:
        """Read rows part by part, each ``(rows, ...)``."""
        checked = time.perf_counter()
        opened = self._open_all(picks)
        gather = self._gather(opened, picks) if opened else None
        if gather is None:
            opened.clear()  # so that each of them can be closed
            yield from self._parts_of_less(picks, sizes)
            return
        ends = list(accumulate(sizes))
        spans = zip([0, *ends], ends, strict=False)
        self._count(opened, picks)
        if gather.row_bytes * len(picks) <= _SMALL:
            with _refusing_lost_pages(opened):
                rows = gather.take(0, len(picks))
            yield from (rows[begin:end] for begin, end in spans)
            return
        for begin, end in spans:
            now = time.perf_counter()
            if now - checked > _MOMENT:
                for one in opened:
                    one.check()
                checked = now
            with _refusing_lost_pages(opened):
                part = gather.take(begin, end)
            yield part

    def _parts_of_less(self, picks: Picks, sizes: Sequence[int]) -> Iterator[Array]:
        """Read half of the parts and then the others: their sets may fit into memory."""
        if len(sizes) == 1:
            yield self._read_alone(picks.compact())
            return
        half = len(sizes) // 2
        rows = sum(sizes[:half])
        yield from self.parts(picks.part(0, rows).compact(), sizes[:half])
        yield from self.parts(picks.part(rows, len(picks)).compact(), sizes[half:])

    def _open_all(self, picks: Picks) -> list[OpenSet]:
        """Open the sets of rows; none of them if they would fill the memory."""
        if not self._shelf.has_room(self._open(picks.sets[0]), len(picks.sets)):
            return []
        return [self._open(number) for number in picks.sets]

    def _read_alone(self, picks: Picks) -> Array:
        """Read from sets that do not fit into memory all at once."""
        piece, are_many = self._open(picks.sets[0]).piece, len(picks.sets) > _AT_ONCE
        if not piece.is_mapped or (are_many and piece.has_descriptor):
            return self._read_in_turn(picks)
        opened = [self._open(number) for number in picks.sets]
        gather = self._gather(opened, picks)
        if gather is None:
            return self._read_in_turn(picks)
        with _refusing_lost_pages(opened):
            rows = gather.take(0, len(picks))
        self._count(opened, picks)
        return rows

    def _count(self, opened: list[OpenSet], picks: Picks) -> None:
        """Note what rows take up of memory, and close what does not fit beside them."""
        if not all(one.is_counted for one in opened):
            for one, num_rows in zip(opened, picks.counts, strict=True):
                self._shelf.count(one, num_rows)
        self._shelf.tidy()

    def _open(self, set_number: int) -> OpenSet:
        """Open a set, or check its file if it is open and all were not checked a moment ago."""
        return self._preloaded.get(set_number) or self._shelf.get(
            (self, set_number),
            partial(self._open_set, set_number),
            checks=time.perf_counter() - self.checked > _MOMENT,
        )

    def _gather(self, opened: list[OpenSet], picks: Picks) -> RowGather | None:
        """Find rows in sets that are mapped or loaded; ``None`` if one of them is neither."""
        arrays = [one.array for one in opened if one.array is not None]
        if len(arrays) < len(opened):
            return None
        addresses = [one.address for one in opened]
        return RowGather(arrays, picks.places, picks.rows, addresses, self._buffers)

    def _read_in_turn(self, picks: Picks) -> Array:
        """Read set by set, and close those for which there is no room before all are read."""
        result: Array | None = None
        for place, number in enumerate(picks.sets):
            one = self._open(number)
            mine = np.flatnonzero(picks.places == place)
            with _refusing_lost_pages([one]):
                part = one.read(picks.rows[mine])
            if result is None:
                result = self._buffers.empty((len(picks), *part.shape[1:]), part.dtype)
            result[mine] = part
            self._shelf.count(one, len(mine))
            self._shelf.tidy()
        assert result is not None  # noqa: S101 - there is a row at least
        return result


def _label_bytes(catalog: Catalog) -> int:
    if catalog.label_shape is None or catalog.label_dtype is None:
        return 0
    return catalog.num_samples * math.prod(catalog.label_shape) * catalog.label_dtype.itemsize


class _refusing_lost_pages(refusing_lost_pages):  # noqa: N801 - used as a function
    """Say which file it was that was cut short while it was read.

    Args:
        opened: Those that are read.
    """

    __slots__ = ("_opened",)

    def __init__(self, opened: list[OpenSet]) -> None:
        self._opened = opened

    @override
    def __exit__(self, *details: object) -> None:
        try:
            super().__exit__(*details)
        except OSError as error:
            for one in self._opened:
                one.piece.check()
            raise ShardError(f"Expected intact files, but got: {error.strerror}.") from error
