"""Where everything of a run lies."""

from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from leyden.files import placing

__all__ = ["RunDir", "claim_dir"]


@dataclass(frozen=True, slots=True)
class RunDir:
    """The places inside a run's folder; nothing else decides where a file of a run goes.

    Args:
        path: The folder of the run.

    Example:
        >>> RunDir(Path("runs/today")).metrics_path.as_posix()
        'runs/today/metrics.csv'
    """

    path: Path

    @property
    def manifest_path(self) -> Path:
        """What is known about the run: status, command, seeds, versions, timings."""
        return self.path / "run.json"

    @property
    def config_dir(self) -> Path:
        """The resolved configuration of every start."""
        return self.path / "config"

    @property
    def checkpoints_dir(self) -> Path:
        """Checkpoints to resume from, and the best ones."""
        return self.path / "checkpoints"

    @property
    def best_path(self) -> Path:
        """The best checkpoint, as the shipped configuration names it."""
        return self.checkpoints_dir / "best.ckpt"

    @property
    def metrics_path(self) -> Path:
        """Every logged metric."""
        return self.path / "metrics.csv"

    @property
    def ledger_path(self) -> Path:
        """What was fit: one row per batch."""
        return self.path / "batches.parquet"

    @property
    def history_path(self) -> Path:
        """The figure of all metrics over time."""
        return self.path / "history.png"

    @property
    def card_path(self) -> Path:
        """The run in one picture."""
        return self.path / "card.png"

    @property
    def page_path(self) -> Path:
        """The run on one page."""
        return self.path / "report.html"

    @property
    def incidents_dir(self) -> Path:
        """What the flight recorder kept, a folder for each step."""
        return self.path / "incidents"

    @property
    def attributes_path(self) -> Path:
        """What module, data and callbacks held as the training began."""
        return self.path / "attributes.json"

    @property
    def log_path(self) -> Path:
        """Messages of the program, which Hydra puts there."""
        return self.path / "train.log"

    @property
    def evaluation_dir(self) -> Path:
        """What the model gave for rows of data: ``<time>/<step>/`` for each evaluation."""
        return self.path / "evaluation"

    @property
    def calibration_path(self) -> Path:
        """The threshold and the sets that were found from stored predictions."""
        return self.path / "calibration.json"

    @property
    def calibration_figure_path(self) -> Path:
        """The figure of how the threshold was found."""
        return self.path / "calibration.png"


def claim_dir(parent: Path, name: str) -> Path:
    """Make a new folder that no other process gets, however many start at once.

    Args:
        parent: Where the folder goes; made if it does not exist.
        name: Its name; if that is taken, ``name-2``, ``name-3`` and so on.

    Returns:
        The folder, empty.

    Raises:
        WriteError: If there can be no such folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     [claim_dir(Path(folder), "run").name for _ in range(3)]
        ['run', 'run-2', 'run-3']
    """
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    with placing(parent / name):
        parent.mkdir(parents=True, exist_ok=True)
        return next(parent / name for name in names if _make_new(parent / name))


def _make_new(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
