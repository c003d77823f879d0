"""One canonical order, whatever the ranks and the batch sizes, and wherever an epoch is resumed."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from leyden.data import AutoDataModule, BatchLoader, EpochPlan
from leyden.errors import ResumeError
from leyden.shards import write_shards

LENGTHS = {2: 7, 3: 11, 5: 1, 8: 6, 13: 5}
MODES = ["none", "sets", "blocks:4", "rows", "window:2", "full"]


def loader_of(
    folder: Path, batch_size: int, rank: int = 0, num_ranks: int = 1, **more: Any
) -> BatchLoader:
    data = AutoDataModule(folder, batch_size=batch_size, **more)
    ranks = SimpleNamespace(world_size=num_ranks, global_rank=rank, overfit_batches=0)
    data.trainer = ranks  # type: ignore[assignment] # all that is asked of a trainer
    return data.train_dataloader()


def rows_of(batch: object) -> list[tuple[int, int]]:
    assert isinstance(batch, Tensor)
    return [(int(number), int(row)) for number, row in batch.tolist()]


def take(loaders: list[BatchLoader], steps: int | None = None) -> list[tuple[int, int]]:
    """Go through the ranks' batches step by step, and list the rows as they come."""
    iterators: list[Iterator[object]] = [iter(loader) for loader in loaders]
    rows = []
    for _ in range(len(loaders[0]) if steps is None else steps):
        for iterator in iterators:
            rows += rows_of(next(iterator, None))
    return rows


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("batch_size", "num_ranks"), [(3, 2), (4, 3), (30, 1), (1, 4)])
def test_all_ranks_together_see_the_canonical_order(
    write: Callable[..., Path], mode: str, batch_size: int, num_ranks: int
) -> None:
    folder = write(LENGTHS)
    loaders = [
        loader_of(folder, batch_size, rank, num_ranks, shuffle=mode) for rank in range(num_ranks)
    ]
    order = EpochPlan(LENGTHS, batch_size=1, shuffle=mode).order
    visits, rows = order.rows(0, order.num_rows)
    expected = list(zip(order.visited_sets[visits].tolist(), rows.tolist(), strict=True))
    seen = take(loaders)
    assert Counter(seen) == Counter(expected)
    step = batch_size * num_ranks
    for start in range(0, len(expected) - 2 * step, step):  # within a batch, rows are set by set
        assert Counter(seen[start : start + step]) == Counter(expected[start : start + step])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(MODES),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(0, 4)), max_size=3),
    st.tuples(st.integers(1, 9), st.integers(1, 4)),
)
def test_an_epoch_goes_on_with_the_next_unseen_row_whatever_the_batches(
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
    stints: list[tuple[int, int, int]],
    last: tuple[int, int],
) -> None:
    folder = shards_once(tmp_path_factory)
    seen: list[tuple[int, int]] = []
    state: dict[str, Any] = {}
    for batch_size, num_ranks, steps in [*stints, (*last, None)]:
        loaders = [
            loader_of(folder, batch_size, r, num_ranks, shuffle=mode) for r in range(num_ranks)
        ]
        for loader in loaders if state else ():
            loader.load_state_dict(state)
        left = len(loaders[0]) - loaders[0].progress.num_batches
        if state and left == 0:
            break
        seen += take(loaders, left if steps is None else min(steps, left))
        states = [loader.state_dict() for loader in loaders]
        assert all(one == states[0] for one in states)
        state = states[0]
    repeated = len(seen) - len(set(seen))
    assert set(seen) == {(number, row) for number, rows in LENGTHS.items() for row in range(rows)}
    assert repeated <= 3  # where fewer rows were left than there are ranks


def shards_once(factory: pytest.TempPathFactory) -> Path:
    """Write the shards at the first call."""
    folder = factory.getbasetemp() / "elastic"
    if not folder.exists():
        pairs = {n: [np.full(rows, n), np.arange(rows)] for n, rows in LENGTHS.items()}
        inputs = {number: np.stack(pair, 1).astype(np.float32) for number, pair in pairs.items()}
        write_shards(folder, inputs)
    return folder


def test_len_counts_the_batches_done_and_those_to_come(write: Callable[..., Path]) -> None:
    folder = write(LENGTHS)
    source, loader = loader_of(folder, 4), loader_of(folder, 9)
    take([source], 3)
    loader.load_state_dict(source.state_dict())
    assert len(loader) == 3 + 2  # 30 rows: 12 done, 18 left
    assert [len(rows_of(batch)) for batch in loader] == [9, 9]
    assert len(loader) == 5
    assert sum(1 for _ in loader) == 4  # the next epoch is cut from its beginning


def test_blocks_keep_their_size_until_the_epoch_ends(write: Callable[..., Path]) -> None:
    folder = write(LENGTHS)
    source = loader_of(folder, 4, shuffle="blocks")
    loader = loader_of(folder, 3, shuffle="blocks")
    seen = take([source], 2)
    loader.load_state_dict(source.state_dict())
    seen += take([loader], 8)
    assert len(set(seen)) == 30
    loader.set_epoch(1)
    assert loader.plan.shuffle == "blocks:3"
    with pytest.raises(ResumeError, match="shuffle"):
        loader_of(folder, 3, shuffle="rows").load_state_dict(source.state_dict())


def test_blocks_stay_together_and_whole() -> None:
    plan = EpochPlan({1: 8, 2: 12}, batch_size=4, shuffle="blocks", seed=3)
    starts = [(batch.set_numbers, batch.slices[0].rows.tolist()) for batch in plan]
    for numbers, rows in starts:
        assert len(numbers) == 1
        assert rows == list(range(rows[0], rows[0] + 4))
        assert rows[0] % 4 == 0
    assert sorted(numbers[0] for numbers, _ in starts) == [1, 1, 2, 2, 2]
    assert [rows for _, rows in starts] != sorted(rows for _, rows in starts)


TIME, SIZE, STRIDE, STARTS = 7, 3, 2, (0, 2)  # windows from 0, 2 and 4; or from 2 and 4
Window: TypeAlias = tuple[int, int, int]
"""Set number, row and first time step."""


def series_once(factory: pytest.TempPathFactory) -> Path:
    """Write series at the first call; they count their set, their row and the time."""
    folder = factory.getbasetemp() / "elastic_series"
    if not folder.exists():
        series = {}
        for number, rows in LENGTHS.items():
            grids = np.meshgrid([number], np.arange(rows), np.arange(TIME), indexing="ij")
            series[number] = np.stack(grids, -1)[0].astype(np.float32)
        write_shards(folder, series)
    return folder


def take_windows(loaders: list[BatchLoader], steps: int) -> list[list[Window]]:
    """Go through the ranks' batches, and list what each step has that is no repetition."""
    iterators: list[Iterator[Any]] = [iter(loader) for loader in loaders]
    found: list[list[Window]] = []
    for _ in range(steps):
        found.append([])
        for loader, iterator in zip(loaders, iterators, strict=True):
            first_steps = next(iterator)[:, 0].tolist()
            if not loader.plan[loader.progress.num_batches - 1].is_repeated:
                found[-1] += [(int(n), int(row), int(time)) for n, row, time in first_steps]
    return found


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(MODES),
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 11)), max_size=3),
    st.tuples(st.integers(1, 9), st.integers(1, 4)),
)
def test_an_epoch_that_stops_within_a_batch_goes_on_with_the_windows_of_its_rows(
    tmp_path_factory: pytest.TempPathFactory,
    mode: str,
    epoch: int,
    stints: list[tuple[int, int, int]],
    last: tuple[int, int],
) -> None:
    windows: Any = {"size": SIZE, "stride": STRIDE, "starts": STARTS}
    seen: list[Window] = []
    begun: list[Window] = []  # what the last step had, if it has windows to come
    state: dict[str, Any] = {}
    for batch_size, num_ranks, steps in [*stints, (*last, 1000)]:
        loaders = [
            loader_of(
                series_once(tmp_path_factory),
                batch_size,
                rank,
                num_ranks,
                shuffle=mode,
                windows=windows,
            )
            for rank in range(num_ranks)
        ]
        for loader in loaders:
            loader.set_epoch(epoch)
            if state:
                loader.load_state_dict(state)
        left = len(loaders[0]) - loaders[0].progress.num_batches
        if state and left == 0:
            break
        found = take_windows(loaders, min(steps, left))
        if begun:
            rows = sorted(window[:2] for window in begun)
            assert sorted(window[:2] for window in found[0]) == rows
            assert {time for _, _, time in found[0]} == {begun[0][2] + STRIDE}
        seen += [window for step in found for window in step]
        states = [loader.state_dict() for loader in loaders]
        assert all(one == states[0] for one in states)
        state = states[0]
        begun = found[-1] if state["window"] else []
    assert Counter(seen) == {
        (number, row, begin): 1
        for number, rows in LENGTHS.items()
        for row in range(rows)
        for begin in range(STARTS[epoch], TIME - SIZE + 1, STRIDE)
    }


def test_the_rows_of_a_step_that_was_begun_are_divided_among_the_ranks_there_are(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, windows = series_once(tmp_path_factory), {"size": SIZE, "stride": STRIDE}
    source = loader_of(folder, 5, shuffle="none", windows=windows)
    take_windows([source], 4)  # the second batch has two windows to come
    loaders = [loader_of(folder, 8, rank, 2, shuffle="none", windows=windows) for rank in (0, 1)]
    for loader in loaders:
        loader.load_state_dict(source.state_dict())
    sizes = [[len(batch) for batch in loader] for loader in loaders]  # of 20 rows that are left
    assert sizes == [[3, 3, 8, 8, 8, 2, 2, 2], [2, 2, 8, 8, 8, 2, 2, 2]]
    assert [len(loader) for loader in loaders] == [4 + 8] * 2


def test_an_epoch_that_is_begun_anew_has_the_batches_of_a_new_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, windows = series_once(tmp_path_factory), {"size": SIZE, "stride": STRIDE}
    for steps in (1, 4):  # within the first batch, and within the second
        source, loader, fresh = (
            loader_of(folder, size, shuffle="none", windows=windows) for size in (5, 8, 8)
        )
        take_windows([source], steps)
        loader.load_state_dict(source.state_dict())
        next(iter(loader))
        assert take_windows([loader], 12) == take_windows([fresh], 12)


def test_batches_since_an_epoch_was_gone_on_with_are_those_that_were_handed_out(
    write: Callable[..., Path],
) -> None:
    folder = write(LENGTHS)
    source = loader_of(folder, 3)
    take([source], 4)
    data = AutoDataModule(folder, batch_size=5)
    loader = data.train_dataloader()
    loader.load_state_dict(source.state_dict())
    seen = [rows_of(batch) for batch in loader]
    expected = [rows_of(batch) for batch in loader]  # the next epoch
    assert [rows_of(data.fetch("train", 0, index)) for index in range(4, len(seen) + 4)] == seen
    assert [rows_of(data.fetch("train", 1, index)) for index in range(6)] == expected
    with pytest.raises(IndexError, match="batch index from 4"):
        data.fetch("train", 0, 3)  # which had another size


def test_a_state_of_other_sets_to_visit_is_refused(write: Callable[..., Path]) -> None:
    folder = write(LENGTHS)

    def scheduled(sets: list[int] | None) -> BatchLoader:
        data = AutoDataModule(folder, batch_size=3)
        data.schedule("train", sets)
        return data.train_dataloader()

    source, same, plain = scheduled([3, 13, 3]), scheduled([3, 13, 3]), scheduled(None)
    seen = take([source], 1)
    state = source.state_dict()
    assert len(json.dumps(state)) <= 200
    with pytest.raises(ResumeError, match="sets of this loader"):
        plain.load_state_dict(state)
    with pytest.raises(ResumeError, match="sets of this loader"):
        source.load_state_dict(plain.state_dict())
    same.load_state_dict(state)
    rows = seen + [row for batch in same for row in rows_of(batch)]
    assert Counter(rows) == Counter(
        [(3, row) for row in range(11)] * 2 + [(13, r) for r in range(5)]
    )
