"""The private parts of Lightning's loggers are where they are expected, and mean what they did."""

import copy
import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger

from leyden.resume.loggers import internals
from leyden.resume.loggers.internals import adopt_mlflow_run, rewrite_safely, use_version

EXPECTED: list[tuple[type, list[str]]] = [
    (CSVLogger, ["_VERSION"]),
    (TensorBoardLogger, ["_VERSION", "_EXPERIMENT", "_WRITER_OPTIONS"]),
    (WandbLogger, ["_INIT_OPTIONS", "_RUN_NAME", "_EXPERIMENT"]),
    (MLFlowLogger, ["_RUN_ID", "_IS_READY"]),
]


def sources(cls: type) -> str:
    """Join the sources of a class and of those it is made of."""
    mine = (base for base in cls.__mro__ if base.__module__.startswith("lightning"))
    return "\n".join(inspect.getsource(base) for base in mine)


@pytest.mark.parametrize(
    ("cls", "names"), EXPECTED, ids=lambda value: getattr(value, "__name__", "")
)
def test_attributes_are_set_and_read_by_the_logger(cls: type, names: list[str]) -> None:
    text = sources(cls)
    for name in names:
        attribute = getattr(internals, name)
        assert f"self.{attribute} = " in text or f"self.{attribute}: " in text
        assert text.count(f"self.{attribute}") > 1


def test_every_private_name_has_an_expectation(workplace: Path) -> None:
    constants = {name for name in vars(internals) if name.startswith("_") and name.isupper()}
    assert constants == {"_REWRITE"}.union(*(names for _, names in EXPECTED))


def test_version_decides_on_the_folder(workplace: Path) -> None:
    for logger in (CSVLogger("logs"), CSVLogger("logs", version="a")):
        assert logger.log_dir
        use_version(logger, 7)
        assert logger.log_dir == "logs/lightning_logs/version_7"
        use_version(logger, "b")
        assert logger.log_dir == "logs/lightning_logs/b"


def test_experiment_of_csv_has_the_parts_that_are_set(workplace: Path) -> None:
    writer: Any = CSVLogger("logs").experiment
    expected = {"log_dir": str, "metrics": list, "metrics_file_path": str, "metrics_keys": list}
    assert {name: type(getattr(writer, name)) for name in expected} == expected
    assert writer.NAME_METRICS_FILE == "metrics.csv"


def test_logger_made_for_a_folder_deletes_the_rows_there(workplace: Path) -> None:
    logger = CSVLogger("logs", version=0, flush_logs_every_n_steps=1)
    logger.log_metrics({"loss": 1.0}, 0)
    with pytest.warns(UserWarning, match="Previous log files in this directory will be deleted"):
        _ = CSVLogger("logs", version=0).experiment
    assert not Path(logger.log_dir, "metrics.csv").exists()


@pytest.mark.parametrize("safely", [False, True])
def test_new_column_is_written_by_the_replaced_method(workplace: Path, *, safely: bool) -> None:
    logger = CSVLogger("logs", flush_logs_every_n_steps=1)
    path = Path(logger.log_dir, "metrics.csv")
    writer: Any = logger.experiment
    for _ in range(2 * safely):
        rewrite_safely(writer)
    logger.log_metrics({"loss": 1.0}, 0)
    narrow, wide = b"loss,step\r\n1.0,0\r\n", b"a,loss,step\r\n,1.0,0\r\n3.0,0.5,1\r\n"
    with path.open("rb") as file:  # as a second name would, it shows what becomes of the old file
        logger.log_metrics({"loss": 0.5, "a": 3.0}, 1)
        assert file.read() == (narrow if safely else wide)
    assert path.read_bytes() == wide
    assert writer.metrics_file_path == str(path)


def test_writer_can_still_be_copied_and_pickled(workplace: Path) -> None:
    writer: Any = CSVLogger("logs").experiment
    rewrite_safely(writer)
    for twin in (copy.deepcopy(writer), pickle.loads(pickle.dumps(writer))):
        twin.metrics_file_path = "twin.csv"
        for metrics in ({"b": 1.0}, {"a": 2.0}):
            twin.log_metrics(metrics, 0)
            twin.save()
        assert Path("twin.csv").read_bytes() == b"a,b,step\r\n,1.0,0\r\n2.0,,0\r\n"
        Path("twin.csv").unlink()


def test_events_name_what_they_hold(workplace: Path) -> None:
    pytest.importorskip("tensorboard")
    logger: Any = TensorBoardLogger("logs")
    module = inspect.getmodule(type(logger.experiment))
    event = module.Event(step=3)  # type: ignore[union-attr] # the module is there
    assert (event.step, event.HasField("summary")) == (3, False)
    assert list(map(Path, logger.experiment.all_writers)) == [Path(logger.log_dir)]
    logger.experiment.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, of its database
def test_mlflow_logger_goes_where_its_run_is(workplace: Path) -> None:
    pytest.importorskip("mlflow")
    logger = MLFlowLogger("demo", tracking_uri="sqlite:///runs.db")
    first = logger.run_id
    second = MLFlowLogger("demo", tracking_uri="sqlite:///runs.db")
    assert second.run_id != first
    adopt_mlflow_run(second, str(first))
    assert second.run_id == first
