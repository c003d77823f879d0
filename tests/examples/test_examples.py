"""The examples do what they say."""

import importlib.util
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


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "eeg_windows",
        "foreign_project",
        "own_shards",
    }
