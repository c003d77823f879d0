"""Every callback at once on modules written by others, which train as they would without."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer

from leyden import callbacks as watch
from leyden.callbacks import StageHooks
from leyden.tracking import FileLogger, read_ledger

EXAMPLE = Path(__file__).parents[2] / "examples" / "watch_anything.py"
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("boring", "manual", "demo")]
NAMES = ("boring", "manual", "demo", "transformer", "lstm")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("watched", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fit(example: Any, name: str, folder: Path, callbacks: list[Any]) -> Any:
    """Train one of the modules, made with the same numbers each time."""
    torch.manual_seed(0)
    module, data = example.make_projects()[name]
    torch.manual_seed(1)
    places: Any = {"logger": FileLogger(folder), "default_root_dir": folder}
    trainer = Trainer(**example.OPTIONS, **example.QUIET, **places, callbacks=callbacks)
    trainer.fit(module, data)
    return module


@pytest.mark.filterwarnings("ignore:Weights that may be ill")
@pytest.mark.parametrize("name", [*NAMES[-2:], *SLOW])
def test_every_callback_does_its_work_and_changes_nothing(
    example: Any, name: str, tmp_path: Path
) -> None:
    # Reseeding the generators is a change that was asked for, so it stays out of the comparison.
    callbacks = [one for one in example.make_callbacks() if not isinstance(one, StageHooks)]
    alone = fit(example, name, tmp_path / "alone", [])
    watched = fit(example, name, tmp_path / "watched", callbacks)
    weights = watched.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in alone.state_dict().items())
    by_kind = {type(one).__name__: one for one in callbacks}
    for kind in ("GradientMonitor", "WeightMonitor", "ActivationMonitor", "HealthMonitor"):
        assert by_kind[kind].figures, kind
        assert by_kind[kind].step == 7
    assert by_kind["HealthMonitor"].report is not None
    assert by_kind["NaNGuard"].num_found == 0
    assert not (tmp_path / "watched" / "incidents").exists()
    assert (tmp_path / "watched" / "card.png").read_bytes().startswith(b"\x89PNG")
    ledger = read_ledger(tmp_path / "watched" / "batches.parquet").to_pylist()
    assert len([row for row in ledger if row["phase"] == "train"]) == 2 * 4
    if name in ("boring", "manual"):  # the others are not validated
        assert 0 < by_kind["ThresholdTuner"].threshold < 1
        assert len(by_kind["SubsetSelector"].subset.sets) == 2


def test_reseeding_is_heard_of_by_all(example: Any, tmp_path: Path) -> None:
    for name in NAMES:
        reseeder = watch.Reseeder(0, {"train:epoch": 1})
        fit(example, name, tmp_path / name, [reseeder])
        assert reseeder.seeds == {"python": 2, "numpy": 2, "torch": 2}
