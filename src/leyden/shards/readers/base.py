"""What readers have in common: one kind of array, and one kind of error."""

import ctypes
import math
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from leyden.errors import LeydenError, ShardError, suggest
from leyden.types import Array, Key, Rows

__all__ = [
    "LARGE",
    "ArrayReader",
    "FileState",
    "check_numbers",
    "choose_array",
    "is_too_long",
    "map_array",
    "reading",
    "state_of",
    "unload",
]

FileState: TypeAlias = tuple[int, int]
"""When a file was last written, in nanoseconds, and its size in bytes."""

LARGE = 64 << 20
"""Bytes from which a mapped file holds a descriptor."""

_DAMAGE = (
    *(ValueError, LookupError, EOFError, OverflowError, RuntimeError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
    *([import_module("lzma").LZMAError] if find_spec("_lzma") else []),  # Python may be without
)


class reading:  # noqa: N801 - used as a function; a class costs a fifth of the time
    """Turn what a broken file makes the code within raise into an error that says where.

    Args:
        path: The file.
        set_number: Whose rows it holds, once known.

    Raises:
        ShardError: If the file is missing, unreadable or broken.
    """

    __slots__ = ("_path", "_set_number")

    def __init__(self, path: Path, *, set_number: int | None = None) -> None:
        self._path, self._set_number = path, set_number

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        if isinstance(error, ShardError):
            error.set_number = self._set_number if error.set_number is None else error.set_number
            error.path = error.path or self._path
        elif isinstance(error, LeydenError):
            return
        elif isinstance(error, OSError):
            problem = f"Expected a readable file, but got: {_one_line(error.strerror or error)}."
            raise ShardError(problem, path=self._path, set_number=self._set_number) from error
        elif isinstance(error, UnicodeDecodeError):
            problem = (
                f"Expected text in UTF-8, but got: {_one_line(error)}. Save the file in UTF-8."
            )
            raise ShardError(problem, path=self._path, set_number=self._set_number) from error
        elif isinstance(error, _DAMAGE):
            problem = f"Expected an intact file, but got: {_one_line(error)}."
            raise ShardError(problem, path=self._path, set_number=self._set_number) from error
        elif isinstance(error, MemoryError):  # which is no fault of the file's
            error.add_note(f"while reading {self._path}")


def _one_line(message: object) -> str:
    return " ".join(str(message).split()).removesuffix(".")


def state_of(path: Path) -> FileState:
    """Tell one writing of a file from another, without opening it.

    Raises:
        ShardError: If there is no such file.
    """
    try:
        facts = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat, and there are many files
    except OSError:
        with reading(path):
            raise
    return facts.st_mtime_ns, facts.st_size


def check_numbers(dtype: np.dtype[Any], path: Path) -> None:
    """Make sure that an array holds numbers, or text, which labels may be.

    Raises:
        ShardError: If it holds Python objects, times or records, or longer numbers than PyTorch.
    """
    if dtype.hasobject:
        problem = (
            "Expected numbers, but got Python objects, which are not loaded because unpickling"
            " runs code. Save words with .astype(str), and the others with a numeric dtype."
        )
        raise ShardError(problem, path=path)
    if dtype.kind not in "biufcSU":
        raise ShardError(f"Expected numbers, but got {dtype}. Encode them first.", path=path)
    if is_too_long(dtype):
        problem = f"Expected numbers that PyTorch has, but got {dtype}."
        raise ShardError(f"{problem} Save them with .astype('float64').", path=path)


def is_too_long(dtype: np.dtype[Any]) -> bool:
    """Say whether numbers have more digits than PyTorch has numbers for.

    Example:
        >>> is_too_long(np.dtype("float64")), is_too_long(np.dtype("complex128"))
        (False, False)
    """
    return dtype.itemsize > {"f": 8, "c": 16}.get(dtype.kind, dtype.itemsize)


def choose_array(path: Path, key: Key, names: Collection[str]) -> str:
    """Choose an array of a file.

    Args:
        path: The file, for errors.
        key: Its name; ``None`` if there is one only.
        names: The arrays of the file.

    Raises:
        ShardError: If there is no such array, or ``key`` is ``None`` and there are several.
    """
    if key is None:
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise ShardError(f"Expected one array, but got {found}.", path=path)
        return next(iter(names))
    if key not in names:
        raise ShardError(f"Expected an array {key!r}. {suggest(str(key), names)}", path=path)
    return str(key)


class ArrayReader:
    """An array of which all is there once its first row is asked for: mapped, or loaded.

    Args:
        shape: Its shape.
        stored: Its element type as it is stored; rows come in the byte order of the machine.
        load: Maps or loads it.
        is_mapped: Whether it is mapped, so that only rows that are read take up memory.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        stored: np.dtype[Any],
        load: Callable[[], Array],
        *,
        is_mapped: bool = False,
    ) -> None:
        self.shape, self.dtype, self._load = shape, stored.newbyteorder("="), load
        self.is_mapped = is_mapped

    @property
    def reads_array(self) -> bool:
        """Whether rows are those of ``array``; readers made of this one may do more."""
        return type(self).read is ArrayReader.read

    @cached_property
    def array(self) -> Array:
        """All of it, as it is stored; not to be written to."""
        return self._load()

    def read(self, rows: Rows) -> Array:
        """Copy rows out."""
        return np.take(self.array, rows, axis=0).astype(self.dtype, copy=False)


def map_array(
    path: Path,
    stored: np.dtype[Any],
    shape: tuple[int, ...],
    offset: int,
    *,
    is_fortran: bool = False,
) -> Array:
    """Map a stretch of a file into memory.

    Args:
        path: The file.
        stored: Element type as it is stored.
        shape: Shape of the array.
        offset: Its first byte within the file.
        is_fortran: Whether the first axis changes fastest.
    """
    if math.prod(shape) == 0:  # nothing cannot be mapped
        return np.empty(shape, stored)
    content = _map(path, offset + math.prod(shape) * stored.itemsize)
    order: Literal["F", "C"] = "F" if is_fortran else "C"
    array: Array = content[offset:].view(stored).reshape(shape, order=order)
    return array


def _map(path: Path, size: int) -> NDArray[np.uint8]:
    """Map the first bytes of a file; only maps of large files hold a descriptor."""
    if size >= LARGE:  # torch's would ask the system for as much memory as the file is long
        with path.open("rb") as file:
            large = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        return np.frombuffer(large, np.uint8)
    content: NDArray[np.uint8] = torch.from_file(
        str(path), shared=False, size=size, dtype=torch.uint8
    ).numpy()
    content.flags.writeable = False
    return content


def unload(part: Array) -> None:
    """Take a part of a mapped file out of memory; it can be read again as before.

    Args:
        part: Rows next to each other of what ``map_array`` returned; other arrays are left alone.
            Where the system takes no such advice, nothing is done.
    """
    if hasattr(mmap, "MADV_DONTNEED") and _is_mapped(part):
        begin = _address(part)
        pages = range(-(-begin // mmap.PAGESIZE), (begin + part.nbytes) // mmap.PAGESIZE)
        _advise(pages.start * mmap.PAGESIZE, len(pages) * mmap.PAGESIZE, mmap.MADV_DONTNEED)


def _is_mapped(part: Array) -> bool:
    """Whether an array may be one of ``map_array``: else giving it back would make it zeros."""
    whole: Any = part
    while isinstance(whole, np.ndarray | memoryview):
        whole = whole.obj if isinstance(whole, memoryview) else whole.base
    is_small = isinstance(whole, torch.Tensor) and not part.flags.writeable
    return is_small or isinstance(whole, mmap.mmap)


def _advise(begin: int, num_bytes: int, advice: int) -> None:
    """Tell the system what becomes of pages, without holding up Python's other threads.

    Args:
        begin: Address of the first page.
        num_bytes: Their length.
        advice: One that ``madvise`` knows.
    """
    _madvise()(begin, num_bytes, advice)


@cache
def _madvise() -> Callable[[int, int, int], int]:
    function: Any = ctypes.CDLL(None).madvise
    function.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return] # of ctypes


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
