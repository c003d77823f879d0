"""``resume=``, ``retrain=`` and ``leyden resume``: runs that are gone on with."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from leyden.cli import main as leyden
from leyden.cli.train import main
from leyden.resume import latest_checkpoint, load
from leyden.resume.checkpoints.lock import FolderLock
from leyden.runs import RunDir, read_manifest
from leyden.tracking import read_ledger

TINY = [
    "model=mlp",
    "model.network.hidden=[8]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=5",
    "trainer.limit_val_batches=2",
    "trainer.limit_test_batches=1",
    "trainer.enable_progress_bar=false",
    "callbacks.resume.every_n_steps=3",
    "callbacks.resume.every_seconds=null",
    "callbacks.history=null",
]
STOPPING = "+callbacks.stop={_target_:stopping.StopAt,run_dir:'${run_dir}'}"
Command = Callable[..., int]


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


def facts_of(run: Path) -> dict[str, Any]:
    return read_manifest(RunDir(run).manifest_path)


def ledger_of(run: Path) -> list[dict[str, Any]]:
    rows = read_ledger(RunDir(run).ledger_path).to_pylist()
    assert all(isinstance(row, dict) for row in rows)
    return list(rows)


def newest_of(run: Path) -> dict[str, Any]:
    path = latest_checkpoint(RunDir(run).checkpoints_dir)
    assert path is not None
    return load(path)


def assert_equal(one: Any, other: Any) -> None:
    """Compare states in every bit."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        for first, second in zip(one, other, strict=True):
            assert_equal(first, second)
    else:
        assert one == other


def assert_same_run(one: Path, other: Path) -> None:
    """Compare what two runs have come to: weights, optimizers, metrics, ledger and results."""
    first, second = newest_of(one), newest_of(other)
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        assert_equal(first[key], second[key])
    assert RunDir(one).metrics_path.read_bytes() == RunDir(other).metrics_path.read_bytes()
    assert ledger_of(one) == ledger_of(other)
    assert facts_of(one)["results"] == facts_of(other)["results"]
    assert facts_of(one)["objective"] == facts_of(other)["objective"]


def train(run: str, *overrides: str) -> Path:
    """Train in this process into a folder, and expect success."""
    assert main([*TINY, f"hydra.run.dir={run}", *overrides]) == 0
    return Path(run)


def line_of(printed: str) -> str:
    (line,) = printed.splitlines()
    return line


@pytest.mark.parametrize(
    "how", [pytest.param("SIGINT", marks=pytest.mark.slow), "SIGTERM", "SIGKILL"]
)
def test_a_run_that_is_broken_off_goes_on_bit_for_bit(
    command: Command, stop: Callable[..., None], how: str
) -> None:
    whole = train("whole", STOPPING)
    stop("cut", step=7, signal=how)
    number = signal.Signals[how]
    code = command("train", *TINY, STOPPING, "hydra.run.dir=cut")
    assert code == (-number if how == "SIGKILL" else 128 + number)
    assert facts_of(Path("cut"))["status"] == ("running" if how == "SIGKILL" else "interrupted")
    stop(None)
    if how == "SIGTERM":  # by the file of the newest checkpoint, in the folder that it is in
        newest = latest_checkpoint("cut/checkpoints")
        assert main([*TINY, STOPPING, f"resume={newest}"]) == 0
    elif how == "SIGINT":
        assert main([*TINY, STOPPING, "resume=cut"]) == 0
    else:
        assert command("resume", "cut") == 0
    assert_same_run(whole, Path("cut"))
    starts = facts_of(Path("cut"))["starts"]
    assert [start["status"] for start in starts] == ["interrupted", "finished"]
    assert len(list(Path("cut/config").iterdir())) == 2


@pytest.mark.slow
def test_a_run_that_finds_the_disk_full_ends_with_a_line_and_goes_on_bit_for_bit(
    command: Command, stop: Callable[..., None]
) -> None:
    whole = train("whole", STOPPING)
    stop("cut", step=7, full="metrics.csv")
    program = "import sys; from leyden.cli import main; sys.argv[0] = 'leyden'; main()"
    known = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(  # with pipes: what it prints into files would be limited too
        [sys.executable, "-c", program, "train", *TINY, STOPPING, "hydra.run.dir=cut"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, known))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("Expected a disk that can be written to, but got: File too large")
    assert last.endswith("(`ulimit -f`), then go on: leyden resume RUN.")
    stop(None)
    assert command("resume", "cut") == 0
    assert_same_run(whole, Path("cut"))


def test_it_is_told_from_where_a_run_goes_on(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("here")
    newest = latest_checkpoint(run / "checkpoints")
    assert newest is not None
    before = (run / "train.log").read_text()
    monkeypatch.setattr(sys, "argv", ["leyden", "resume", str(run), "trainer.max_epochs=3"])
    with pytest.raises(SystemExit) as ended:
        leyden()
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"going on with here from step 10, {newest.name}\n" in out
    log = (run / "train.log").read_text()
    assert log.startswith(before)
    told = log[len(before) :].splitlines()
    assert any("[leyden.callbacks.exact_resume][INFO] - train loader" in line for line in told)
    assert set(told) <= set(out.splitlines())  # on the terminal too


def test_the_script_ends_with_the_exit_code_and_says_how_to_go_on(
    workplace: Path, stop: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop("cut", step=2, signal="SIGINT")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    script = Path(__file__).parents[2] / "train.py"
    command = [sys.executable, str(script), *TINY, STOPPING, "hydra.run.dir=cut"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "Interrupted. To go on: leyden resume cut"


@pytest.mark.slow
def test_auto_goes_on_with_the_run_of_this_configuration_that_was_left(
    command: Command, stop: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    stop("", step=7, signal="SIGKILL")
    automatic = [*TINY, STOPPING, "resume=auto"]
    assert command("train", *automatic) == -signal.SIGKILL
    stop(None)
    assert main([*TINY, STOPPING, "resume=auto", "seed=1"]) == 0  # another configuration
    assert "resume=auto: starting a new run" in capfd.readouterr().err
    (left,) = [path.parent for path in Path("runs").rglob("run.json") if is_left(path.parent)]
    assert main(automatic) == 0
    assert f"resume=auto: going on with {left}" in capfd.readouterr().err
    assert facts_of(left)["status"] == "finished"
    assert main(automatic) == 0
    assert "resume=auto: starting a new run" in capfd.readouterr().err
    assert len(list(Path("runs").rglob("run.json"))) == 3


def is_left(run: Path) -> bool:
    return bool(facts_of(run)["status"] == "running")


def test_auto_in_a_folder_that_was_chosen_looks_there(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("here", "resume=auto")
    assert "starting a new run" in capsys.readouterr().err
    train("here", "resume=auto")
    assert "here is finished" in capsys.readouterr().out
    assert len(facts_of(run)["starts"]) == 1


def test_a_finished_run_trains_longer_if_asked_to(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steady = "scheduler=constant"
    long = train("long", "trainer.max_epochs=4", steady)
    short = train("short", steady)
    capsys.readouterr()
    assert main([*TINY, steady, "resume=short"]) == 0
    finished = "short is finished (trainer.max_epochs=2). To train longer, give more: trainer.max"
    assert finished in capsys.readouterr().out
    assert main([*TINY, steady, "resume=short", "trainer.max_epochs=4"]) == 0
    assert "other than before: trainer.max_epochs: 2 -> 4" in capsys.readouterr().err
    one, other = newest_of(long), newest_of(short)
    for key in ("state_dict", "optimizer_states", "epoch", "global_step"):
        assert_equal(one[key], other[key])


def test_a_checkpoint_starts_another_run_where_its_run_was(workplace: Path) -> None:
    whole = train("whole")
    middle = Path("whole/checkpoints").glob("*-step=6.ckpt")
    fork = train("fork", f"resume={next(middle)}")
    assert_same_run(whole, fork)
    (parent,) = facts_of(fork)["parents"]
    assert Path(parent["checkpoint"]).parent == Path("whole/checkpoints").absolute()
    assert facts_of(whole)["parents"] == []


def test_a_checkpoint_that_lies_elsewhere_starts_a_new_run(workplace: Path) -> None:
    whole = train("whole")
    shutil.copy2(next(Path("whole/checkpoints").glob("*-step=6.ckpt")), "six.ckpt")
    with pytest.warns(UserWarning, match="The dirpath has changed"):  # of the best checkpoints
        assert main([*TINY, "resume=six.ckpt"]) == 0
    (path,) = Path("runs").rglob("run.json")
    assert_equal(newest_of(whole)["state_dict"], newest_of(path.parent)["state_dict"])
    (parent,) = facts_of(path.parent)["parents"]
    assert parent == {"checkpoint": str(Path("six.ckpt").absolute()), "retrain": False}


def test_a_run_whose_folder_was_moved_goes_on(
    command: Command, stop: Callable[..., None], workplace: Path
) -> None:
    whole = train("whole", STOPPING)
    stop("cut", step=9, signal="SIGKILL")
    assert command("train", *TINY, STOPPING, "hydra.run.dir=cut") == -signal.SIGKILL
    stop(None)
    Path("elsewhere").mkdir()
    shutil.move("cut", "elsewhere/moved")
    assert command("resume", "elsewhere/moved") == 0
    assert_same_run(whole, Path("elsewhere/moved"))
    assert not Path("cut").exists()


def test_retraining_keeps_weights_and_optimizers_and_counts_from_zero(workplace: Path) -> None:
    whole = train("whole")
    assert main([*TINY, "resume=whole", "retrain=true", "trainer.max_epochs=1"]) == 0
    (path,) = Path("runs").rglob("run.json")
    again, first = path.parent, newest_of(whole)
    start = load(next(RunDir(again).checkpoints_dir.glob("*-step=0.ckpt")))
    assert_equal(start["state_dict"], first["state_dict"])
    assert_equal(start["optimizer_states"][0]["state"], first["optimizer_states"][0]["state"])
    assert start["optimizer_states"][0]["param_groups"][0]["lr"] == 0.002
    assert first["optimizer_states"][0]["param_groups"][0]["lr"] < 1e-6
    names = [row["name"] for row in ledger_of(whole)]
    assert [row["name"] for row in ledger_of(again)[:5]] == names[:5]
    assert [row["step"] for row in ledger_of(again)[:5]] == [1, 2, 3, 4, 5]
    (parent,) = facts_of(again)["parents"]
    assert parent["retrain"]
    assert newest_of(again)["global_step"] == 5


def test_retraining_another_model_is_a_slip(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train("whole")
    capsys.readouterr()
    other = ["model.network.hidden=[4]", "resume=whole", "retrain=true"]
    assert main([*TINY, *other]) == 2
    assert "to fit the model, but got: size mismatch" in capsys.readouterr().err
    assert main([*TINY, "retrain=true"]) == 2
    line = "Expected `resume` to name a run or a checkpoint with `retrain=true`, but got None."
    assert line_of(capsys.readouterr().err) == line


def test_what_cannot_be_gone_on_with_is_one_line_and_exit_code_2(
    command: Command, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty/checkpoints").mkdir(parents=True)
    Path("torn.ckpt").write_bytes(b"PK")
    bad = Path("bad/checkpoints")
    bad.mkdir(parents=True)
    (bad / "000001-step=3.ckpt").write_bytes(b"")
    expected = {
        "empti": "which does not exist. Did you mean 'empty'?",
        "empty": "but got 'empty', which has none.",
        "bad": "which has no good one. Checkpoints in 'bad/checkpoints' are broken: 000001-step=3",
        "torn.ckpt": "Expected a checkpoint, but got 'torn.ckpt': it ",
    }
    for name, problem in expected.items():
        assert main([*TINY, f"resume={name}"]) == 2
        assert problem in line_of(capsys.readouterr().err)
        assert command("resume", name) == 2
    assert not Path("runs").exists()


def test_leyden_resume_refuses_keys_that_there_are_not(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train("whole")
    capsys.readouterr()
    assert resume_here(monkeypatch, "whole", "trainer.max_epoch=3") == 2
    problem = "but got 'trainer.max_epoch'. Did you mean 'trainer.max_epochs'?"
    assert problem in line_of(capsys.readouterr().err)
    assert resume_here(monkeypatch, "whole", "seed") == 2
    assert "Expected an override key=value" in line_of(capsys.readouterr().err)
    assert resume_here(monkeypatch, "whole") == 0
    assert "whole is finished" in capsys.readouterr().out


def files_of(run: Path) -> dict[str, bytes]:
    files = [run / "run.json", *run.glob("config/*"), *run.glob("checkpoints/*.ckpt")]
    return {str(path): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("data.preprocessors=[min_max_scaler]", "Go on with those that were saved, or train anew."),
        ("data.seed=7", "Go on with the data and the arguments that the state was made with."),
    ],
)
def test_a_start_that_is_refused_leaves_nothing_behind(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    override: str,
    problem: str,
) -> None:
    run = train("here", "data=table", "trainer.max_epochs=1")
    before = files_of(run)
    longer = ("here", "trainer.max_epochs=2")
    assert resume_here(monkeypatch, *longer, override) == 2
    assert problem in capsys.readouterr().err
    assert files_of(run) == before
    assert resume_here(monkeypatch, *longer) == 0
    assert [start["status"] for start in facts_of(run)["starts"]] == ["finished", "finished"]
    assert {start["config"] for start in facts_of(run)["starts"]} == {
        path.name for path in run.glob("config/*")
    }


def resume_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["leyden", "resume", *arguments])
    with pytest.raises(SystemExit) as ended:
        leyden()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_run_that_another_process_has_is_left_alone(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train("whole")
    before = RunDir(run).manifest_path.read_bytes()
    capsys.readouterr()
    lock = FolderLock(run)
    lock.acquire()
    assert resume_here(monkeypatch, "whole", "trainer.max_epochs=3") == 2
    lock.release()
    assert "to be written by one run at a time" in line_of(capsys.readouterr().err)
    assert RunDir(run).manifest_path.read_bytes() == before


def test_a_run_that_ended_before_its_test_is_tested_when_it_goes_on(
    command: Command, stop: Callable[..., None]
) -> None:
    whole = train("whole", STOPPING)
    stop("cut", step=10, signal="SIGINT")  # the last step of all
    assert command("train", *TINY, STOPPING, "hydra.run.dir=cut") == 130
    stop(None)
    assert command("resume", "cut") == 0
    assert_same_run(whole, Path("cut"))
