"""The examples do what they say."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch from waiting for threads over networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(name: str) -> Any:
    """Import an example by its path and call its ``main``."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main()


def test_own_shards_learns_to_tell_the_clouds_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("own_shards") > 0.9
    printed = capsys.readouterr().out
    assert "10: 1-10" in printed
    assert "455 (41 to 50 in a set)" in printed


def test_foreign_project_has_a_row_for_every_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("foreign_project") == 2 * 8
    assert "batches.parquet checkpoints history.png metrics.csv" in capsys.readouterr().out


def test_eeg_windows_foresees_brain_waves_better_than_chance(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("eeg_windows") > 0.56  # 0.54 of what is to be foreseen are falls
    assert "(8, 4) is a window, 2 make a batch" in capsys.readouterr().out


def test_diabetes_explains_more_than_a_straight_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("diabetes") > 0.33  # LinearRegression explains 0.32
    assert re.search(r"off by 4\d on the average", capsys.readouterr().out)


def test_find_strangers_tells_nearly_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("find_strangers") > 0.98
    assert "error of sevens" in capsys.readouterr().out


def test_experiment_digits_recognises_nearly_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("experiment_digits") > 0.95
    printed = capsys.readouterr().out
    assert "the data is there\nthe model is trained\n" in printed
    assert "the first five digits are 0 1 2 3 4" in printed


@pytest.mark.filterwarnings("ignore:Weights that may be ill")  # as those of a Transformer are
def test_watch_anything_leaves_everything_of_every_module(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = run("watch_anything")
    assert list(found) == ["boring", "manual", "demo", "transformer", "lstm"]
    kinds = {"gradient_norm", "weight_norm", "activation", "health"}
    files = {"batches.parquet", "card.png", "metrics.csv"}
    assert all(kinds | files <= set(names) for names in found.values())
    assert "val" in found["boring"]
    assert not any("incidents" in names for names in found.values())
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_watch_gan_has_norms_of_both_players(capsys: pytest.CaptureFixture[str]) -> None:
    norms = run("watch_gan")
    both = {name.split("/")[1].split(".")[0] for name in norms}
    assert both == {"generator", "critic", "total"}
    assert norms["gradient_norm/total"] ** 2 == pytest.approx(
        sum(norm**2 for name, norm in norms.items() if not name.endswith("total"))
    )
    assert "batches.parquet card.png" in capsys.readouterr().out


def test_watch_translator_tunes_a_module_with_masks(capsys: pytest.CaptureFixture[str]) -> None:
    threshold, metric = run("watch_translator")
    assert threshold != 0.5
    assert metric > 0.8
    printed = capsys.readouterr().out
    assert "not finite: None" in printed
    assert re.search(r"best batches: \(\d, \d\)", printed)


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "diabetes",
        "eeg_windows",
        "experiment_digits",
        "find_strangers",
        "foreign_project",
        "own_shards",
        "watch_anything",
        "watch_gan",
        "watch_translator",
    }
