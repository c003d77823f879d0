"""``leyden replay`` and ``leyden.replay``: steps of runs that other processes have made."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leyden import replay
from leyden.cli import main
from leyden.cli.replaying import find_checkpoint
from leyden.cli.replaying.starts import start_of_step
from leyden.errors import ConfigError, LeydenError, MissingPathError, ResumeError
from leyden.resume import load
from leyden.runs import RunDir, read_manifest
from leyden.shards import write_shards
from leyden.tracking import read_ledger

OPTIONS = [
    "model=mlp",
    "model.network.hidden=[8]",
    "data.path=shards",
    "data.batch_size=16",
    "data.val=[1]",
    "trainer.max_epochs=3",
    "trainer.enable_progress_bar=false",
    "callbacks.resume.every_n_steps=4",
    "callbacks.resume.every_seconds=null",
    "callbacks.resume.keep=20",
]
BAD_SET, BAD_ROW = 7, 11
Replays = Callable[..., tuple[int, str]]


def train(folder: Path, *options: str) -> Path:
    """Train in a process of its own into ``run``, whose code is not asked for."""
    program = "import sys; from leyden.cli.train import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *OPTIONS, *options, "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=folder, timeout=240, capture_output=True, check=False)
    assert done.returncode in (0, 2), done.stderr.decode()
    return folder / "run"


def write_data(folder: Path, *, is_broken: bool = False) -> None:
    random = np.random.default_rng(0)
    rows: Any = {n: random.normal(size=(20, 4)).astype(np.float32) for n in range(1, 10)}
    labels = {number: (part.sum(1) > 0).astype(np.int64) for number, part in rows.items()}
    if is_broken:
        rows[BAD_SET][BAD_ROW, 2] = np.nan
    write_shards(folder / "shards", rows, labels=labels)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in which nothing happens, of 27 steps."""
    folder = tmp_path_factory.mktemp("good")
    write_data(folder)
    train(folder)
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that ends where it meets a value that is not a number."""
    folder = tmp_path_factory.mktemp("broken")
    write_data(folder, is_broken=True)
    train(folder, "callbacks.recorder.on_incident=raise")
    return folder


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Replays:
    """Run ``leyden replay`` in a folder; give its exit code and what it prints."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def run(folder: Path, *arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["leyden", "replay", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


def losses_of(run: Path) -> dict[int, float]:
    """The loss of the batch by which each step was made."""
    rows = [row for row in read_ledger(run / "batches.parquet").to_pylist() if row["sets"]]
    rows = [row for row in rows if row["phase"] == "train"]
    return {row["step"]: row["loss"] for row in reversed(rows)}


def digest_of(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(str(path), path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


@pytest.mark.parametrize("step", [1, 6, 14, 27])
def test_step_has_the_loss_of_the_run_in_every_bit(
    good: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.chdir(good)
    before = digest_of(good / "run")
    found = replay("run", step=step)
    assert digest_of(good / "run") == before  # nothing was written there
    assert found.loss == found.recorded == losses_of(good / "run")[step]
    assert found.is_equal
    assert all(one.is_equal for one in found.made)
    assert [found.step().item(), found.step().item()] == [found.loss] * 2
    assert (found.step_number, found.findings, found.rows) == (step, (), ())
    newest = (step - 1) // 4 * 4
    assert re.fullmatch(rf"checkpoint \d+-step={newest}.ckpt", found.start)
    gradients: list[Any] = [one.grad for one in found.module.parameters()]
    assert all(isinstance(one, Tensor) and one.abs().sum() > 0 for one in gradients)


def test_module_is_as_it_was_before_the_step(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(good)
    path = find_checkpoint(RunDir(good / "run"), 9)
    assert path is not None
    kept = load(path)  # of just before it
    for until in (None, 9):
        found = replay("run", step=9, until=until)
        weights = found.module.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in kept["state_dict"].items())
        state = torch.get_rng_state()
        with torch.no_grad():
            found.module.training_step(found.batch, found.batch_index)
            next(found.module.parameters()).zero_()
        assert not torch.equal(torch.get_rng_state(), state)  # the dropout has drawn
        found.restore()
        assert torch.equal(torch.get_rng_state(), state)
        assert found.step().item() == losses_of(good / "run")[9]
        assert isinstance(found.trainer.optimizers[0].state_dict()["state"][0], dict)  # type: ignore[union-attr] # there is one


def test_steps_are_made_one_by_one(good: Path, replays: Replays) -> None:
    code, printed = replays(good, "run", "--step", "10", "--until", "13")
    *lines, _ = [line for line in printed.splitlines() if line.startswith("step ")]
    assert code == 0
    assert [line.split()[1] for line in lines] == ["10", "11", "12"]
    assert all("equal to that of the run in every bit" in line for line in lines)
    losses = losses_of(good / "run")
    assert [float(line.split(": ")[1].split()[0]) for line in lines] == [
        losses[step] for step in (10, 11, 12)
    ]
    assert re.search(r"13 \(epoch 1, batch 3\), stopped before from checkpoint", printed)


def test_run_without_checkpoints_is_made_again_from_its_beginning(
    good: Path, replays: Replays, tmp_path: Path
) -> None:
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    code, printed = replays(tmp_path, "run", "--step", "12")
    assert code == 0
    assert "made again from the beginning of the run" in printed
    assert float.fromhex(re.search(r"\((0x\S+)\)", printed)[1]) == losses_of(good / "run")[12]  # type: ignore[index] # it is there


def test_loss_that_differs_is_told(good: Path, replays: Replays, tmp_path: Path) -> None:
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "shards").glob("*.npy"):  # other data than the run had
        rows = np.load(path)
        if rows.ndim == 2:
            np.save(path, np.flip(rows))
    code, printed = replays(tmp_path, "run", "--step", "2")
    assert code == 1
    assert "but that of the run was" in printed
    assert "step 1 (epoch 0, batch 0) on" in printed


@pytest.mark.slow
def test_gradients_that_are_accumulated_are_those_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path)
    train(tmp_path, "trainer.accumulate_grad_batches=3")
    monkeypatch.chdir(tmp_path)
    for step in (3, 5):
        found = replay("run", step=step)
        assert found.loss == losses_of(tmp_path / "run")[step]
        first = [one.grad.clone() for one in found.module.parameters() if one.grad is not None]
        assert first  # of the batches before this one
        found.step()
        assert found.loss == losses_of(tmp_path / "run")[step]


@pytest.mark.parametrize("source", ["auto", "incident", "checkpoint"])
def test_planted_value_is_found_in_set_row_and_layer(
    broken: Path, replays: Replays, source: str
) -> None:
    (incident,) = (broken / "run" / "incidents").iterdir()
    code, printed = replays(broken, "run", "--step", incident.name, "--from", source)
    lines = dict(re.findall(r"^(\S+(?: \S+)?) {2,}(.+?) *$", printed, re.MULTILINE))
    assert code == 0
    start = r"checkpoint 000001-step=0.ckpt" if source == "checkpoint" else "incident"
    assert re.search(rf"made again from {start}", lines["step"])
    assert lines["loss"] == "nan (nan), equal to that of the run in every bit"
    assert re.fullmatch(
        rf"row \d+ of the batch, which is row {BAD_ROW} of set {BAD_SET}", lines["not finite"]
    )
    assert lines["breaks at"] == "1 NaN of 64 in batch '[0]'"
    assert lines["then"] == "1 NaN of 64 in output 'network.layers.0'"
    assert read_manifest(broken / "run" / "run.json")["status"] == "failed"


def test_incident_is_made_again_by_its_folder(broken: Path, replays: Replays) -> None:
    (incident,) = (broken / "run" / "incidents").iterdir()
    code, printed = replays(broken, str(incident))
    assert (code, "made again from incident" in printed) == (0, True)


@pytest.fixture(scope="module")
def changed(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run of before, which went on for two epochs more with other options."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(good, folder, dirs_exist_ok=True)
    program = "from leyden.cli import main; main()"
    other = ["data.batch_size=8", "model.network.dropout=0.5", "trainer.max_epochs=5"]
    command = [sys.executable, "-c", program, "resume", "run", *other]
    done = subprocess.run(command, cwd=folder, timeout=240, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return folder


def test_each_step_is_made_again_with_the_options_of_its_time(
    changed: Path, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(changed)
    run = changed / "run"
    starts = read_manifest(run / "run.json")["starts"]
    assert [start["step"] for start in starts] == [0, 27]
    assert sorted(start["config"] for start in starts) == sorted(
        path.name for path in (run / "config").iterdir()
    )
    losses = losses_of(run)
    assert losses[6] == losses_of(good / "run")[6]
    for step, rows in ((6, 16), (30, 8)):
        found = replay("run", step=step)
        assert found.loss == found.recorded == losses[step]
        assert len(found.batch[0]) == rows
    parts = [path for path in (run / "config").iterdir() if path.name != starts[0]["config"]]
    assert len(parts) == 1


def test_steps_of_two_ways_are_not_made_in_one(changed: Path, tmp_path: Path) -> None:
    run = copy_of(changed, tmp_path)
    message = "from step 28 on they are others (model.network.dropout: 0.2 -> 0.5; data.batch"
    refused(run, ConfigError, message, 26, until=30)
    for path in (run / "checkpoints").glob("*.ckpt"):
        if (found := re.search(r"step=(\d+)", path.name)) is None or int(found[1]) >= 27:
            path.unlink()
    refused(run, ResumeError, "Expected a checkpoint of step 27 or later", 30)
    (run / "run.json").write_text(
        json.dumps(
            {
                **read_manifest(run / "run.json"),
                "starts": [{"command": [], "status": "finished"}],  # as it was kept before
            }
        )
    )
    assert start_of_step(RunDir(run), 3).config is None


def copy_of(good: Path, folder: Path) -> Path:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    return folder / "run"


def refused(run: Path, error: type[LeydenError], message: str, step: int, **options: Any) -> None:
    with pytest.raises(error, match=re.escape(message)):
        replay(run, step=step, **options)


def test_what_cannot_be_replayed_is_answered(good: Path, tmp_path: Path) -> None:
    run = good / "run"
    refused(tmp_path / "no", MissingPathError, "Expected `run` to be a folder, but got", 1)
    refused(tmp_path, MissingPathError, "which has no run.json.", 1)
    refused(run, ConfigError, "Expected `step` to be a step of the run, 1 to 27, but got 28.", 28)
    refused(run, ConfigError, "Expected `step` to be at least 1, but got 0.", 0)
    refused(run, ConfigError, "Expected `until` to be at least 4, but got 3.", 4, until=3)
    refused(run, ConfigError, "Expected `until` to be at most 28, but got 40.", 4, until=40)
    refused(run, ResumeError, "Expected an incident at step 4", 4, source="incident")


def test_run_without_a_ledger_is_answered(good: Path, tmp_path: Path) -> None:
    run = copy_of(good, tmp_path)
    (run / "batches.parquet").unlink()
    refused(run, MissingPathError, "Only runs with a `BatchMonitor` can be replayed.", 3)


def test_run_that_began_elsewhere_needs_a_checkpoint(good: Path, tmp_path: Path) -> None:
    run = copy_of(good, tmp_path)
    facts = read_manifest(run / "run.json")
    facts["parents"] = [{"checkpoint": "elsewhere.ckpt", "retrain": True}]
    (run / "run.json").write_text(json.dumps(facts))
    for path in (run / "checkpoints").glob("*-step=[01234567].ckpt"):
        path.unlink()
    refused(run, ResumeError, "Expected a checkpoint before step 8", 8)
    assert find_checkpoint(RunDir(run), 9) is not None


def test_broken_checkpoint_is_passed_over(good: Path, tmp_path: Path) -> None:
    run = copy_of(good, tmp_path)
    (newest,) = (run / "checkpoints").glob("*-step=8.ckpt")
    newest.write_bytes(newest.read_bytes()[:-100])
    found = find_checkpoint(RunDir(run), 10)
    assert found is not None
    assert found.name.endswith("step=4.ckpt")


def test_slip_on_the_command_line_is_one_line(good: Path, replays: Replays) -> None:
    assert replays(good, "run") == (
        2,
        "Expected `step` to be the number of a step, but got None.\n",
    )
