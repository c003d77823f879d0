"""``python train.py`` and ``leyden train``: real runs on the default data, and slips."""

import csv
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from leyden import latest_checkpoint
from leyden.cli.train import main
from leyden.runs import RunDir, read_manifest
from leyden.shards import write_shards
from leyden.tracking import read_ledger, read_metrics

QUIET = ["trainer.enable_progress_bar=false"]


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)


def runs_in(workplace: Path) -> list[RunDir]:
    return [RunDir(path.parent) for path in sorted((workplace / "runs").rglob("run.json"))]


def train(workplace: Path, *overrides: str) -> RunDir:
    """Train in the current directory, expect success, and return the newest run."""
    before = {run.path for run in runs_in(workplace)}
    assert main([*QUIET, *overrides]) == 0
    (run,) = [run for run in runs_in(workplace) if run.path not in before]
    return run


def test_the_main_job_reaches_its_accuracy_and_keeps_everything(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(workplace, "model=cnn", "data=auto")
    facts, printed = read_manifest(run.manifest_path), capsys.readouterr().out
    assert facts["status"] == "finished"
    assert facts["results"]["test/accuracy"] >= 0.97
    for text in ("test/accuracy", "seconds", "history.png", "metrics.csv", "best.ckpt"):
        assert text in printed
    assert run.history_path.read_bytes().startswith(b"\x89PNG")
    assert {"val/loss", "train/loss", "test/accuracy"} <= read_metrics(run.metrics_path).keys()
    assert set(read_ledger(run.ledger_path)["phase"].to_pylist()) == {"train", "val", "test"}
    (config,) = run.config_dir.iterdir()
    assert OmegaConf.load(config).model.network.type == "cnn"


def test_a_run_is_called_by_what_it_trains_and_how_good_it_was(workplace: Path) -> None:
    small = ["model=mlp", "model.network.hidden=[8]", "trainer.max_epochs=1", "test=false"]
    first = train(workplace, *small)
    second = train(workplace, *small, "callbacks.checkpoint.monitor=val/accuracy",
                   "callbacks.checkpoint.mode=max", "optimizer.lr=0.05")  # fmt: skip
    third = train(workplace, *small, "name=mine")
    names = [re.sub(r"^\d\d-\d\d-\d\d-", "", run.path.name) for run in (first, second, third)]
    one, two = "M1__mlp-BS32-hidden8-adam-lr2e-3", "M2__mlp-BS32-hidden8-adam-lr.05"
    assert names == [one, two, "mine"]
    facts = [read_manifest(run.manifest_path) for run in (first, second)]
    assert facts[0]["name"] == f"{first.path.name}__min{facts[0]['objective']:.3f}".replace(
        "min0.", "min."
    )
    best = f"{facts[1]['objective']:.3f}".removeprefix("0")
    assert facts[1]["name"] == f"{second.path.name}__max{best}"


@pytest.mark.slow
def test_two_runs_with_one_seed_are_equal_and_with_another_differ(workplace: Path) -> None:
    short = ["model=mlp", "trainer.max_epochs=2"]
    one, two, other = (train(workplace, *short, f"seed={seed}") for seed in (3, 3, 4))
    paths = [latest_checkpoint(run.checkpoints_dir) for run in (one, two, other)]
    weights = [torch.load(path, weights_only=True)["state_dict"] for path in paths if path]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(*(part["network.layers.2.weight"] for part in weights[1:]))
    assert one.metrics_path.read_bytes() == two.metrics_path.read_bytes()
    assert one.metrics_path.read_bytes() != other.metrics_path.read_bytes()


def write_table_shards(folder: Path) -> None:
    """Five CSV shards of a separable problem with three features and a column of labels."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in (1, 2, 4, 5, 10):
        rows = random.normal(size=(40 + number, 3))
        labels = (rows.sum(axis=1) > 0).astype(int)
        lines = [[*row, label] for row, label in zip(rows.tolist(), labels.tolist(), strict=True)]
        with (folder / f"part_{number:03}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["a", "b", "c", "label"], *lines])


def test_a_folder_of_tables_trains_validates_and_tests(workplace: Path) -> None:
    write_table_shards(workplace / "tables")
    run = train(workplace, "model=mlp", "data.path=tables", "trainer.max_epochs=8")
    results = read_manifest(run.manifest_path)["results"]
    assert results["test/accuracy"] > 0.8
    assert not (workplace / "data").exists()


def test_an_autoencoder_gets_better_at_its_digits(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["model.network.filters=[8,16]", "trainer.max_epochs=4", "model.metrics=[mae]"]
    run = train(workplace, "model=autoencoder", *small)
    _, losses = read_metrics(run.metrics_path)["val/loss"]
    assert losses[-1] < 0.8 * losses[0]
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines() if "/" in line.split()[0]] == [
        *("test/mae", "test/loss", "val/mae", "val/loss"),
    ]


def test_a_folder_of_numbers_is_regressed(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    rows = {number: random.normal(size=(40, 3)).astype(np.float32) for number in range(8)}
    write_shards(Path("flat"), rows, labels={n: part.sum(1) for n, part in rows.items()})
    metrics = "model.metrics=[{type: r2_score}, mae]"
    overrides = ["model=regressor", "data.path=flat", "scheduler=onecycle", metrics]
    run = train(workplace, *overrides, "trainer.max_epochs=8")
    assert read_manifest(run.manifest_path)["results"]["test/r2_score"] > 0.7
    printed = capsys.readouterr().out
    assert "test/r2_score" in printed
    assert "val/r2_score" in printed
    assert "mae" not in printed  # a summary has one metric


def test_nothing_held_out_trains_on_all_and_keeps_the_best_by_training_loss(
    workplace: Path,
) -> None:
    rows = np.random.default_rng(0).random((20, 4), np.float32)
    write_shards(Path("flat"), {1: rows}, labels={1: (rows[:, 0] > 0.5).astype(np.int64)})
    overrides = ["model=mlp", "data.path=flat", "data.val=null", "data.test=null"]
    run = train(workplace, *overrides, "trainer.max_epochs=2")
    assert (run.checkpoints_dir / "best.ckpt").is_file()
    assert "test/loss" not in read_manifest(run.manifest_path)["results"]


@pytest.mark.parametrize("debug", ["fast", "limit"])
def test_debug_runs_finish(workplace: Path, debug: str) -> None:
    run = train(workplace, "model=mlp", f"debug={debug}")
    facts = read_manifest(run.manifest_path)
    assert (facts["status"], facts["debug"]) == ("finished", debug)


def test_the_code_of_a_run_is_kept_unless_nobody_wants_it(workplace: Path) -> None:
    (workplace / "model.py").write_text("width = 3\n")
    short = ["model=mlp", "debug=fast"]
    run = train(workplace, *short)
    assert (run.path / "code/model.py").read_text() == "width = 3\n"
    facts = read_manifest(run.manifest_path)
    assert (facts["code"]["folder"], facts["code"]["num_files"]) == ("code", 1)
    other = train(workplace, *short, "code_dir=null")
    assert read_manifest(other.manifest_path)["code"] is None
    assert list(other.path.glob("code*")) == []


def test_code_that_cannot_be_kept_is_told_once_and_stops_nothing(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "large.yaml").write_text("x" * (2 << 20))
    run = train(workplace, "model=mlp", "debug=fast")
    assert read_manifest(run.manifest_path)["status"] == "finished"
    told = [line for line in capsys.readouterr().out.splitlines() if "large.yaml" in line]
    assert len(told) == 1
    assert told[0].endswith("[WARNING] - Too large to be kept with the code: large.yaml.")


@pytest.mark.slow
def test_overfitting_learns_its_few_batches(workplace: Path) -> None:
    run = train(workplace, "model=mlp", "debug=overfit")
    assert read_manifest(run.manifest_path)["results"]["train/accuracy"] == 1.0


def test_a_sweep_makes_a_run_for_every_combination(workplace: Path) -> None:
    assert main(["-m", "model=cnn,mlp", "seed=1,2", "debug=fast", *QUIET]) == 0
    names = [run.path.name for run in runs_in(workplace)]
    cnn, mlp = "cnn-BS32-filters32_64-adam-lr2e-3", "mlp-BS32-hidden256_128-adam-lr2e-3"
    assert names == [f"0-{cnn}", f"1-{cnn}", f"2-{mlp}", f"3-{mlp}"]
    assert len(list((workplace / "runs").iterdir())) == 1


SLIPS = {
    "model=cnnn": r"Expected `model` to be one of its options, but got 'cnnn'. Did you mean 'cnn'?",
    "modle=cnn": "Expected a key of the configuration, but got 'modle'. Did you mean 'model'?",
    "data.batchsize=3": "but got 'data.batchsize'. Did you mean 'data.batch_size'?",
    "trainer.max_epoch=3": "but got 'trainer.max_epoch'. Did you mean 'trainer.max_epochs'?",
    "data.batch_size==3": "Expected an override key=value, but got 'data.batch_size==3'.",
    "data.path=nowhere": "Expected `path` to exist, but got 'nowhere'. Did you mean 'nowhere_'?",
    "data.path=nowhere_": "Expected numbered files in nowhere_, such as sample__1.npy",
    "data.batch_size=0": "Expected `data.batch_size` to be a whole number from 1, but got 0.",
    "data.batch_size=-3": "but got -3. It comes from the override data.batch_size=-3",
    "trainer.max_epochs=abc": "Expected `trainer.max_epochs` to be a whole number or null, but got",
    "optimizer.lr=fast": "Expected `optimizer.lr` to be a number, but got 'fast'. It comes from t",
    "optimizer.lr=-1": "Invalid learning rate: -1",
    "seed=abc": "Expected `seed` to be a whole number, but got 'abc'. It comes from the override",
    "trainer.precision=16-mixde": "but got '16-mixde'. Did you mean '16-mixed'? It comes from the",
    "model.threshold=high": "Expected `model.threshold` to be a number, but got 'high'.",
    "callbacks.resume.keep=all": "Expected `callbacks.resume.keep` to be a whole number, but got",
    "data.shuffle=row": "but got 'row'. Did you mean 'rows'?",
    "seed=-1": "Expected `seed` to be a whole number from 0, but got -1.",
    "+data.foo=1": "to have arguments of leyden.data.AutoDataModule, but got 'foo'.",
    "trainer.accelerator=gpuu": "Expected arguments that fit in `trainer`, but got:",
    "model.network.filters=many": "Expected `model.network.filters` to be a list, but got 'many'.",
    "data.augmentors={'image':[flip]}": "{'image':[flip]}\". Keys in braces have no quotes.",
    "model.network.filters={a:1}": "'~model.network.filters' '+model.network.filters={a:1}'.",
    "~model": "Expected `model` to be a section of the configuration",
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_one_line_and_exit_code_2_and_leaves_nothing(
    workplace: Path, capsys: pytest.CaptureFixture[str], slip: str
) -> None:
    (workplace / "nowhere_").mkdir()
    assert main([*QUIET, slip]) == 2
    printed = capsys.readouterr()
    assert SLIPS[slip] in printed.err
    assert len(printed.err.splitlines()) == 1
    assert runs_in(workplace) == []
    if "It comes from" in printed.err:  # it was refused before there was anything
        assert [path.name for path in workplace.iterdir()] == ["nowhere_"]
    files = [path for path in workplace.rglob("*") if path.is_file()]
    assert [path for path in files if "digits" not in str(path)] == []


def test_a_monitor_that_nobody_logs_is_one_line_and_exit_code_2(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["model=mlp", "model.network.hidden=[8]", "trainer.max_epochs=1", "test=false"]
    assert main([*QUIET, *small, "callbacks.checkpoint.monitor=val/acuracy"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "`ModelCheckpoint(monitor='val/acuracy')` could not find the monitored key" in last
    (run,) = runs_in(workplace)
    assert read_manifest(run.manifest_path)["status"] == "failed"


def test_the_full_traceback_is_had_on_request(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match=r"Expected `seed`"):
        main([*QUIET, "seed=-1"])


def test_a_late_slip_ends_the_run_as_failed(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUIET, "model=lstm"]) == 2
    assert "Expected" in capsys.readouterr().err
    (run,) = runs_in(workplace)
    assert read_manifest(run.manifest_path)["status"] == "failed"


def test_the_script_ends_with_the_exit_code(workplace: Path) -> None:
    script = Path(__file__).parents[2] / "train.py"
    command = [sys.executable, str(script), "model=cnnn"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("Expected `model` to be one of its options, but got 'cnnn'.")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_run_that_is_stopped_says_so(workplace: Path, number: signal.Signals) -> None:
    script = Path(__file__).parents[2] / "train.py"
    command = [sys.executable, str(script), "model=mlp", "trainer.max_epochs=100000", *QUIET]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not any(run.ledger_path.exists() for run in runs_in(workplace)):
            with pytest.raises(subprocess.TimeoutExpired):  # it is on its way to the first epoch
                process.wait(timeout=0.2)
        process.send_signal(number)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
    (run,) = runs_in(workplace)
    assert process.returncode == 128 + number
    assert read_manifest(run.manifest_path)["status"] == "interrupted"
    assert len(read_ledger(run.ledger_path)) > 0


@pytest.fixture
def own_files(workplace: Path) -> Path:
    """A base configuration, and one on top of it, in a folder of the user's."""
    files = {
        "base.yaml": "defaults: [train, override model: mlp, _self_]\nseed: 5\n"
        "trainer: {max_epochs: 3, fast_dev_run: true}\n",
        "mine.yaml": "defaults: [base, override optimizer: sgd, _self_]\nname: mine\n"
        "trainer: {max_epochs: 1}\nown: {height: 3}\n",
        "extra/long.yaml": "# @package _global_\nseed: 7\n",
        "extra/quiet.yaml": "# @package _global_\nseed: 8\nname: quiet\n",
    }
    for name, text in files.items():
        path = workplace / "my conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Path("my conf")


def test_configurations_are_merged_from_the_base_on(workplace: Path, own_files: Path) -> None:
    run = train(workplace, "--config-dir", str(own_files), "-cn", "mine", "optimizer.lr=0.5")
    (config,) = (OmegaConf.load(path) for path in run.config_dir.iterdir())
    assert run.path.name.endswith("-mine")
    assert (config.seed, config.trainer.max_epochs, config.trainer.fast_dev_run) == (5, 1, True)
    assert (config.optimizer.type, config.optimizer.lr, config.own.height) == ("sgd", 0.5, 3)
    assert config.model.network.type == "mlp"


def test_several_files_are_put_on_top_in_their_order(workplace: Path, own_files: Path) -> None:
    (workplace / "my conf/mine.yaml").unlink()
    more = ["-cd", str(own_files), "--config-name=base", "+extra=[long,quiet]"]
    run = train(workplace, *more)
    (config,) = (OmegaConf.load(path) for path in run.config_dir.iterdir())
    assert (config.seed, config.name, config.model.network.type) == (8, "quiet", "mlp")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["own.heigth=4"], "but got 'own.heigth'. Did you mean 'own.height'?"),
        (["extra=lng"], "Expected a key of the configuration, but got 'extra'."),
        (["+extra=lng"], "Expected `extra` to be one of its options, but got 'lng'."),
        (["--mutlirun"], "Expected an option of Hydra, but got '--mutlirun'. Did you mean '--mul"),
        (["-x"], "Expected an option of Hydra, but got '-x'."),
        (["--config-dir", "nowhere"], "to be a folder, but got 'nowhere', which is none."),
        (["-cn", "min"], "Expected a configuration file, but 'min' does not exist."),
    ],
)
def test_slips_in_own_configurations_are_one_line(
    workplace: Path,
    own_files: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    assert main(["-cd", str(own_files), "-cn", "mine", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
