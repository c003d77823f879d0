"""Metrics in a file of the run's folder."""

import csv
import io
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from leyden.errors import DataError, ResumeError, check_version
from leyden.files import replacing
from leyden.runs import RunDir
from leyden.tracking.history import KEYS, read_header, whole_lines

__all__ = ["FileLogger"]


class FileLogger(Logger):
    """Log metrics to ``metrics.csv`` in the folder of the run.

    A row is on its way to the disk when ``log_metrics`` returns, so a process that is killed loses
    none; where the disk takes no more, the run ends, and goes on from its last checkpoint. Rows
    hold no times: two runs with one seed write the same file. In a folder that has the file
    already, rows are added to it. Hyper-parameters are not stored: they are part of the
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
            OSError: If the disk takes no more; half a row is dropped when the run goes on.
        """
        row = {name: _to_number(name, value) for name, value in metrics.items()}
        if not self._columns:
            self._open()
        row["step"] = row.get("step", self._num_rows) if step is None else step
        if not row.keys() <= set(self._columns):
            self._widen(row)
        line = _to_csv([[row.get(column, "") for column in self._columns]])
        try:
            with self.metrics_path.open("ab") as file:
                file.write(line)
        except OSError as error:
            error.filename = str(self.metrics_path)  # which writing does not say
            raise
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
        check_version(state_dict, 1)
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
        self._columns = read_header(path, content)
        whole = whole_lines(content)
        if len(whole) < len(content):
            with path.open("rb+") as file:
                file.truncate(len(whole))
        self._num_rows = whole.count(b"\n") - 1

    def _widen(self, names: Iterable[str]) -> None:
        """Give the file a column for every name, sorted; its rows stay."""
        path = self.metrics_path
        columns = [*KEYS, *sorted({*self._columns, *names} - {*KEYS})]
        text = path.read_text(encoding="utf-8") if self._columns else ""
        rows = csv.DictReader(io.StringIO(text, newline=""))
        cells = ([row.get(column, "") for column in columns] for row in rows)
        with replacing(path) as temporary:
            temporary.write_bytes(_to_csv([columns, *cells]))
        self._columns = columns


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
    text = whole_lines(path.read_bytes()).decode()
    rows = islice(csv.DictReader(io.StringIO(text, newline="")), num_rows)
    return [[row.get(column, "") for column in columns] for row in rows]
