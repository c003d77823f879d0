"""Where everything of a run lies."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen

from leyden.runs import RunDir, claim_dir, layout


def test_every_place_is_inside_the_run_folder(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    places = {
        run.manifest_path: "run.json",
        run.config_dir: "config",
        run.checkpoints_dir: "checkpoints",
        run.metrics_path: "metrics.csv",
        run.ledger_path: "batches.parquet",
        run.history_path: "history.png",
        run.card_path: "card.png",
        run.page_path: "report.html",
        run.incidents_dir: "incidents",
    }
    assert {path.relative_to(tmp_path).as_posix() for path in places} == set(places.values())


def test_asking_for_places_makes_nothing(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    assert run.checkpoints_dir.parent == run.path
    assert not run.path.exists()


def test_claim_makes_parents_and_the_folder(tmp_path: Path) -> None:
    folder = claim_dir(tmp_path / "2024-01-01", "12-00-00-cnn")
    assert folder == tmp_path / "2024-01-01" / "12-00-00-cnn"
    assert folder.is_dir()


def test_claim_counts_on_from_a_taken_name(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").write_text("a file takes a name too")
    assert claim_dir(tmp_path, "run").name == "run-3"


def test_concurrent_threads_claim_different_folders(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(claim_dir, [tmp_path] * 8, ["run"] * 8))
    assert {folder.name for folder in folders} == {"run", *(f"run-{n}" for n in range(2, 9))}


def test_concurrent_processes_claim_different_folders(tmp_path: Path) -> None:
    # The module alone, so that none of them spends seconds on importing torch.
    code = f"import runpy; module = runpy.run_path({layout.__file__!r}); "
    code += f"print(module['claim_dir'](module['Path']({str(tmp_path)!r}), 'run'))"
    command = [sys.executable, "-c", code]
    processes = [Popen(command, stdout=PIPE, text=True) for _ in range(8)]
    folders = {process.communicate()[0].strip() for process in processes}
    assert folders == {str(path) for path in tmp_path.iterdir()}
    assert len(folders) == 8
