"""Evaluations in the folder of a run: rows, and what functions made of them."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from leyden.errors import DataError, MissingPathError
from leyden.evaluation.functions import Metrics, call_metric, choose_metrics
from leyden.evaluation.records import Column, Records, RecordWriter
from leyden.files import replacing
from leyden.report import save_figure
from leyden.runs import RunDir, claim_dir
from leyden.shards.write import create_folder

__all__ = ["Evaluation", "find_evaluation", "list_evaluations", "store_evaluation"]

METRICS = "metrics.json"
_VERSION = 1


@dataclass(frozen=True)
class Evaluation:
    """What a model gave for the rows of some data, on disk.

    Args:
        path: Its folder.
        facts: How it was made: ``split``, ``global_step``, ``num_rows``, ``checkpoint`` and others.
        columns: What there is of every row.
        metrics: Numbers by name; JSON has none for NaN and the infinities, which are ``None``.
        figures: Files of figures by name, in the folder.
    """

    path: Path
    facts: Mapping[str, Any]
    columns: tuple[Column, ...]
    metrics: Mapping[str, float | None]
    figures: Mapping[str, str]

    @property
    def records(self) -> Records:
        """The rows, read as far as they are asked for."""
        return Records(self.path, self.columns)

    @property
    def name(self) -> str:
        """When it was made, and the step of the training, ``<time>/<step>``."""
        return f"{self.path.parent.name}/{self.path.name}"

    def add_metrics(
        self, metrics: Metrics = "auto", *, on_figure: Callable[[str, Figure], None] | None = None
    ) -> "Evaluation":
        """Run functions over the rows, and keep what they return; no model is needed.

        A name that is there already gets the new value. Nothing is kept if a function fails.

        Args:
            metrics: Functions by name, or names; see ``METRICS``. ``"auto"`` for those that suit
                the columns.
            on_figure: Called with the name of every figure, and the figure, once all is kept.

        Returns:
            The evaluation with all of its metrics.

        Raises:
            ConfigError: If there is no such function, it asks for what the records do not have, or
                returns neither numbers nor figures.
            DataError: If the records are broken, or do not suit a metric.
        """
        records = self.records
        numbers: dict[str, float | None] = {}
        figures: dict[str, Figure] = {}
        for name, function in choose_metrics(metrics, records).items():
            found = call_metric(name, function, records)
            numbers |= {
                key: number if math.isfinite(number) else None
                for key, number in found.numbers.items()
            }
            figures |= found.figures
        files = {name: f"{name.replace('/', '--')}.png" for name in figures}
        for name, figure in figures.items():
            save_figure(figure, self.path / files[name])
        known = find_evaluation(self.path)  # another process may have added some meanwhile
        done = Evaluation(
            self.path,
            self.facts,
            self.columns,
            {**known.metrics, **numbers},
            {**known.figures, **files},
        )
        _write(done, self.path)
        if on_figure is not None:
            for name, figure in figures.items():
                on_figure(name, figure)
        return done


def store_evaluation(
    run: RunDir, global_step: int, fill: Callable[[RecordWriter], Mapping[str, Any]]
) -> Evaluation:
    """Make an evaluation that is there whole or not at all.

    Args:
        run: The run.
        global_step: How many steps the model was trained.
        fill: Adds the rows to the writer it is given, and returns facts.

    Returns:
        The evaluation, without metrics.

    Raises:
        DataError: If there are no rows.
    """
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    parent = claim_dir(run.evaluation_dir, stamp)

    def write(folder: Path) -> None:
        with RecordWriter(folder) as writer:
            facts = fill(writer)
        if not writer.num_rows:
            raise DataError("Expected at least one row to evaluate, but got none.")
        known = {
            "global_step": global_step,
            "num_rows": writer.num_rows,
            "created": time.time(),
            **facts,
        }
        _write(Evaluation(folder, known, writer.columns, {}, {}), folder)

    try:
        return find_evaluation(create_folder(parent / str(global_step), write))
    except BaseException:
        parent.rmdir()  # what was in it is gone
        raise


def _write(evaluation: Evaluation, folder: Path) -> None:
    content = {
        "version": _VERSION,
        **evaluation.facts,
        "columns": [asdict(column) for column in evaluation.columns],
        "metrics": evaluation.metrics,
        "figures": evaluation.figures,
    }
    with replacing(folder / METRICS) as temporary:
        text = json.dumps(content, indent=2, allow_nan=False)
        temporary.write_text(f"{text}\n", encoding="utf-8")


def find_evaluation(path: Path) -> Evaluation:
    """Read what is known of an evaluation.

    Args:
        path: Its folder; or that of a run, for its newest one.

    Raises:
        MissingPathError: If there is none.
        DataError: If what is there is broken.
    """
    if (path / METRICS).is_file():
        return _read(path)
    found = list_evaluations(path)
    if found:
        return found[-1]
    problem = f"Expected an evaluation, or a run with one, but got {str(path)!r}"
    reason = "which has none" if path.is_dir() else "which does not exist"
    raise MissingPathError(f"{problem}, {reason}. Make one: leyden evaluate RUN.")


def list_evaluations(run: Path | str) -> Sequence[Evaluation]:
    """List the evaluations of a run, oldest first; one that was broken off is none.

    Args:
        run: The folder of the run.

    Raises:
        DataError: If one is broken.
    """
    paths = [path.parent for path in RunDir(Path(run)).evaluation_dir.glob(f"*/*/{METRICS}")]
    whole = (path for path in paths if not path.name.startswith("."))
    return sorted(map(_read, whole), key=lambda one: float(one.facts["created"]))


def _read(path: Path) -> Evaluation:
    try:
        content = json.loads((path / METRICS).read_text(encoding="utf-8"))
        version = content.pop("version")
        columns = tuple(
            Column(column["name"], column["dtype"], tuple(column["shape"]))
            for column in content.pop("columns")
        )
        metrics, figures = dict(content.pop("metrics")), dict(content.pop("figures"))
        float(content["created"]), int(content["num_rows"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"Expected an evaluation in {str(path)!r}, but its {METRICS} cannot be read"
        raise DataError(f"{problem}: {error!r}. Remove the folder, and evaluate again.") from error
    if version != _VERSION:
        problem = f"Expected an evaluation of version {_VERSION} in {str(path)!r}"
        raise DataError(f"{problem}, but got {version!r}. Use the leyden that wrote it.")
    return Evaluation(path, content, columns, metrics, figures)
