"""Windows of time: a batch of long series is handed out stretch by stretch."""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from leyden.errors import ConfigError, DataError, check_whole, suggest

__all__ = ["TimeWindows"]


def _check_starts(starts: object) -> None:
    if not isinstance(starts, Sequence) or isinstance(starts, str) or not starts:
        problem = f"Expected `starts` to be a list of whole numbers, but got {starts!r}."
        raise ConfigError(f"{problem} Pass (0,) to begin at the beginning.")
    for start in starts:
        check_whole("starts", start, 0)


def _check_mapping(windows: object) -> None:
    if not isinstance(windows, Mapping):
        problem = f"Expected `windows` to be TimeWindows or their arguments, but got {windows!r}."
        raise ConfigError(f"{problem} Pass such as {{'size': 100}}.")


class TimeWindows:
    """How series are cut along time, which is the first axis of a row.

    A batch ``(batch, time, ...)`` is handed out as ``1 + (time - size - start) // stride`` batches
    ``(batch, size, ...)``, the first of which begins at ``start``. What is left at the end is left
    out. Labels and weights are those of the whole row. A state that a module keeps from one window
    to the next is to be dropped at the end of each batch, not of each window.

    Args:
        size: Time steps of a window.
        stride: Time steps from the beginning of one window to that of the next; ``None`` for
            ``size``: windows that neither overlap nor leave anything out.
        starts: Where the first window begins, in time steps: ``starts[epoch % len(starts)]``. With
            several, windows fall elsewhere in each training epoch; validation, test and prediction
            always begin at the first of them.

    Raises:
        ConfigError: If an argument is out of range.

    Example:
        >>> windows = TimeWindows(25, stride=10)
        >>> windows.count(100), windows.span(epoch=0, index=7)
        (8, (70, 95))
        >>> TimeWindows(25, starts=[0, 10]).count(100, epoch=1)
        3
    """

    def __init__(self, size: int, stride: int | None = None, starts: Sequence[int] = (0,)) -> None:
        check_whole("size", size, 1)
        stride = size if stride is None else stride
        check_whole("stride", stride, 1)
        _check_starts(starts)
        self.size, self.stride, self.starts = size, stride, tuple(starts)

    @classmethod
    def of(cls, windows: "TimeWindows | Mapping[str, Any] | None") -> "TimeWindows | None":
        """Make windows of a dictionary of arguments, as configurations have it.

        Raises:
            ConfigError: If it is anything else, or an argument is not known or out of range.
        """
        if windows is None or isinstance(windows, TimeWindows):
            return windows
        _check_mapping(windows)
        names = ("size", "stride", "starts")
        if unknown := [str(name) for name in windows if name not in names]:
            problem = f"Expected arguments of TimeWindows in `windows`, but got {unknown[0]!r}."
            raise ConfigError(f"{problem} {suggest(unknown[0], names)}")
        if "size" not in windows:
            raise ConfigError("Expected `windows` to have a `size`, but it has none. Pass it.")
        return cls(**{str(name): value for name, value in windows.items()})

    def count(self, time: int, epoch: int = 0) -> int:
        """Count the windows of a batch.

        Args:
            time: Time steps of a row.
            epoch: The epoch, from zero.

        Raises:
            DataError: If a row is shorter than a window.
        """
        self._check_length(time, epoch)
        return 1 + (time - self.size - self._start(epoch)) // self.stride

    def _check_length(self, time: int, epoch: int, *, of: str = "", remedy: str = "") -> None:
        start = self._start(epoch)
        if time < self.size + start:
            problem = f"Expected rows{of} to be at least as long as a window of {self.size} time"
            begins = f" that begins at {start}" if start else ""
            got = f"but got {time}. Lower `size` of the windows{remedy}."
            raise DataError(f"{problem} steps{begins}, {got}")

    def span(self, epoch: int, index: int) -> tuple[int, int]:
        """Find a window.

        Args:
            epoch: The epoch, from zero.
            index: Which window, from zero.

        Returns:
            Its first time step, and the one after its last.
        """
        begin = self._start(epoch) + index * self.stride
        return begin, begin + self.size

    @property
    def alike(self) -> "TimeWindows":
        """The same windows with one start, for epochs that are to be alike."""
        return TimeWindows(self.size, self.stride, self.starts[:1])

    def shapes(self, rows: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Work out the shapes of windows; of several arrays, those as long as the first are cut.

        Args:
            rows: Shape of one row of each array of inputs, ``(time, ...)``, by its name.

        Raises:
            DataError: If a row is shorter than a window.
        """
        name, first = next(iter(rows.items()))
        time = first[0] if first else 0
        of = f" of {name!r}" if name else ""
        remedy = ", or begin `inputs` with one that has time first" if len(rows) > 1 else ""
        for epoch in range(len(self.starts)):
            self._check_length(time, epoch, of=of, remedy=remedy)
        return {
            name: (self.size, *shape[1:]) if shape[:1] == (time,) else shape
            for name, shape in rows.items()
        }

    def _start(self, epoch: int) -> int:
        return self.starts[epoch % len(self.starts)]

    @override
    def __repr__(self) -> str:
        return f"TimeWindows({self.size}, stride={self.stride}, starts={self.starts})"
