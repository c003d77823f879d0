"""Loggers go on where a checkpoint was written, after their process has been killed."""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from read_back import mlflow_metrics, tensorboard_scalars, wandb_rows
from typing_extensions import override

from leyden.resume.loggers import continue_loggers, logger_states
from leyden.tracking import FileLogger

SCRIPT = Path(__file__).parent / "loggers_script.py"
KILLED = -signal.SIGKILL
CSV_OPTIONS: dict[str, dict[str, Any]] = {
    "numbered": {"save_dir": "logs"},
    "number given": {"save_dir": "logs", "version": 3},
    "version named": {"save_dir": "logs", "version": "main", "prefix": "net"},
    "plain folder": {"save_dir": "logs", "name": "", "version": ""},
}

Process: TypeAlias = Callable[..., int]


@pytest.fixture(scope="module")
def forks() -> Iterator["subprocess.Popen[str]"]:
    """Starts processes that have imported everything already."""
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def process(forks: "subprocess.Popen[str]", workplace: Path) -> Process:
    """Be one process of a run; return its exit code."""

    def run_process(folder: str, **job: Any) -> int:
        assert forks.stdin is not None
        assert forks.stdout is not None
        place = workplace / folder
        place.mkdir(exist_ok=True)
        job = {"kind": "csv", "new_at": 99, "with_gap": False, "folder": str(place)} | job
        forks.stdin.write(json.dumps(job) + "\n")
        forks.stdin.flush()
        return int(forks.stdout.readline())

    return run_process


def find_metrics(folder: str) -> Path:
    (path,) = Path(folder).rglob("metrics.csv")
    return path


def metrics_of(folder: str) -> bytes:
    return find_metrics(folder).read_bytes()


def paths_in(folder: str) -> set[Path]:
    return {path.relative_to(folder) for path in Path(folder).rglob("*") if path.suffix != ".json"}


@pytest.mark.parametrize("new_at", [7, 22, 99])
@pytest.mark.parametrize("every", [1, 7, 100])
@pytest.mark.parametrize("name", CSV_OPTIONS)
def test_csv_of_a_killed_run_is_that_of_an_uninterrupted_one(
    process: Process, name: str, every: int, new_at: int
) -> None:
    options = CSV_OPTIONS[name] | {"flush_logs_every_n_steps": every}
    job: dict[str, Any] = {"options": options, "new_at": new_at, "with_gap": True}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[0, 4, 15], die_at=28) == KILLED
    assert process("cut", **job, load="15.json", boundaries=[20], die_at=33) == KILLED
    assert process("cut", **job, load="20.json") == 0
    assert metrics_of("cut") == metrics_of("whole")
    kept = {find_metrics("cut").relative_to("cut").with_name(".metrics-kept")}
    assert paths_in("cut") - paths_in("whole") <= kept


@pytest.mark.parametrize("name", CSV_OPTIONS)
@pytest.mark.parametrize("load", [0, 4, 15])
def test_csv_goes_on_from_an_older_checkpoint(process: Process, name: str, load: int) -> None:
    options = CSV_OPTIONS[name] | {"flush_logs_every_n_steps": 1}
    job: dict[str, Any] = {"options": options, "new_at": 12, "with_gap": False}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[0, 4, 15, 20], die_at=28) == KILLED
    assert process("cut", **job, load=f"{load}.json") == 0
    assert metrics_of("cut") == metrics_of("whole")


def test_rows_survive_a_process_that_dies_after_lightning_deleted_them(process: Process) -> None:
    job = {"options": CSV_OPTIONS["plain folder"] | {"flush_logs_every_n_steps": 1}}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[15], die_at=28) == KILLED
    assert process("cut", **job, die_at="construction") == KILLED
    assert not Path("cut/logs/metrics.csv").exists()
    assert process("cut", **job, load="15.json") == 0
    assert metrics_of("cut") == metrics_of("whole")


@pytest.mark.parametrize("name", ["numbered", "plain folder"])
def test_rows_survive_a_kill_while_a_column_is_added(process: Process, name: str) -> None:
    options = CSV_OPTIONS[name] | {"flush_logs_every_n_steps": 1}
    job: dict[str, Any] = {"options": options, "new_at": 22}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[15], limit_at=22) == -signal.SIGXFSZ
    assert process("cut", **job, load="15.json") == 0
    assert metrics_of("cut") == metrics_of("whole")
    assert {path.name for path in Path("cut/logs").rglob(".*")} == {".metrics-kept"}


def test_rows_survive_where_files_cannot_have_two_names(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    options = CSV_OPTIONS["plain folder"] | {"flush_logs_every_n_steps": 1}
    logger = logged(CSVLogger(**options), 0)
    logger_states([logger])
    states = logger_states([logged(logger, 1)])
    before = metrics_of("logs")
    new = CSVLogger(**options)
    with pytest.warns(UserWarning, match="Previous log files in this directory will be deleted"):
        _ = new.experiment
    continue_loggers([new], states)
    assert metrics_of("logs") == before


def test_run_that_is_moved_goes_on_where_it_is(process: Process, workplace: Path) -> None:
    job: dict[str, Any] = {"options": CSV_OPTIONS["numbered"] | {"flush_logs_every_n_steps": 1}}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[15], die_at=28) == KILLED
    Path("cut").rename("moved")
    assert process("moved", **job, load="15.json") == 0
    assert metrics_of("moved") == metrics_of("whole")


def test_rows_are_brought_to_another_folder(process: Process, workplace: Path) -> None:
    job: dict[str, Any] = {"options": CSV_OPTIONS["numbered"] | {"flush_logs_every_n_steps": 1}}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[15], die_at=28) == KILLED
    before = metrics_of("cut")
    assert process("other", **job, load=str(workplace / "cut/15.json")) == 0
    assert metrics_of("other") == metrics_of("whole")
    assert metrics_of("cut") == before


@pytest.mark.parametrize("new_at", [7, 22, 99])
def test_file_logger_of_a_killed_run_ends_as_uninterrupted(process: Process, new_at: int) -> None:
    job = {"kind": "file", "options": {"run_dir": "run"}, "new_at": new_at, "with_gap": True}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[0, 4, 15], die_at=28) == KILLED
    assert process("cut", **job, load="15.json", boundaries=[20], die_at=33) == KILLED
    assert process("cut", **job, load="4.json", die_at=25) == KILLED
    assert process("cut", **job, load="0.json") == 0
    assert metrics_of("cut") == metrics_of("whole")


@pytest.mark.parametrize("name", CSV_OPTIONS)
def test_tensorboard_of_a_killed_run_has_every_step_once(process: Process, name: str) -> None:
    pytest.importorskip("tensorboard")
    job = {"kind": "tensorboard", "options": CSV_OPTIONS[name], "new_at": 22}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[10], die_at=28) == KILLED
    # Call 10 is the end of a validation, at the step of the batch before it.
    assert process("cut", **job, load="10.json", die_at=18) == KILLED
    assert process("cut", **job, load="10.json", boundaries=[20], die_at=28) == KILLED
    assert process("cut", **job, load="20.json") == 0
    (whole,) = {path.parent for path in Path("whole/logs").rglob("events.*")}
    (cut,) = {path.parent for path in Path("cut/logs").rglob("events.*")}
    assert cut.name == whole.name
    assert tensorboard_scalars(cut) == tensorboard_scalars(whole)


def test_tensorboard_that_is_watched_forgets_what_is_logged_again(process: Process) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    job = {"kind": "tensorboard", "options": CSV_OPTIONS["number given"]}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[15, 28], die_at=28) == KILLED
    folder = "logs/lightning_logs/version_3"
    watching = event_accumulator.EventAccumulator(f"cut/{folder}").Reload()
    assert watching.Scalars("train/loss")[-1].step > 15
    assert process("cut", **job, load="15.json") == 0
    found = [(each.step, each.value) for each in watching.Reload().Scalars("train/loss")]
    assert found == tensorboard_scalars(Path("whole", folder))["train/loss"]


def test_tensorboard_that_is_not_found_goes_on_where_it_is(workplace: Path) -> None:
    pytest.importorskip("tensorboard")
    old = TensorBoardLogger("logs")
    old.log_metrics({"loss": 1.0}, step=0)
    states = logger_states([old])
    old.finalize("failed")
    shutil.rmtree(old.log_dir)
    new = TensorBoardLogger("other")
    _ = new.experiment
    with pytest.warns(UserWarning, match=r"^Expected the folder of events '.*logs/.*' to be found"):
        assert continue_loggers([new], states) == {}
    new.log_metrics({"loss": 1.0}, step=1)
    new.finalize("success")
    assert tensorboard_scalars(Path("other/lightning_logs/version_0")) == {"loss": [(1, 1.0)]}


@pytest.mark.slow
def test_wandb_run_keeps_its_id_and_its_steps(process: Process) -> None:
    job = {"kind": "wandb", "options": {"save_dir": ".", "project": "demo"}}
    assert process("cut", **job, boundaries=[15], die_at=28) == KILLED
    assert process("cut", **job, load="15.json") == 0
    folders = sorted(Path("cut/wandb").glob("offline-run-*"), key=lambda path: path.name)
    old = json.loads(Path("cut/15.json").read_text())["states"][0]["state"]["id"]
    assert [folder.name.rpartition("-")[2] for folder in folders] == [old, old]
    rows = wandb_rows(folders[1])
    assert [row["_step"] for row in rows] == list(range(15, 33))
    assert [row["trainer/global_step"] for row in rows] == [*range(14, 20), 19, *range(20, 30), 29]
    ((new, home),) = json.loads(Path("cut/moved.json").read_text()).items()
    assert home == f"./demo/{old}"
    assert re.fullmatch(r"\./demo/\w+", new)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, of its database
def test_mlflow_run_keeps_its_id_and_has_every_row_once(
    process: Process, mlflow_db: Path, workplace: Path
) -> None:
    for folder in ("whole", "cut"):
        (workplace / folder).mkdir()
        shutil.copy(mlflow_db, workplace / folder / "runs.db")
    options = {"tracking_uri": "sqlite:///runs.db", "experiment_name": "demo"}
    job = {"kind": "mlflow", "options": options, "new_at": 22}
    assert process("whole", **job) == 0
    assert process("cut", **job, boundaries=[11], die_at=20) == KILLED
    # Call 11 is the end of a validation, at the step of the batch before it.
    assert process("cut", **job, load="11.json", boundaries=[15], die_at=28) == KILLED
    assert process("cut", **job, load="11.json", die_at=25) == KILLED
    assert process("cut", **job, load="15.json") == 0
    (old,), whole = mlflow_runs(workplace / "cut"), mlflow_runs(workplace / "whole")
    saved = json.loads(Path("cut/11.json").read_text())["states"][0]["state"]["run_id"]
    assert old == (saved, "FINISHED", whole[0][2])


def mlflow_runs(folder: Path) -> list[tuple[str, str, str]]:
    """Tell of every run its identity, its status and its rows, of which some are not a number."""
    client = pytest.importorskip("mlflow").MlflowClient(f"sqlite:///{folder}/runs.db")
    found = client.search_runs([client.get_experiment_by_name("demo").experiment_id])
    rows = [mlflow_metrics(client, run.info.run_id) for run in found]
    texts = [repr({name: sorted(one[name], key=repr) for name in sorted(one)}) for one in rows]
    ids = [(run.info.run_id, run.info.status) for run in found]
    return [(*one, text) for one, text in zip(ids, texts, strict=True)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as above
def test_mlflow_rows_are_not_logged_twice(workplace: Path, mlflow_db: Path) -> None:
    shutil.copy(mlflow_db, "runs.db")
    states: list[Any] = []
    # As (first call, call of the checkpoint, last call) of processes that are killed or end.
    for begins, saves, ends in [(0, 4, 9), (4, 6, 11), (4, 5, 8), (6, 20, 13)]:
        logger = MLFlowLogger("demo", tracking_uri=f"sqlite:///{workplace}/runs.db", prefix="net")
        if states:
            continue_loggers([logger], json.loads(dict(states)[begins]))
        for call in range(begins, ends):
            if call == saves:
                states.append((call, json.dumps(logger_states([logger]))))
            values = {"a": math.inf if call == 7 else math.nan, "b/c": 1 / (call + 3)}
            logger.log_metrics(values, step=call // 2)
    ((_, _, rows),) = mlflow_runs(workplace)
    for call in range(13):
        assert rows.count(f"({call // 2}, {1 / (call + 3)!r})") == 1
    assert rows.count("nan)") == 12
    assert rows.count(f"(3, {sys.float_info.max!r})") == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as above
def test_mlflow_run_that_is_gone_is_told(workplace: Path, mlflow_db: Path) -> None:
    shutil.copy(mlflow_db, "runs.db")
    new = MLFlowLogger("demo", tracking_uri=f"sqlite:///{workplace}/runs.db")
    states = logger_states([new])
    states[0]["state"]["run_id"] = "0" * 32
    before = new.run_id
    with pytest.warns(UserWarning, match=r"^Expected the MLflow run '0+' to be active, but got 'm"):
        assert continue_loggers([new], states) == {}
    assert new.run_id == before


def logged(logger: Logger, *steps: int) -> Logger:
    for step in steps:
        logger.log_metrics({"loss": 1 / (step + 1)}, step)
    return logger


def test_states_survive_json_and_change_nothing(workplace: Path) -> None:
    logger = logged(CSVLogger("logs", flush_logs_every_n_steps=100), 0, 1)
    states = logger_states([logger, DummyLogger()])
    assert json.loads(json.dumps(states)) == states
    assert [row["step"] for row in states[0]["state"]["pending"]] == [0, 1]
    assert not list(Path("logs").rglob("metrics.csv"))


def test_more_rows_than_a_checkpoint_carries_are_written(workplace: Path) -> None:
    logger = logged(CSVLogger("logs", flush_logs_every_n_steps=10**6), *range(1001))
    (state,) = logger_states([logger])
    assert (state["state"]["num_rows"], state["state"]["pending"]) == (1001, [])


def test_folder_that_was_given_up_is_removed_and_named(workplace: Path) -> None:
    logger = logged(CSVLogger("logs", flush_logs_every_n_steps=1), 0)
    logger.log_hyperparams({"lr": 0.1})
    states = logger_states([logger])
    new = CSVLogger("logs", flush_logs_every_n_steps=1)
    new.log_hyperparams({"lr": 0.1})
    assert Path(new.log_dir).is_dir()
    moved = continue_loggers([new], states)
    assert moved == {"logs/lightning_logs/version_1": "logs/lightning_logs/version_0"}
    assert not Path("logs/lightning_logs/version_1").exists()
    assert new.log_dir == "logs/lightning_logs/version_0"


def test_folder_with_something_of_the_user_is_left(workplace: Path) -> None:
    states = logger_states([logged(CSVLogger("logs"), 0)])
    new = CSVLogger("logs")
    _ = new.experiment
    Path(new.log_dir, "notes.txt").touch()
    continue_loggers([new], states)
    assert [path.name for path in Path("logs/lightning_logs/version_1").iterdir()] == ["notes.txt"]


def test_logger_of_the_same_process_is_cut(workplace: Path) -> None:
    logger = CSVLogger("logs", flush_logs_every_n_steps=1)
    states = logger_states([logged(logger, 0, 1)])
    before = metrics_of("logs")
    logged(logger, 2, 3).log_metrics({"new": 1.0}, 4)
    assert continue_loggers([logger], states) == {}
    assert metrics_of("logs") == before


def test_rows_that_are_gone_are_told(workplace: Path) -> None:
    logger = logged(CSVLogger("logs", flush_logs_every_n_steps=1), 0, 1)
    states = logger_states([logger])
    shutil.rmtree("logs")
    new = CSVLogger("logs", flush_logs_every_n_steps=1)
    _ = new.experiment
    with pytest.warns(UserWarning, match=r"^Expected 2 logged rows to be found, but got another"):
        continue_loggers([new], states)
    logged(new, 2)
    assert metrics_of("logs") == b"loss,step\r\n0.3333333333333333,2\r\n"


def test_rows_that_are_left_are_not_thrown_away(workplace: Path) -> None:
    logger = logged(CSVLogger("logs", flush_logs_every_n_steps=1), 0, 1, 2)
    states = logger_states([logger])
    path = Path(logger.log_dir or "", "metrics.csv")
    path.write_bytes(b"loss,step\r\n1.0,0\r\n0.5,1\r\n")  # also behind its second name
    new = CSVLogger("logs", flush_logs_every_n_steps=1)
    _ = new.experiment
    with pytest.warns(UserWarning, match=r"^Expected 3 logged rows to be found, but got another"):
        continue_loggers([new], states)
    assert metrics_of("logs") == b"loss,step\r\n1.0,0\r\n0.5,1\r\n"


def test_folder_of_another_run_is_not_touched(workplace: Path) -> None:
    states = logger_states([logged(CSVLogger("logs", flush_logs_every_n_steps=1), 0, 1)])
    shutil.rmtree("logs")
    logged(CSVLogger("logs", flush_logs_every_n_steps=1), 5, 6, 7)
    other, new = metrics_of("logs"), CSVLogger("logs")
    _ = new.experiment
    # Its folder has the name that ours had, so that it must be told by what is in it.
    states[0]["state"]["dir"] = str(workplace / "gone")
    with pytest.warns(UserWarning, match=r"to be found, but got another number in '.*gone'"):
        assert continue_loggers([new], states) == {}
    assert metrics_of("logs") == other


def test_file_logger_whose_rows_are_gone_is_told(workplace: Path) -> None:
    logger = FileLogger("run")
    states = logger_states([logged(logger, 0, 1)])
    logger.metrics_path.write_bytes(b"epoch,step,loss\n,0,1.0\n")
    with pytest.warns(UserWarning, match=r"^Expected 2 rows of metrics to continue, but got 1 in"):
        continue_loggers([FileLogger("run")], states)
    assert logger.metrics_path.read_bytes() == b"epoch,step,loss\n,0,1.0\n"


def test_file_logger_brings_its_rows_to_another_folder(workplace: Path) -> None:
    old, new = FileLogger("old"), FileLogger("new")
    states = logger_states([logged(old, 0, 1)])
    continue_loggers([new], states)
    logged(old, 2)
    logged(new, 2)
    assert new.metrics_path.read_bytes() == old.metrics_path.read_bytes()


def test_file_logger_refuses_the_state_of_another_version(workplace: Path) -> None:
    states = logger_states([logged(FileLogger("run"), 0)])
    states[0]["state"]["version"] = 2
    with pytest.warns(UserWarning, match=r"^Expected the version of the state to be 1, but got 2"):
        continue_loggers([FileLogger("run")], states)


class Custom(Logger):
    """A logger that nobody knows."""

    name = version = "custom"

    @override
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...

    @override
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None: ...


def test_loggers_that_nobody_knows_are_left_alone(workplace: Path) -> None:
    states = logger_states([Custom(), DummyLogger()])
    assert [set(state) for state in states] == [{"class"}] * 2
    assert continue_loggers([Custom(), DummyLogger()], states) == {}
    assert continue_loggers([], states) == {}
    assert continue_loggers([Custom()], []) == {}


def test_loggers_without_counterpart_are_told_once(workplace: Path) -> None:
    states = logger_states([CSVLogger("logs"), FileLogger("run"), Custom()])
    expected = (
        r"left alone\. 0: .*CSVLogger then, .*Custom now; 1: .*FileLogger then, nothing now\."
    )
    with pytest.warns(UserWarning, match=expected) as caught:
        continue_loggers([Custom()], states)
    assert len(caught) == 1


def test_remote_folder_is_told(workplace: Path) -> None:
    logger = CSVLogger("memory://logs")
    states = logger_states([logger])
    with pytest.warns(UserWarning, match=r"on this machine, but got 'memory://logs/.*'"):
        continue_loggers([logger], states)


def test_no_tracker_is_imported_that_is_not_used(process: Process) -> None:
    job = {"options": CSV_OPTIONS["numbered"]}
    assert process("cut", **job, boundaries=[15]) == 0
    assert process("cut", **job, load="15.json") == 0
    assert json.loads(Path("cut/imported.json").read_text()) == []
