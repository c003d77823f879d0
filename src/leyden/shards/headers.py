"""What files say of their arrays, remembered from one discovery to the next."""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from leyden.files import replacing
from leyden.shards.formats import format_of
from leyden.shards.pieces import Piece, measure
from leyden.shards.readers import FileState, state_of
from leyden.types import Key

__all__ = ["Headers", "is_memory", "memory_of"]

_NAME = ".leyden-catalog.json"
_VERSION = 3  # 1 and 2 took other first lines, and other lines, of .csv files for rows
_WORTH = 0.25  # seconds of reading that make it worthwhile to leave a file in somebody's folder

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """What one writing of a file says: names by their kind, and shape and dtype by key."""

    state: FileState
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    arrays: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)


def memory_of(path: Path) -> Path:
    """Say where what was found out of a folder or a dataset file is remembered."""
    return path / _NAME if path.is_dir() else path.with_name(f".{path.name}{_NAME}")


def is_memory(name: str) -> bool:
    """Say whether a file is such a memory, by its name."""
    return name.endswith(_NAME)


class Headers:
    """Ask files for the names, shapes and dtypes of their arrays.

    An answer holds for as long as size and time of writing of the file stay what they are.

    Args:
        memory: A file that answers of earlier runs are taken from, and that ``save`` writes;
            ``None`` for none.
    """

    def __init__(self, memory: Path | None = None) -> None:
        self._memory = memory
        self._entries = _load(memory) if memory else {}
        self._seconds = 0.0
        self._seen: set[str] = set()  # files that were there when they were asked for

    def keys(self, path: Path) -> tuple[str, ...]:
        """List the arrays or columns of a file, if they have names.

        Raises:
            ShardError: If the file is missing or broken.
            FormatError: If its extension is not known.
        """
        return self._names(path, "keys", format_of(path).keys)

    def headings(self, path: Path) -> tuple[str, ...]:
        """List the cells of the first line of a table of text; nothing for other files.

        Raises:
            ShardError: If the file is missing or broken.
            FormatError: If its extension is not known.
        """
        return self._names(path, "headings", format_of(path).headings)

    def _names(
        self, path: Path, kind: str, list_names: Callable[[Path], tuple[str, ...]] | None
    ) -> tuple[str, ...]:
        if list_names is None:
            return ()
        names = self._entry(path).names
        if kind not in names:
            start = perf_counter()
            names[kind] = list_names(path)
            self._seconds += perf_counter() - start
        return names[kind]

    def measure(self, path: Path, key: Key = None) -> Piece:
        """Find out what one array of a file holds.

        Args:
            path: The file.
            key: Which array; ``None`` for the only one.

        Returns:
            All rows of the array.

        Raises:
            ShardError: If the file is missing or broken, or the array is a single number.
            FormatError: If its extension is not known.
        """
        entry, name = self._entry(path), json.dumps(key)
        if name in entry.arrays:
            shape, dtype = entry.arrays[name]
            return Piece(path, shape[0], key, shape=shape, dtype=np.dtype(dtype), state=entry.state)
        start = perf_counter()
        piece = measure(path, key, state=entry.state)
        entry.arrays[name] = (piece.shape, np.dtype(piece.dtype).str)
        self._seconds += perf_counter() - start
        return piece

    def _entry(self, path: Path) -> _Entry:
        state = state_of(path)
        if not format_of(path).is_builtin:
            return _Entry(state)
        name = os.path.abspath(path)  # noqa: PTH100 - faster than Path, and there are many files
        self._seen.add(name)
        entry = self._entries.get(name)
        if entry is None or entry.state != state:
            entry = self._entries[name] = _Entry(state)
        return entry

    def save(self) -> None:
        """Remember the answers, if that spares time and the folder can be written to."""
        if self._memory is None or self._seconds < _WORTH:
            return
        folder = os.path.abspath(self._memory.parent)  # noqa: PTH100 - faster
        files = {
            _relative(name, folder): [entry.state, entry.names, entry.arrays]
            for name, entry in self._entries.items()
            if name in self._seen or os.path.exists(name)  # noqa: PTH110 - faster
        }
        try:
            with replacing(self._memory) as temporary:
                temporary.write_text(json.dumps({"version": _VERSION, "files": files}))
        except OSError as error:
            _log.debug("What %s holds is not remembered: %s", folder, error)


def _relative(name: str, folder: str) -> str:
    inside = name.startswith(os.path.join(folder, ""))  # noqa: PTH118 - faster
    return name[len(folder) :].lstrip(os.sep) if inside else os.path.relpath(name, folder)


def _load(memory: Path) -> dict[str, _Entry]:
    """Read what is remembered; nothing if there is no such file, or it is not as we write it."""
    folder = os.path.abspath(memory.parent)  # noqa: PTH100 - faster
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        content = json.loads(memory.read_bytes())
        if content["version"] == _VERSION:
            return {
                os.path.normpath(os.path.join(folder, name)): _entry_of(*saved)  # noqa: PTH118 - faster
                for name, saved in content["files"].items()
            }
    return {}


def _entry_of(state: Any, names: Any, arrays: Any) -> _Entry:
    written, size = state
    return _Entry(
        (int(written), int(size)),
        {kind: tuple(map(str, found)) for kind, found in names.items()},
        {
            key: ((int(rows), *map(int, row_shape)), np.dtype(dtype).str)
            for key, ((rows, *row_shape), dtype) in arrays.items()
        },
    )
