"""The ledger of a run: what was fit, batch for batch."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pyarrow import parquet
from torch import Tensor

from leyden.errors import DataError, MissingPathError
from leyden.files import replacing
from leyden.types import Phase

__all__ = ["Ledger", "LedgerRow", "read_ledger"]

_SCHEMA = pa.schema(
    [
        pa.field("phase", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("step", pa.int64(), nullable=False),
        pa.field("name", pa.string()),
        pa.field("sets", pa.list_(pa.int64())),
        pa.field("loss", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One batch.

    Args:
        phase: What it was used for.
        epoch: In which epoch.
        batch: Its index in that epoch.
        step: Optimizer steps made when it was over.
        name: What the data calls it, if the data says so.
        sets: Set numbers of its rows, if the data says so.
        loss: Its loss, ``()``, detached; on any device, nobody waits for it until it is written.
    """

    phase: Phase
    epoch: int
    batch: int
    step: int
    name: str | None = None
    sets: tuple[int, ...] | None = None
    loss: Tensor | float | None = None


class Ledger:
    """A file with one row per batch, to which rows are added.

    Args:
        path: A Parquet file; if it exists, rows are added to it.

    Raises:
        DataError: If the file exists but is not a ledger.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     ledger = Ledger(Path(folder, "batches.parquet"))
        ...     ledger.append(LedgerRow(Phase.TRAIN, epoch=0, batch=0, step=1, name="7", sets=(7,)))
        ...     ledger.flush()
        ...     read_ledger(ledger.path)["sets"].to_pylist()
        [[7]]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = read_ledger(path) if path.exists() else _SCHEMA.empty_table()
        self._pending: list[LedgerRow] = []

    def append(self, row: LedgerRow) -> None:
        """Add a batch; it is kept in memory until the next ``flush``."""
        self._pending.append(row)

    def flush(self) -> None:
        """Write what was added since the last time; the file is whole at every moment."""
        if not self._pending:
            return
        table = pa.concat_tables([self._written, _to_table(self._pending)]).combine_chunks()
        with replacing(self.path) as temporary:
            parquet.write_table(table, temporary)
        self._written, self._pending = table, []


def read_ledger(path: Path) -> Any:
    """Read what was fit.

    Args:
        path: A ``batches.parquet``.

    Returns:
        A ``pyarrow.Table`` with a row per batch, in the order in which they were seen: ``phase``,
        ``epoch``, ``batch``, ``step``, and, where known, ``name``, ``sets`` and ``loss``.

    Raises:
        MissingPathError: If there is no such file.
        DataError: If it is not a ledger.
    """
    try:
        with parquet.ParquetFile(path) as file:  # read_table takes folders named a=1 for a column
            table = file.read()
    except FileNotFoundError:
        raise MissingPathError(
            f"Expected `path` to be a ledger, but got {str(path)!r}, which does not exist."
        ) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"Expected `ledger` to be Parquet, but got '{error}' in {path}.") from error
    known = [name for name in _SCHEMA.names if name in table.column_names]
    if table.select(known).schema != _SCHEMA:
        raise DataError(
            f"Expected `ledger` to have the columns below, but got others in {path}.\n"
            f"expected: {_describe(_SCHEMA)}\nin the file: {_describe(table.schema)}"
        )
    return table.select(known)


def _describe(schema: Any) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _to_table(rows: Sequence[LedgerRow]) -> Any:
    columns = {name: [getattr(row, name) for row in rows] for name in _SCHEMA.names}
    return pa.table(columns | {"loss": _to_numbers(columns["loss"])}, schema=_SCHEMA)


def _to_numbers(losses: Sequence[Tensor | float | None]) -> list[float | None]:
    """Fetch losses from their devices, waiting once for each device."""
    numbers = [None if isinstance(loss, Tensor) else loss for loss in losses]
    on_devices: dict[torch.device, dict[int, Tensor]] = defaultdict(dict)
    for index, loss in enumerate(losses):
        if isinstance(loss, Tensor):
            on_devices[loss.device][index] = loss
    for tensors in on_devices.values():
        values = torch.stack(list(tensors.values())).tolist()
        for index, value in zip(tensors, values, strict=True):
            numbers[index] = value
    return numbers
