"""Results for MLflow."""

import fcntl
import os
import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from leyden._extras import require
from leyden.tracking.params import flatten_params

__all__ = ["MLflowTracker"]

_NEEDED = {"extra": "mlflow", "needed_for": "the tracker 'mlflow'"}
_MOST_METRICS = 1000  # that MLflow takes at once
_MOST_LETTERS = 250  # of a parameter that Lightning hands on
_STRANGE = re.compile(r"[^\w\-. /:]")  # in names
_SQLITE = "sqlite:///"
_URI = "MLFLOW_TRACKING_URI"


class MLflowTracker(MLFlowLogger):
    """Log to MLflow: to the server of ``MLFLOW_TRACKING_URI``, or without one to ``mlflow.db``.

    That is an SQLite file for all runs beside each other; ``mlflow ui --backend-store-uri
    sqlite:///runs/mlflow.db`` shows it. Files go to ``mlflow`` beside it. MLflow lets no parameter
    change: what a run that goes on has changed becomes a tag, ``changed/<name>``.

    Args:
        run_dir: The folder of the run, whose name the run gets.
        folder: Where ``mlflow.db`` is; the folder around ``run_dir`` if ``None``.
        experiment_name: What MLflow lists the run under.
        settings: Other arguments of Lightning's ``MLFlowLogger``.

    Raises:
        MissingExtraError: If MLflow is not installed.
    """

    def __init__(
        self,
        run_dir: str | Path,
        *,
        folder: str | Path | None = None,
        experiment_name: str = "leyden",
        **settings: Any,
    ) -> None:
        require("mlflow", **_NEEDED)
        run = Path(run_dir).absolute()
        known: dict[str, Any] = {"run_name": run.name, "tracking_uri": os.environ.get(_URI)}
        if not (settings.get("tracking_uri") or known["tracking_uri"]):
            require("sqlalchemy", **_NEEDED)
            place = run.parent if folder is None else Path(folder).absolute()
            place.mkdir(parents=True, exist_ok=True)
            known["tracking_uri"] = f"{_SQLITE}{place / 'mlflow.db'}"
            known["artifact_location"] = (place / "mlflow").as_uri()
        given = {name: value for name, value in settings.items() if value is not None}
        with _alone((known | given)["tracking_uri"]):  # making the tables twice at once breaks them
            super().__init__(experiment_name, **(known | given))

    @property
    @override
    def experiment(self) -> Any:
        """The ``MlflowClient``."""
        errors = require("mlflow.exceptions", **_NEEDED)
        try:
            return super().experiment
        except errors.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return super().experiment  # another run has just made the experiment

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers, however many."""
        items = list(metrics.items())
        for start in range(0, len(items), _MOST_METRICS):
            super().log_metrics(dict(items[start : start + _MOST_METRICS]), step)

    @override
    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Log parameters; those that the run has with other values become tags."""
        told = {
            _STRANGE.sub("_", name): str(value)[:_MOST_LETTERS]
            for name, value in flatten_params(params).items()
        }
        known = self.experiment.get_run(self.run_id).data.params
        for name, value in told.items():
            if known.get(name, value) != value:
                self.experiment.set_tag(self.run_id, f"changed/{name}", value)
        super().log_hyperparams({name: told[name] for name in told if name not in known})


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Keep other processes of this machine from making the tables of a database meanwhile."""
    path = Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None
    if path is None:
        yield
        return
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
        yield
