"""Two real processes with gloo between them."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LENGTHS = {2: 7, 3: 11, 5: 1, 8: 6, 13: 5}  # sets 8 and 13, 11 rows, are held out
SCRIPT = Path(__file__).parent / "ranks_script.py"


def train(folder: Path, name: str, **options: Any) -> list[dict[str, Any]]:
    """Train in as many processes as asked for, and return what each of them noted."""
    options |= {"folder": str(folder), "name": name}
    subprocess.run([sys.executable, SCRIPT, json.dumps(options)], check=True, timeout=120)
    ranks = range(options["devices"])
    return [json.loads((folder / f"{name}-{rank}.json").read_text()) for rank in ranks]


def rows(notes: list[dict[str, Any]], phase: str, epoch: int) -> list[tuple[int, int]]:
    return [
        (number, row)
        for note in notes
        for part, in_epoch, number, row in note["seen"]
        if (part, in_epoch) == (phase, epoch)
    ]


def all_rows(*set_numbers: int) -> Counter[tuple[int, int]]:
    return Counter((number, row) for number in set_numbers for row in range(LENGTHS[number]))


@pytest.fixture
def folder(write: Callable[..., Path]) -> Path:
    return write(LENGTHS, "shards").parent


def test_two_processes_share_every_epoch_and_count_every_validation_row_once(folder: Path) -> None:
    notes = train(folder, "two", devices=2, batch_size=3)
    assert [note["steps"] for note in notes] == [6, 6]  # 19 rows: steps of 6, 6 and 7
    for epoch in (0, 1):
        assert Counter(rows(notes, "train", epoch)) == all_rows(2, 3, 5)
        assert Counter(rows(notes, "val", epoch)) == all_rows(8, 13)
    first, second = (set(rows([note], "train", 0)) for note in notes)
    assert not first & second


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "batch_size"), [(1, 5), (2, 2)])
def test_an_epoch_of_two_processes_goes_on_in_others(
    folder: Path, devices: int, batch_size: int
) -> None:
    notes = train(folder, "before", devices=2, batch_size=3)
    before = [{"seen": note["seen"][:6]} for note in notes]  # two steps of three rows
    path = folder / "before" / "step=2.ckpt"
    after = train(folder, "after", devices=devices, batch_size=batch_size, ckpt_path=str(path))
    assert Counter(rows(before, "train", 0) + rows(after, "train", 0)) == all_rows(2, 3, 5)
    assert Counter(rows(after, "train", 1)) == all_rows(2, 3, 5)
