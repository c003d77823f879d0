import json
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leyden.data.assembly import Assembler
from leyden.data.cut import WindowCut
from leyden.data.gather import ShardStore
from leyden.data.loader import BatchLoader
from leyden.data.plan import Begin, EpochPlan
from leyden.data.windows import TimeWindows
from leyden.errors import ResumeError, ShardError
from leyden.shards import Catalog, discover, write_shards

LENGTHS = {1: 5, 2: 3, 7: 4}  # 12 rows: batches of 5, 5 and 2


def make_loader(catalog: Catalog, **arguments: Any) -> BatchLoader:
    """Make a loader of batches of 5 rows; some arguments are of the loader, the others of plans."""
    mine = {
        name: arguments.pop(name)
        for name in ("every_epoch_alike", "on_batch", "on_end")
        if name in arguments
    }
    settings = {"batch_size": 5, **arguments}

    def make_plan(
        epoch: int, *, shuffle: str | None = None, begin: Begin | None = None
    ) -> EpochPlan:
        chosen = settings | ({"shuffle": shuffle} if shuffle else {})
        return EpochPlan(catalog.lengths, epoch=epoch, begin=begin, **chosen)

    assembler = Assembler(ShardStore(catalog))
    return BatchLoader(assembler, make_plan, fingerprint=catalog.fingerprint, **mine)


@pytest.fixture
def catalog(write: Callable[..., Path]) -> Catalog:
    return discover(write(LENGTHS))


def expected(epoch: int, *, seed: int = 0, batch_size: int = 5) -> list[list[list[int]]]:
    """List the batches of an epoch as ``[set number, row]``, from the plan alone."""
    plan = EpochPlan(LENGTHS, batch_size=batch_size, seed=seed, epoch=epoch)
    return [
        [[piece.set_number, int(row)] for piece in batch.slices for row in piece.rows]
        for batch in plan
    ]


def taken(batches: Iterator[Any], num_batches: int | None = None) -> list[Any]:
    return [batch.tolist() for batch in islice(batches, num_batches)]


def test_batches_are_the_rows_on_disk_that_their_origin_names(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    arrays = {number: np.load(catalog.shard(number).data.path) for number in LENGTHS}
    for batch, origin in zip(loader, loader.plan, strict=True):
        rows = [arrays[piece.set_number][piece.rows] for piece in origin.slices]
        assert isinstance(batch, Tensor)
        assert batch.numpy().tolist() == np.concatenate(rows).tolist()
    assert taken(iter(make_loader(catalog))) == expected(0)


def test_epochs_follow_one_another(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    assert [taken(iter(loader)) for _ in range(3)] == [expected(epoch) for epoch in range(3)]


def test_batches_are_the_same_however_many_are_worked_out_at_a_time(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leyden.data.loader._PLANNED_BYTES", 1)
    monkeypatch.setattr("leyden.data.loader._BLOCK_BYTES", 1)
    stops: list[int] = []
    block = EpochPlan.block

    def note(plan: EpochPlan, first: int, stop: int) -> Any:
        stops.append(stop)
        return block(plan, first, stop)

    monkeypatch.setattr(EpochPlan, "block", note)
    loader = make_loader(catalog)
    assert [taken(iter(loader)) for _ in range(2)] == [expected(0), expected(1)]
    assert stops == [1, 2, 3, 3]  # all at once in the second epoch, since all sets are open


def test_an_epoch_that_is_not_pulled_to_its_end_is_over_with_its_last_batch(
    catalog: Catalog,
) -> None:
    loader = make_loader(catalog)
    assert taken(iter(loader), 3) == expected(0)  # next is not called a fourth time
    assert taken(iter(loader), 3) == expected(1)


def test_a_pass_that_is_broken_off_begins_anew(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    assert taken(iter(loader), 2) == expected(0)[:2]
    assert taken(iter(loader)) == expected(0)
    assert taken(iter(loader)) == expected(1)


def test_passes_at_once_are_of_one_epoch_which_is_over_once(catalog: Catalog) -> None:
    ends: list[int] = []
    loader = make_loader(catalog, on_end=lambda loader: ends.append(loader.progress.num_rows))
    pairs: Any = zip(iter(loader), iter(loader), strict=True)
    found = [(one.tolist(), other.tolist()) for one, other in pairs]
    assert found == [(batch, batch) for batch in expected(0)]
    assert ends == [12, 12]
    assert taken(iter(loader)) == expected(1)


def test_a_pass_of_another_epoch_leaves_the_place_alone(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    first = iter(loader)
    next(first)
    loader.set_epoch(3)
    second = iter(loader)
    next(second)
    state = loader.state_dict()
    assert taken(first) == expected(0)[1:]
    assert loader.state_dict() == state
    assert taken(second) == expected(3)[1:]
    assert loader.is_at_end


def test_validation_has_the_same_epoch_again_and_again(catalog: Catalog) -> None:
    loader = make_loader(catalog, every_epoch_alike=True)
    assert [taken(iter(loader)) for _ in range(3)] == [expected(0)] * 3


def test_nothing_is_read_or_counted_before_the_first_batch(
    write: Callable[..., Path], counting: Any
) -> None:
    loader = make_loader(discover(write(LENGTHS), reader=counting))
    counting.opened.clear()
    iterators = [iter(loader) for _ in range(3)]
    assert counting.opened == counting.read_rows == []
    assert taken(iterators[2]) == expected(0)
    assert taken(iter(loader)) == expected(1)


def test_an_epoch_that_is_set_after_iter_still_counts(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    batches = iter(loader)
    loader.set_epoch(4)
    assert taken(batches) == expected(4)
    assert taken(iter(loader)) == expected(5)


def test_a_state_that_is_loaded_after_iter_still_counts(catalog: Catalog) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 2)
    batches = iter(loader)
    loader.load_state_dict(source.state_dict())
    assert taken(batches) == expected(0)[2:]


def test_len_is_that_of_the_whole_epoch_wherever_it_is(catalog: Catalog) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    for _ in zip(range(2), source, strict=False):
        assert len(source) == 3
    loader.load_state_dict(source.state_dict())
    assert len(loader) == 3
    assert len(make_loader(catalog, drop_last=True)) == 2


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_state_goes_on_with_exactly_the_batches_that_are_left(
    catalog: Catalog, epoch: int, done: int
) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    source.set_epoch(epoch)
    taken(iter(source), done)
    loader.load_state_dict(json.loads(json.dumps(source.state_dict())))
    following = expected(epoch)[done:] + expected(epoch + 1) + expected(epoch + 2)
    found = taken(iter(loader)) + taken(iter(loader))
    assert found == following[: len(found)]
    assert len(found) == (6 if done == 3 else 6 - done)


def test_a_state_from_before_the_first_batch_is_the_beginning(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    loader.load_state_dict(make_loader(catalog).state_dict())
    assert taken(iter(loader)) == expected(0)


@pytest.mark.parametrize("epoch_set", [None, 0, 1])
def test_a_state_of_the_last_batch_goes_on_with_the_next_epoch(
    catalog: Catalog, epoch_set: int | None
) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 3)
    loader.load_state_dict(source.state_dict())
    if epoch_set is not None:
        loader.set_epoch(epoch_set)
    assert taken(iter(loader)) == expected(1)


def test_setting_the_epoch_that_is_going_on_keeps_the_place(catalog: Catalog) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 2)
    loader.load_state_dict(source.state_dict())
    loader.sampler.set_epoch(0)  # type: ignore[attr-defined] # as Lightning does
    assert taken(iter(loader)) == expected(0)[2:]


def test_setting_another_epoch_drops_the_place(catalog: Catalog) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 2)
    loader.load_state_dict(source.state_dict())
    loader.sampler.set_epoch(3)  # type: ignore[attr-defined] # as Lightning does
    assert taken(iter(loader)) == expected(3)


def test_a_place_is_used_once(catalog: Catalog) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 2)
    loader.load_state_dict(source.state_dict())
    assert taken(iter(loader)) == expected(0)[2:]
    assert taken(iter(loader)) == expected(1)


def test_a_resumed_pass_that_is_broken_off_begins_its_epoch_anew(catalog: Catalog) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 1)
    loader.load_state_dict(source.state_dict())
    assert taken(iter(loader), 1) == expected(0)[1:2]
    assert taken(iter(loader)) == expected(0)


def test_a_state_is_written_down_before_the_batch_is_used_up(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    states = []
    for _ in zip(range(3), loader, strict=False):
        states.append(loader.state_dict()["rows"])
        assert loader.progress.num_rows == states[-1]
    assert states == [5, 10, 12]


def test_a_state_is_a_little_json(catalog: Catalog) -> None:
    loader = make_loader(catalog, shuffle="window:12", seed=2**40)
    loader.set_epoch(100_000)
    taken(iter(loader), 2)
    state = loader.state_dict()
    assert state == {
        "version": 2,
        "epoch": 100_000,
        "rows": 10,
        "batches": 2,
        "window": 0,
        "windows": 1,
        "step_rows": 0,
        "seed": 2**40,
        "shuffle": "window:12",
        "fingerprint": catalog.fingerprint,
    }
    assert len(json.dumps(state)) <= 200


def test_going_to_a_place_reads_nothing_before_it(
    write: Callable[..., Path], counting: Any
) -> None:
    catalog = discover(write(LENGTHS), reader=counting)
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 2)
    counting.read_rows.clear()
    loader.load_state_dict(source.state_dict())
    taken(iter(loader))
    assert counting.read_rows == [(f"sample__{number}.npy", row) for number, row in expected(0)[2]]


def test_a_state_of_a_longer_epoch_is_at_the_end_of_a_shorter_one(catalog: Catalog) -> None:
    source, loader = make_loader(catalog), make_loader(catalog, drop_last=True)
    taken(iter(source), 3)
    loader.load_state_dict(source.state_dict())
    assert taken(iter(loader)) == expected(1)[:2]


@pytest.mark.parametrize(
    ("arguments", "key", "mine", "other"),
    [
        ({"seed": 4}, "seed", "4", "0"),
        ({"shuffle": "full"}, "shuffle", "full", "rows"),
    ],
)
def test_a_state_of_another_order_is_refused(
    catalog: Catalog, arguments: dict[str, Any], key: str, mine: str, other: str
) -> None:
    source, loader = make_loader(catalog), make_loader(catalog, **arguments)
    taken(iter(source), 2)
    problem = (
        f"Expected a state with the {key} of this loader, but they differ[.]\n"
        f"state: {other}\nloader: {mine}\nGo on with the data and the arguments"
    )
    with pytest.raises(ResumeError, match=problem):
        loader.load_state_dict(source.state_dict())
    assert loader.progress.num_batches == 0


def test_a_state_of_other_data_is_refused(catalog: Catalog, write: Callable[..., Path]) -> None:
    other = discover(write(LENGTHS | {2: 4}, "other"))
    problem = f"fingerprint of this.*\nstate: {other.fingerprint}\nloader: {catalog.fingerprint}"
    with pytest.raises(ResumeError, match=problem):
        make_loader(catalog).load_state_dict(make_loader(other).state_dict())


@pytest.mark.parametrize(("state", "version"), [({}, "None"), ({"version": 1}, "1")])
def test_a_state_of_another_version_is_refused(
    catalog: Catalog, state: dict[str, Any], version: str
) -> None:
    problem = f"version of this loader, but they differ[.]\nstate: {version}\nloader: 2"
    with pytest.raises(ResumeError, match=problem):
        make_loader(catalog).load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rows": None}, "`rows` of a saved state to be a whole number from 0, but got None"),
        ({"rows": "abc"}, "`rows` .*, but got 'abc'"),
        ({"rows": float("nan")}, "`rows` .*, but got nan"),
        ({"rows": -5}, "`rows` .*, but got -5"),
        ({"batches": -3}, "`batches` .*, but got -3"),
        ({"batches": 11}, "`batches` .* 10 at most, but got 11"),
        ({"epoch": True}, "`epoch` .*, but got True"),
        ({"windows": 0}, "`windows` .* from 1, but got 0"),
        ({"window": 5}, "`window` of a saved state to be 0 at most, but got 5"),
        ({"step_rows": 1000}, "`step_rows` .* 0 between two batches, but got 1000"),
        ({"rows": 13}, "a place within the 12 rows of epoch 0, but got row 13"),
    ],
)
def test_a_state_of_no_place_is_refused(
    catalog: Catalog, changes: dict[str, Any], problem: str
) -> None:
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 2)
    with pytest.raises(ResumeError, match=rf"^Expected {problem}\. (Pass|Go on)"):
        loader.load_state_dict(source.state_dict() | changes)
    assert taken(iter(loader)) == expected(0)


@pytest.mark.parametrize("state", [None, 3, "rows", []])
def test_what_is_no_state_is_refused(catalog: Catalog, state: Any) -> None:
    problem = "^Expected a saved state to be a dictionary, but got "
    with pytest.raises(ResumeError, match=problem):
        make_loader(catalog).load_state_dict(state)


def test_a_state_of_blocks_of_no_size_is_refused(catalog: Catalog) -> None:
    loader = make_loader(catalog, shuffle="blocks:4")
    for shuffle in ("blocks:0", "blocks:x", None):
        with pytest.raises(ResumeError, match=f"the shuffle of this .*\nstate: {shuffle}\nloader"):
            loader.load_state_dict(loader.state_dict() | {"shuffle": shuffle})


def test_labels_come_with_the_inputs_and_keep_their_dtype(write: Callable[..., Path]) -> None:
    loader: Any = make_loader(discover(write(LENGTHS, labels=True)))
    for inputs, labels in loader:
        assert (inputs.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert labels.tolist() == (10 * inputs[:, 1]).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float64, np.bool_])
def test_dtypes_are_those_on_disk(tmp_path: Path, dtype: type[np.generic]) -> None:
    np.save(tmp_path / "a1.npy", np.ones((3, 2), dtype))
    np.save(tmp_path / "labels.npy", np.ones(3, dtype))
    batch: Any = next(iter(make_loader(discover(tmp_path))))
    inputs, labels = batch
    assert inputs.dtype == labels.dtype == torch.from_numpy(np.ones(1, dtype)).dtype


def test_without_labels_a_batch_is_a_tensor(catalog: Catalog) -> None:
    assert all(isinstance(batch, Tensor) for batch in make_loader(catalog))


def test_inputs_can_be_their_own_labels(write: Callable[..., Path]) -> None:
    batches: Any = make_loader(discover(write(LENGTHS), labels="inputs"))
    for inputs, targets in batches:
        assert torch.equal(inputs, targets)


def test_any_batch_can_be_fetched_without_moving(catalog: Catalog) -> None:
    loader = make_loader(catalog)
    batches = iter(loader)
    assert taken(batches, 1) == expected(0)[:1]
    fetched = loader.fetch(loader.plan[2])
    assert isinstance(fetched, Tensor)
    assert fetched.tolist() == expected(0)[2]
    assert taken(batches) == expected(0)[1:]


def test_a_broken_shard_is_named_before_the_epoch_begins(catalog: Catalog) -> None:
    loader = make_loader(catalog, shuffle="none")
    taken(iter(loader))
    catalog.shard(7).data.path.unlink()
    with pytest.raises(ShardError, match="Set 7: "):
        next(iter(loader))
    assert loader.progress.num_batches == 0


def test_progress_counts_what_was_handed_out(catalog: Catalog) -> None:
    seen = []
    loader = make_loader(catalog, on_batch=lambda loader: seen.append(loader.progress))
    taken(iter(loader))
    assert [(each.epoch, each.num_batches, each.num_rows) for each in seen] == [
        (0, 1, 5),
        (0, 2, 10),
        (0, 3, 12),
    ]
    assert all(each.rows_per_second > 0 for each in seen)


def test_speed_counts_from_where_this_process_began(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("leyden.data.loader.time.perf_counter", lambda: now[0])
    source, loader = make_loader(catalog), make_loader(catalog)
    taken(iter(source), 1)
    loader.load_state_dict(source.state_dict())
    assert loader.progress.rows_per_second == 0
    batches = iter(loader)
    next(batches)
    assert loader.progress.rows_per_second == 0  # no time has passed
    now[0] += 2
    next(batches)
    assert loader.progress.rows_per_second == 3.5  # 7 rows in 2 seconds; the 5 before are others'
    loader.set_epoch(1)
    assert loader.progress.rows_per_second == 0


TIME, SIZE, STRIDE = 8, 4, 2
WINDOWS = TimeWindows(SIZE, stride=STRIDE, starts=(0, 3))  # 3 of a batch, and 1 in odd epochs


def windowed_loader(folder: Path, windows: TimeWindows = WINDOWS, **arguments: Any) -> BatchLoader:
    """Make a loader of windows of batches of 5 rows."""
    catalog = discover(folder)

    def make_plan(
        epoch: int, *, shuffle: str | None = None, begin: Begin | None = None
    ) -> EpochPlan:
        settings = {"batch_size": 5, **arguments, **({"shuffle": shuffle} if shuffle else {})}
        count = windows.count(TIME, epoch)
        return EpochPlan(catalog.lengths, epoch=epoch, begin=begin, windows=count, **settings)

    assembler = Assembler(ShardStore(catalog))
    fingerprint = catalog.fingerprint
    return BatchLoader(assembler, make_plan, fingerprint=fingerprint, cut=WindowCut(windows))


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Series of ``100 * set number + 10 * row + time``, with labels."""
    inputs, labels = {}, {}
    for number, rows in LENGTHS.items():
        row, time = np.ogrid[:rows, :TIME]
        inputs[number] = (100 * number + 10 * row + time)[..., np.newaxis]
        labels[number] = 10 * number + np.arange(rows)
    write_shards(tmp_path / "series", inputs, labels=labels)
    return tmp_path / "series"


def windows_of(epoch: int) -> list[tuple[list[list[int]], list[int]]]:
    """List the windows of an epoch, and their labels, worked out from the rows alone."""
    begins = {0: (0, 2, 4), 1: (3,)}[epoch % 2]
    return [
        (
            [[100 * n + 10 * row + begin + step for step in range(SIZE)] for n, row in batch],
            [10 * n + row for n, row in batch],
        )
        for batch in expected(epoch)
        for begin in begins
    ]


def taken_windows(
    batches: Iterator[Any], number: int | None = None
) -> list[tuple[list[list[int]], list[int]]]:
    return [(x[..., 0].tolist(), y.tolist()) for x, y in islice(batches, number)]


def test_each_batch_is_handed_out_window_by_window_with_the_labels_of_its_rows(
    series: Path,
) -> None:
    loader = windowed_loader(series)
    for epoch, length in ((0, 9), (1, 3), (2, 9)):
        assert taken_windows(iter(loader)) == windows_of(epoch)
        assert (len(loader), loader.progress.num_rows) == (length, 12)


def test_windows_are_those_of_the_epoch_of_their_pass(
    series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leyden.data.loader._BLOCK_BYTES", 1)
    loader = windowed_loader(series)
    first = iter(loader)
    found = taken_windows(first, 1)
    loader.set_epoch(1)
    assert taken_windows(iter(loader)) == windows_of(1)
    assert found + taken_windows(first) == windows_of(0)


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_a_state_goes_on_with_the_very_next_window(
    series: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr("leyden.data.loader._BLOCK_BYTES", block_bytes)
    epochs = [windows_of(epoch) for epoch in range(4)]
    for epoch, windows in enumerate(epochs[:2]):
        for done in range(1, len(windows) + 1):
            source, loader = windowed_loader(series), windowed_loader(series)
            source.set_epoch(epoch)
            assert taken_windows(iter(source), done) == windows[:done]
            loader.load_state_dict(json.loads(json.dumps(source.state_dict())))
            found = [taken_windows(iter(loader)) for _ in range(2)]
            is_over = done == len(windows)
            assert found[0] == (epochs[epoch + 1] if is_over else windows[done:])
            assert found[1] == epochs[epoch + 1 + is_over]


def test_a_state_within_a_batch_says_which_rows_were_begun(series: Path) -> None:
    loader = windowed_loader(series, batch_size=5)
    found = []
    for _ in loader:
        state = loader.state_dict()
        found.append([state[key] for key in ("rows", "batches", "window", "step_rows", "windows")])
    assert found == [
        *([0, 0, 1, 5, 3], [0, 0, 2, 5, 3], [5, 1, 0, 0, 3]),
        *([5, 1, 1, 5, 3], [5, 1, 2, 5, 3], [10, 2, 0, 0, 3]),
        *([10, 2, 1, 2, 3], [10, 2, 2, 2, 3], [12, 3, 0, 0, 3]),
    ]


def test_a_state_is_small_however_large_the_data(series: Path) -> None:
    loader = windowed_loader(series, shuffle="window:12", seed=2**40)
    loader.set_epoch(1000)
    taken_windows(iter(loader), 4)
    state = loader.state_dict()
    numbers = {"rows": 10**9, "batches": 10**7, "window": 9, "windows": 10, "step_rows": 1024}
    assert set(numbers) <= set(state)
    assert len(json.dumps(state | numbers)) <= 200


@pytest.mark.parametrize("windows", [TimeWindows(SIZE), TimeWindows(1, starts=(0, 3))])
def test_a_state_of_other_windows_is_refused(series: Path, windows: TimeWindows) -> None:
    source, loader = windowed_loader(series), windowed_loader(series, windows)
    taken_windows(iter(source), 1)
    count = windows.count(TIME)
    problem = f"the windows of this loader, but they differ[.]\nstate: 3\nloader: {count}\nGo on"
    with pytest.raises(ResumeError, match=problem):
        loader.load_state_dict(source.state_dict())
    assert loader.progress.num_batches == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"window": 3}, "`window` of a saved state to be 2 at most, but got 3"),
        ({"step_rows": 0}, "`step_rows` of a saved state to be from 1 within a batch, but got 0"),
        ({"step_rows": 8}, "a place within the 12 rows of epoch 0, but got row 13"),
    ],
)
def test_a_state_of_no_window_is_refused(
    series: Path, changes: dict[str, Any], problem: str
) -> None:
    source, loader = windowed_loader(series), windowed_loader(series)
    taken_windows(iter(source), 4)
    with pytest.raises(ResumeError, match=f"^Expected {problem}"):
        loader.load_state_dict(source.state_dict() | changes)
    assert taken_windows(iter(loader)) == windows_of(0)


def test_a_window_can_be_fetched_without_moving(series: Path) -> None:
    loader = windowed_loader(series)
    batches = iter(loader)
    next(batches)
    fetched = [loader.fetch(origin) for origin in loader.plan]
    assert taken_windows(iter(fetched)) == windows_of(0)
    assert taken_windows(batches) == windows_of(0)[1:]


def test_rows_count_once_all_their_windows_are_handed_out(
    series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("leyden.data.loader.time.perf_counter", lambda: now[0])
    loader, told = windowed_loader(series), []
    for _ in loader:
        told.append((loader.progress.num_rows, loader.progress.rows_per_second))
        now[0] += 1
    assert [rows for rows, _ in told[:4]] == [0, 0, 5, 5]
    speeds = [0, 10 / 3 / 1, 15 / 3 / 2, 20 / 3 / 3]  # with parts of rows
    assert [speed for _, speed in told[:4]] == pytest.approx(speeds)
    assert told[-1] == (12, 1.5)


def test_the_end_of_an_epoch_is_told_once(catalog: Catalog) -> None:
    ends: list[int] = []
    loader = make_loader(catalog, on_end=lambda loader: ends.append(loader.progress.num_batches))
    taken(iter(loader), 2)
    assert ends == []
    taken(iter(loader))
    taken(iter(loader))
    assert ends == [3, 3]


def test_the_latest_batch_is_known_until_there_is_another(catalog: Catalog) -> None:
    loader = make_loader(catalog)

    def latest() -> tuple[int, int] | None:
        progress = loader.latest
        return progress and (progress.epoch, progress.num_batches)

    assert latest() is None
    taken(iter(loader), 2)
    loader.set_epoch(7)
    assert latest() == (0, 2)
    taken(iter(loader), 1)
    assert latest() == (7, 1)


@pytest.mark.parametrize(("taken_of", "warns"), [(3, True), (2, False), (6, False)])
def test_batches_that_a_trainer_does_not_know_of_are_told(
    catalog: Catalog, taken_of: int, warns: bool
) -> None:
    """It asks for the length once, and ends each epoch there; the next has twice the rows."""

    def make_plan(
        epoch: int, *, shuffle: str | None = None, begin: Begin | None = None
    ) -> EpochPlan:
        sets = list(LENGTHS) * 2 if epoch else None
        return EpochPlan(LENGTHS, batch_size=5, epoch=epoch, sets=sets)

    loader = BatchLoader(Assembler(ShardStore(catalog)), make_plan, fingerprint="")
    assert len(loader) == 3
    loader.set_epoch(1)
    assert len(loader) == 5
    taken(iter(loader), taken_of)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loader.set_epoch(2)
    assert [str(one.message)[:42] for one in caught] == warns * [
        "Expected the 5 batches of epoch 1 to be ta"
    ]
