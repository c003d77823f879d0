import os
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from leyden.data import AutoDataModule
from leyden.data.readahead import ReadAhead

WAIT = 20  # seconds, at most


class Advice:
    """What the system was asked for: the file, and where and how much."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.last, self.has_come = "", Event()

    def take(self, descriptor: int, offset: int, length: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        self.asked.append((name, offset, length))
        if name == self.last:
            self.has_come.set()


@pytest.fixture
def advice(monkeypatch: pytest.MonkeyPatch) -> Advice:
    if not hasattr(os, "posix_fadvise") or not Path("/proc/self/fd").exists():
        pytest.skip("The system takes no advice.")
    advice = Advice()
    monkeypatch.setattr(os, "posix_fadvise", advice.take)
    return advice


def test_files_are_asked_for_in_their_order_piece_by_piece(tmp_path: Path, advice: Advice) -> None:
    (tmp_path / "large").write_bytes(bytes((2 << 20) + 1))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "small").write_bytes(b"1")
    advice.last = "small"
    names = ("large", "missing", "empty", "small")  # whoever needs the missing one will say so
    ReadAhead().ask(tmp_path / name for name in names)
    assert advice.has_come.wait(WAIT)
    piece = 1 << 20
    assert advice.asked == [
        *(("large", offset, piece) for offset in (0, piece, 2 * piece)),
        ("small", 0, piece),
    ]


def test_where_no_advice_is_taken_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    ReadAhead().ask(pytest.fail(f"{path} was looked at") for path in [tmp_path])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are asked for."""
    names: list[str] = []
    monkeypatch.setattr(ReadAhead, "ask", lambda _, paths: names.extend(p.stem for p in paths))
    return names


def make_data(folder: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> AutoDataModule:
    """Have two batches in a block, one block made at a time, and two more sets read ahead."""
    for name, value in SIZES.items():
        monkeypatch.setattr(f"leyden.data.loader.{name}", value)
    return AutoDataModule(folder, batch_size=5, **{"shuffle": "none", **arguments})


LENGTHS = dict.fromkeys(range(10), 10)  # rows of 8 bytes
SIZES = {"_BLOCK_BYTES": 80, "_PLANNED_ROWS": 1, "_AHEAD_BYTES": 160}


def files(*numbers: int) -> list[str]:
    return [f"sample__{number}" for number in numbers]


def test_sets_are_asked_for_a_little_before_their_turn(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = iter(make_data(write(LENGTHS), monkeypatch).train_dataloader())
    assert asked == []
    next(batches)
    assert asked == files(0, 1, 2)
    next(batches)
    assert asked == files(0, 1, 2)
    next(batches)
    assert asked == files(0, 1, 2, 3)
    assert len(list(batches)) == 17
    assert asked == files(*range(10))


def test_sets_that_are_mixed_are_asked_for_together(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(write(LENGTHS), monkeypatch, shuffle="window:4")
    order = data.plan("train", 0).set_order
    batches = iter(data.train_dataloader())
    next(batches)
    assert asked == files(*order[:4])
    for _ in range(4):
        next(batches)
    assert asked == files(*order[:8])


def test_an_epoch_that_goes_on_asks_for_nothing_that_is_behind_it(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(LENGTHS)
    for shuffle, expected in (("none", [6, 7, 8]), ("window:4", [4, 5, 6, 7, 8, 9])):
        source = make_data(folder, monkeypatch, shuffle=shuffle)
        loader = source.train_dataloader()
        for _ in zip(range(12), loader, strict=False):  # to the end of the sixth set
            pass
        asked.clear()
        other = make_data(folder, monkeypatch, shuffle=shuffle).train_dataloader()
        other.load_state_dict(loader.state_dict())
        next(iter(other))
        order = source.plan("train", 0).set_order
        assert asked == files(*(order[place] for place in expected))


def test_sets_in_memory_are_not_asked_for(
    write: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_data(write(LENGTHS), monkeypatch, preload=[1, 2])
    next(iter(data.train_dataloader()))
    assert asked == files(0)


def test_advice_changes_no_batch(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(LENGTHS)
    told = SimpleNamespace(paths=0)
    monkeypatch.setattr(ReadAhead, "ask", lambda _, paths: setattr(told, "paths", len([*paths])))
    quiet = [batch.tolist() for batch in AutoDataModule(folder).train_dataloader()]  # type: ignore[union-attr] # tensors
    monkeypatch.undo()
    assert told.paths == 10
    assert [batch.tolist() for batch in AutoDataModule(folder).train_dataloader()] == quiet  # type: ignore[union-attr] # tensors
