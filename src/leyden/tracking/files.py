"""Metrics in a file of the run's folder, and back."""

import csv
import io
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv
from typing_extensions import override

from leyden.errors import DataError, MissingPathError, ResumeError
from leyden.files import replacing
from leyden.runs import RunDir

__all__ = ["FileLogger", "History", "epoch_ends", "read_metrics"]

# While it reads, Arrow would take Ctrl-C and SIGTERM away from whoever trains.
pa.enable_signal_handlers(False)

History: TypeAlias = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
"""Steps and values, ``(rows,)`` each, by metric."""

_KEYS = ("epoch", "step")


class FileLogger(Logger):
    """Log metrics to ``metrics.csv`` in the folder of the run.

    A row is on its way to the disk when ``log_metrics`` returns, so a process that is killed loses
    none. Rows hold no times: two runs with one seed write the same file. In a folder that has the
    file already, rows are added to it. Hyper-parameters are not stored: they are part of the
    configuration, which the run keeps elsewhere.

    Name and version are empty, so that Lightning puts its checkpoints into the run's
    ``checkpoints``.

    Args:
        run_dir: The folder of the run; made when the first row comes.

    Raises:
        DataError: With the first row, if the file is there but holds something else.
    """

    def __init__(self, run_dir: str | Path) -> None:
        super().__init__()
        self._run = RunDir(Path(run_dir))
        self._columns: list[str] = []
        self._num_rows = 0

    @property
    def metrics_path(self) -> Path:
        """The file."""
        return self._run.metrics_path

    @property
    @override
    def name(self) -> str:
        return ""

    @property
    @override
    def version(self) -> str:
        return ""

    @property
    @override
    def save_dir(self) -> str:
        return str(self._run.path)

    @property
    @override
    def root_dir(self) -> str:
        return str(self._run.path)

    @property
    @override
    def log_dir(self) -> str:
        return str(self._run.path)

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a row.

        Args:
            metrics: Numbers by name, ``epoch`` among them if there is one.
            step: The step they belong to; if ``None``, ``step`` of the metrics, else the number of
                rows so far.

        Raises:
            DataError: If a value is not a number, or the file holds something else.
        """
        row = {name: _to_number(name, value) for name, value in metrics.items()}
        if not self._columns:
            self._open()
        row["step"] = row.get("step", self._num_rows) if step is None else step
        if not row.keys() <= set(self._columns):
            self._widen(row)
        line = _to_csv([[row.get(column, "") for column in self._columns]])
        with self.metrics_path.open("ab") as file:
            file.write(line)
        self._num_rows += 1

    @override
    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Do nothing: the configuration lies in the run's ``config``."""

    def state_dict(self) -> dict[str, Any]:
        """Say what the file holds now, for ``load_state_dict`` of a logger in another process."""
        if not self._columns:
            self._open()
        path, columns = str(self.metrics_path.absolute()), list(self._columns)
        return {"version": 1, "path": path, "columns": columns, "num_rows": self._num_rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Bring the file back to what it held, without rows and columns that came later.

        If the logger is made for another folder than it was then, the rows are brought from there.

        Args:
            state_dict: What ``state_dict`` returned.

        Raises:
            ResumeError: If the rows are not there any more, or the state is of another version of
                leyden; nothing is changed then.
        """
        if state_dict.get("version") != 1:
            raise ResumeError(
                f"Expected the version of the state to be 1, but got {state_dict.get('version')!r}."
            )
        columns, num_rows = state_dict["columns"], state_dict["num_rows"]
        rows: list[list[str]] = []
        for path in (self.metrics_path, Path(state_dict["path"])) if num_rows else ():
            if len(rows) < num_rows and path.exists():
                rows = _read_rows(path, columns, num_rows)
        if len(rows) < num_rows:
            raise ResumeError(
                f"Expected {num_rows} rows of metrics to continue, but got {len(rows)} in "
                f"{self.metrics_path}."
            )
        if columns:
            with replacing(self.metrics_path) as temporary:
                temporary.write_bytes(_to_csv([columns, *rows]))
        else:
            self.metrics_path.unlink(missing_ok=True)
        self._columns, self._num_rows = list(columns), num_rows

    def _open(self) -> None:
        """Continue the file if there is one, after its last whole row."""
        path = self.metrics_path
        if not path.exists() or not path.stat().st_size:
            return
        content = path.read_bytes()
        self._columns = _read_header(path, content)
        whole = _whole_lines(content)
        if len(whole) < len(content):
            with path.open("rb+") as file:
                file.truncate(len(whole))
        self._num_rows = whole.count(b"\n") - 1

    def _widen(self, names: Iterable[str]) -> None:
        """Give the file a column for every name, sorted; its rows stay."""
        path = self.metrics_path
        columns = [*_KEYS, *sorted({*self._columns, *names} - {*_KEYS})]
        text = path.read_text(encoding="utf-8") if self._columns else ""
        rows = csv.DictReader(io.StringIO(text, newline=""))
        cells = ([row.get(column, "") for column in columns] for row in rows)
        with replacing(path) as temporary:
            temporary.write_bytes(_to_csv([columns, *cells]))
        self._columns = columns


def read_metrics(path: Path) -> History:
    """Read what a ``FileLogger`` wrote, of a run that has ended or still runs.

    Args:
        path: A ``metrics.csv``; a last line that is not whole is left out.

    Returns:
        For each metric, ``epoch`` included, the steps and the values of the rows that have it.

    Raises:
        MissingPathError: If there is no such file.
        DataError: If it does not hold metrics.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingPathError(
            f"Expected `path` to be a file of metrics, but got {str(path)!r}, which does not exist."
        ) from None
    names = [name for name in _read_header(path, content) if name != "step"]
    table = _read_table(path, _whole_lines(content), names)
    steps, history = table["step"].to_numpy(), {}
    for name in names:
        present = table[name].is_valid().to_numpy()
        history[name] = (steps[present], table[name].to_numpy()[present])
    return history


def epoch_ends(history: History) -> list[int]:
    """Find where epochs end.

    Args:
        history: Metrics with ``epoch`` among them.

    Returns:
        The last logged step of every epoch that another one follows.

    Example:
        >>> epoch_ends({"epoch": (np.array([1, 2, 3, 4]), np.array([0.0, 0.0, 1.0, 2.0]))})
        [2, 3]
    """
    if "epoch" not in history:
        return []
    steps, epochs = history["epoch"]
    return [int(steps[epochs == epoch].max()) for epoch in np.unique(epochs)[:-1]]


def _to_number(name: str, value: Any) -> int | float:
    try:
        number = value.item() if hasattr(value, "item") else value
    except (RuntimeError, ValueError):  # more than one element, says torch, says NumPy
        number = value
    if not isinstance(number, int | float):
        raise DataError(f"Expected metric `{name}` to be a number, but got {value!r}.")
    return int(number) if isinstance(number, bool) else number


def _to_csv(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)  # floats by repr: exact
    return text.getvalue().encode()


def _read_rows(path: Path, columns: Sequence[str], num_rows: int) -> list[list[str]]:
    """Read the first rows of a file, in these columns; it may hold more of both."""
    text = _whole_lines(path.read_bytes()).decode()
    rows = islice(csv.DictReader(io.StringIO(text, newline="")), num_rows)
    return [[row.get(column, "") for column in columns] for row in rows]


def _whole_lines(content: bytes) -> bytes:
    """Leave out a last line that its writer had no time to end."""
    return content[: content.rfind(b"\n") + 1]


def _read_header(path: Path, content: bytes) -> list[str]:
    line = content[: content.find(b"\n") + 1].decode("utf-8", errors="replace")
    columns = next(csv.reader([line]), [])
    if tuple(columns[: len(_KEYS)]) != _KEYS or len(set(columns)) < len(columns):
        raise DataError(
            f"Expected `header` to begin with epoch,step and name every metric once, "
            f"but got {line.strip()!r} in {path}."
        )
    return columns


def _read_table(path: Path, content: bytes, names: Iterable[str]) -> Any:
    types = {"step": pa.int64()} | dict.fromkeys(names, pa.float64())
    convert = arrow_csv.ConvertOptions(column_types=types, null_values=[""])
    read = arrow_csv.ReadOptions(use_threads=False)  # errors then name the row
    try:
        return arrow_csv.read_csv(pa.BufferReader(content), read, convert_options=convert)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"Expected `metrics` to be rows of numbers, but got '{error}' in {path}."
        ) from error
