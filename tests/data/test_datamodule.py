import copy
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.utilities import CombinedLoader
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

from leyden.data import AutoDataModule, BatchLoader, Window
from leyden.errors import ConfigError, DataError, MissingPathError, ResumeError
from leyden.shards import write_shards
from leyden.types import Phase

Write: TypeAlias = Callable[..., Path]
MakeTrainer: TypeAlias = Callable[..., Trainer]

LENGTHS = {1: 5, 2: 3, 7: 4, 8: 6}  # val=[8] leaves 12 rows: batches of 5, 5 and 2


@pytest.fixture
def folder(write: Write) -> Path:
    return write(LENGTHS)


def make_data(folder: Path, **arguments: Any) -> AutoDataModule:
    return AutoDataModule(folder, **{"val": [8], "batch_size": 5, **arguments})


def fetched(data: AutoDataModule, phase: str, epoch: int) -> list[object]:
    """Fetch the batches of an epoch one by one."""
    return lists(data.fetch(phase, epoch, index) for index in range(len(data.plan(phase, epoch))))


def lists(batches: Iterable[Any]) -> list[object]:
    return [batch.tolist() for batch in batches]


def test_what_is_known_is_known_before_any_setup(write: Write) -> None:
    data = make_data(write(LENGTHS, labels=True))
    assert (data.sample_shape, data.label_shape, data.num_classes) == ((2,), (), 51)
    assert [phase for phase in Phase if data.has(phase)] == ["train", "val"]
    assert data.has("val")
    assert data.origin("val", 0, 0).name == "8-a"
    assert data.status is None


def test_looking_for_the_data_waits_until_it_is_needed(tmp_path: Path) -> None:
    data = AutoDataModule(tmp_path / "nowhere")
    with pytest.raises(MissingPathError, match=r"Expected `path` to exist, but got '.*nowhere'"):
        data.setup("fit")


def test_the_data_is_looked_for_once(folder: Path) -> None:
    data = make_data(folder)
    data.setup("fit")
    (folder / "sample__9.npy").write_bytes((folder / "sample__8.npy").read_bytes())
    data.setup("fit")
    assert data.catalogs[Phase.TRAIN].set_numbers == (1, 2, 7)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"path": None}, "`path` to be the path of a folder or a file, but got None"),
        ({"batch_size": 0}, "`batch_size` to be a whole number from 1, but got 0"),
        ({"seed": -1}, "`seed` to be a whole number from 0, but got -1"),
        ({"shuffle": "ful"}, "`shuffle` to be the name of a shuffle, but got 'ful'.*'full'[?]"),
        ({"shuffle": ["rows"]}, r"`shuffle` to be the name of a shuffle, but got \['rows'\]"),
    ],
)
def test_arguments_out_of_range_are_refused_at_once(
    arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=f"Expected {problem}"):
        AutoDataModule(**{"path": "nowhere", **arguments})


def test_loaders_hand_out_what_fetch_does(folder: Path) -> None:
    data = make_data(folder)
    loader = data.train_dataloader()
    for epoch in range(2):
        assert lists(loader) == fetched(data, "train", epoch)
    assert lists(data.val_dataloader()) == fetched(data, "val", 0)


def test_a_fetched_batch_is_what_its_origin_says(folder: Path) -> None:
    data = make_data(folder)
    for epoch, index in ((0, 2), (5, 0), (0, 1)):
        rows = [
            [piece.set_number, row]
            for piece in data.origin("train", epoch, index).slices
            for row in piece.rows
        ]
        batch = data.fetch("train", epoch, index)
        assert isinstance(batch, Tensor)
        assert batch.tolist() == rows


def test_fetching_leaves_the_training_where_it_is(folder: Path) -> None:
    data = make_data(folder)
    batches = iter(data.train_dataloader())
    first = next(batches)
    before = data.status
    data.fetch("train", 3, 1)
    data.fetch("val", 0, 0)
    assert data.status == before
    assert lists([first, *batches]) == fetched(data, "train", 0)


def test_only_training_is_shuffled(folder: Path) -> None:
    data = make_data(folder, shuffle="full", drop_last=True)
    assert fetched(data, "val", 0) == fetched(data, "val", 3)
    assert fetched(data, "val", 0) == [[[8, row] for row in range(5)], [[8, 5]]]
    assert fetched(data, "train", 0) != fetched(data, "train", 1)
    assert [len(data.plan(phase, 0)) for phase in ("train", "val")] == [2, 2]


def test_an_unknown_phase_is_answered_with_the_nearest(folder: Path) -> None:
    problem = "Expected `phase` to be the name of a phase, but got 'trian'. Did you mean 'train'[?]"
    data = make_data(folder)
    for ask in (data.has, lambda name: data.origin(name, 0, 0), lambda name: data.plan(name, 0)):
        with pytest.raises(ConfigError, match=problem):
            ask("trian")


def test_a_phase_without_data_is_told_how_to_get_some(folder: Path) -> None:
    data = make_data(folder)
    problem = "Expected data for `test`, but .*d has none. Pass `test` with set numbers or a path."
    for ask in (data.test_dataloader, lambda: data.origin("test", 0, 0)):
        with pytest.raises(DataError, match=problem):
            ask()
    with pytest.raises(DataError, match="Expected data for `predict`"):
        data.predict_dataloader()


def test_a_batch_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(IndexError, match="Expected a batch index from 0 to 2, but got 3 in epoch"):
        make_data(folder).fetch("train", 0, 3)


def test_prediction_falls_back_on_the_test_part(folder: Path, write: Write) -> None:
    data = make_data(folder, test=[1])
    assert data.catalogs[Phase.PREDICT] is data.catalogs[Phase.TEST]
    assert fetched(data, "predict", 0) == fetched(data, "test", 0)
    other = make_data(folder, test=[1], predict=write({4: 2}, "other"))
    assert other.catalogs[Phase.PREDICT].set_numbers == (4,)


@pytest.mark.parametrize("batch_size", [1, 7, 300])
def test_the_batch_size_changes_no_split(write: Write, batch_size: int) -> None:
    data = AutoDataModule(
        write(dict.fromkeys(range(20), 3)), val=0.2, test=0.1, batch_size=batch_size
    )
    counts = {phase: len(catalog.set_numbers) for phase, catalog in data.catalogs.items()}
    assert counts == {"train": 14, "val": 4, "test": 2, "predict": 2}
    usual = AutoDataModule(data.catalogs[Phase.TRAIN].path, val=0.2, test=0.1)
    for phase, catalog in usual.catalogs.items():
        assert data.catalogs[phase].set_numbers == catalog.set_numbers


def test_the_seed_decides_what_a_fraction_gets(write: Write) -> None:
    folder = write(dict.fromkeys(range(20), 3))
    draws = [AutoDataModule(folder, val=0.2, seed=seed).catalogs[Phase.VAL] for seed in range(5)]
    assert len({catalog.set_numbers for catalog in draws}) > 1


def test_classes_are_counted_over_all_phases(write: Write) -> None:
    folder = write({1: 2, 2: 2, 3: 9}, labels=True)  # labels are 0, 10, ..., 80
    assert AutoDataModule(folder).num_classes == 81
    assert AutoDataModule(folder, val=[3]).num_classes == 81
    assert AutoDataModule(folder, labels=None).num_classes is None


def test_labels_that_are_the_inputs_are_no_classes(folder: Path) -> None:
    data = make_data(folder, labels="inputs")
    assert (data.num_classes, data.label_shape) == (None, (2,))
    batch: Any = data.fetch("train", 0, 0)
    inputs, targets = batch
    assert torch.equal(inputs, targets)


def test_pattern_and_reader_reach_every_folder(write: Write, tmp_path: Path, counting: Any) -> None:
    for phase in ("train", "val"):
        write({1: 2}, f"all/{phase}")
        np.save(tmp_path / "all" / phase / "other1.npy", np.zeros(3))
    data = AutoDataModule(tmp_path / "all", pattern="sample*.npy", reader=counting)
    assert {catalog.sample_shape for catalog in data.catalogs.values()} == {(2,)}
    assert counting.opened == ["sample__1.npy"] * 2


def test_describe_tells_of_every_phase(folder: Path) -> None:
    text = make_data(folder).describe()
    assert "[train]\n" in text
    assert "[val]\n" in text
    assert "sets         3: 1-2, 7" in text


def test_fewer_rows_than_processes_are_refused(folder: Path) -> None:
    data = make_data(folder)
    ranks = SimpleNamespace(world_size=1000, global_rank=0, overfit_batches=0)
    data.trainer = ranks  # type: ignore[assignment] # all that is asked of a trainer
    problem = "Expected at least one `train` row for each of 1000 processes, but got .* `devices`"
    with pytest.raises(ConfigError, match=problem):
        data.setup("fit")


def test_a_schedule_holds_from_the_next_epoch_on_and_is_part_of_the_state(folder: Path) -> None:
    data, other = make_data(folder, batch_size=100), make_data(folder, batch_size=100)
    first, *_, last = data.catalogs[Phase.TRAIN].set_numbers
    before = data.plan("train", 0).set_order
    batches = iter(data.train_dataloader())
    next(batches)
    data.schedule("train", [last, first, last])
    assert data.plan("train", 0).set_order == before
    assert data.plan("train", 1).set_order == (last, first, last)
    other.load_state_dict(json.loads(json.dumps(data.state_dict())))
    assert other.plan("train", 5).set_order == (last, first, last)
    assert other.origin("train", 1, 0) == data.origin("train", 1, 0)
    data.schedule("train", None)
    assert sorted(data.plan("train", 7).set_order) == sorted(before)


def test_a_schedule_before_the_first_batch_holds_at_once(folder: Path) -> None:
    data = make_data(folder)
    loader = data.train_dataloader()
    only = data.catalogs[Phase.TRAIN].set_numbers[0]
    data.schedule("train", [only])
    next(iter(loader))
    assert data.status is not None
    assert data.status.set_numbers == (only,)
    assert data.origin("train", 0, 0).set_numbers == (only,)


def test_a_schedule_of_nothing_or_of_unknown_sets_is_refused(folder: Path) -> None:
    data = make_data(folder)
    with pytest.raises(ConfigError, match="Expected `set_numbers` to name a set at least"):
        data.schedule("train", [])
    with pytest.raises(DataError, match=r"Expected a set number of .*, but got 999"):
        data.schedule("train", [999])
    assert data.state_dict() == {"version": 1}


def test_a_schedule_of_one_number_is_refused(folder: Path) -> None:
    problem = r"Expected `set_numbers` to be set numbers or None, but got 7\. Pass \[7\]\."
    with pytest.raises(ConfigError, match=problem):
        make_data(folder).schedule("train", 7)  # type: ignore[arg-type] # on purpose


PLACE = "of a saved state to be a whole number from 0, but got"


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        (None, "a saved state to be a dictionary, but got None"),
        ({}, "the version of the state to be 1, but got None"),
        ({"version": 99}, "the version of the state to be 1, but got 99"),
        ({"version": 1, "train": 5}, "`train` of a saved state to be a dictionary, but got 5"),
        ({"version": 1, "train": {}}, "the version of the state to be 2, but got None"),
        ({"version": 1, "train": {"version": 2}}, f"`epoch` {PLACE} None"),
        ({"version": 1, "preparation": "x"}, "`preparation` .* a dictionary, but got 'x'"),
        ({"version": 1, "classes": "cat"}, "`classes` .* a list of names, but got 'cat'"),
        ({"version": 1, "classes": [1]}, r"`classes` .* a list of names, but got \[1\]"),
        ({"version": 1, "schedules": 5}, "`schedules` .* a dictionary, but got 5"),
        ({"version": 1, "schedules": {"trian": []}}, "`schedules` .* by .*, but got 'trian'"),
        *(
            ({"version": 1, "schedules": {"train": order}}, "`schedules` .* epochs and sets for")
            for order in (5, [3], [[0]], [[-1, [1]]], [[0, []]], [[0, "12"]], [[0, [1.5]]])
        ),
    ],
)
def test_a_state_that_is_none_changes_nothing(folder: Path, state: Any, problem: str) -> None:
    data = make_data(folder)
    data.schedule("train", [7, 1])
    before = data.state_dict()
    good = {"classes": ["a"], "schedules": {"train": [[0, [2]]]}}
    for one in (state, good | state) if state else (state,):
        with pytest.raises(ResumeError, match=f"^Expected {problem}"):
            data.load_state_dict(one)
    assert data.state_dict() == before
    assert data.plan("train", 0).set_order == (7, 1)


def test_status_follows_the_loader_that_handed_out_last(folder: Path) -> None:
    def told() -> tuple[str, str, tuple[int, ...], int]:
        status = data.status
        assert status is not None
        return str(status.phase), status.name, status.sets_left, status.rows_left

    data = make_data(folder, shuffle="none")
    train, val = iter(data.train_dataloader()), iter(data.val_dataloader())
    assert data.status is None
    next(train)
    assert told() == ("train", "1", (2, 7), 7)
    next(val)
    assert told() == ("val", "8-a", (8,), 1)
    next(train)
    assert told() == ("train", "2+7-a", (7,), 2)
    next(train)
    assert told() == ("train", "7-b", (), 0)


def test_a_place_in_the_middle_is_kept_beside_the_loaders(folder: Path) -> None:
    data, other = make_data(folder), make_data(folder)
    batches = iter(data.train_dataloader())
    between = {"version": 1, "fingerprint": data.catalogs[Phase.TRAIN].fingerprint}
    assert data.state_dict() == {**between, "next_epoch": 0}
    next(batches)
    other.load_state_dict(data.state_dict())
    assert lists(other.train_dataloader()) == fetched(data, "train", 0)[1:]
    assert lists(other.train_dataloader()) == fetched(data, "train", 0)
    list(batches)
    assert data.state_dict() == {**between, "next_epoch": 1}


def test_one_file_of_named_sets_is_split_by_set(tmp_path: Path) -> None:
    arrays = {str(n): np.full((4, 2), n, np.float32) for n in range(1, 6)}
    np.savez(tmp_path / "all.npz", **arrays)  # type: ignore[arg-type] # NumPy's annotation
    data = AutoDataModule(tmp_path / "all.npz", val=[2, 5], batch_size=4, shuffle="none")
    assert [data.origin("train", 0, index).name for index in range(3)] == ["1", "3", "4"]
    batch = data.fetch("val", 0, 1)
    assert isinstance(batch, Tensor)
    assert batch.tolist() == [[5, 5]] * 4


@pytest.mark.parametrize("batch_size", [4, 30])
def test_a_table_is_cut_into_the_same_sets_whatever_the_batch_size(
    tmp_path: Path, batch_size: int
) -> None:
    lines = ["a,b,label", *(f"{row},0.5,{row % 2}" for row in range(50))]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    data = AutoDataModule(tmp_path / "table.csv", val=0.2, rows_per_set=10, batch_size=batch_size)
    assert data.catalogs[Phase.VAL].set_numbers == (3,)
    assert data.num_classes == 2


def test_an_array_of_sets_is_read_by_its_leading_axis(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", np.arange(24, dtype=np.float32).reshape(3, 4, 2))
    data = AutoDataModule(tmp_path / "all.npy", leading_axis="sets", batch_size=4, shuffle="none")
    batch = data.fetch("train", 0, 2)
    assert isinstance(batch, Tensor)
    assert batch.tolist() == [[16, 17], [18, 19], [20, 21], [22, 23]]


TIME = 7


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Series of ``(set number, 10 * row + time)``, with labels."""
    inputs, labels = {}, {}
    for number, rows in LENGTHS.items():
        row, time = np.ogrid[:rows, :TIME]
        values = (10 * row + time).astype(np.float32)
        inputs[number] = np.stack([np.full_like(values, number), values], -1)
        labels[number] = np.arange(rows) % 2
    write_shards(tmp_path / "series", inputs, labels=labels)
    return tmp_path / "series"


def windowed(series: Path, **arguments: Any) -> AutoDataModule:
    """Make windows that begin at 0, 2 and 4; in odd training epochs, at 3."""
    windows = {"size": 3, "stride": 2, "starts": [0, 3]}
    return make_data(series, **{"windows": windows, "shuffle": "none", **arguments})


def begins(batches: Iterable[Any]) -> list[tuple[int, int, list[int]]]:
    """Tell of batches the first set and the first value, and the labels."""
    return [(int(x[0, 0, 0]), int(x[0, 0, 1]), y.tolist()) for x, y in batches]


def test_windows_come_batch_by_batch_with_the_labels_of_the_whole_rows(series: Path) -> None:
    data = windowed(series)
    train, val = data.train_dataloader(), data.val_dataloader()
    rows = [(1, [0, 1, 0, 1, 0]), (2, [0, 1, 0, 0, 1]), (7, [0, 1])]
    firsts = {1: 0, 2: 0, 7: 20}  # the third row of set 7 begins the last batch
    for epoch, starts in enumerate([(0, 2, 4), (3,), (0, 2, 4)]):
        expected = [(n, firsts[n] + start, labels) for n, labels in rows for start in starts]
        assert begins(train) == expected
        assert len(train) == len(expected) == 3 * data.num_windows("train", epoch)
        fetched = (data.fetch("train", epoch, index) for index in range(len(expected)))
        assert begins(fetched) == expected
    for _ in range(2):
        assert isinstance(val, BatchLoader)
        assert [start for _, start, _ in begins(val)] == [0, 2, 4, 50, 52, 54]
    assert [data.num_windows("val", epoch) for epoch in range(3)] == [3, 3, 3]
    assert data.sample_shape == (3, 2)


def test_without_windows_there_is_one(folder: Path) -> None:
    data = make_data(folder)
    assert data.num_windows("train", 0) == data.num_windows("val", 5) == 1
    assert data.origin("train", 0, 0).window is None
    with pytest.raises(ConfigError, match="Expected `phase` to be the name of a phase"):
        data.num_windows("trian", 0)


def test_origin_and_status_tell_the_window(series: Path) -> None:
    data = windowed(series)
    origin = data.origin("train", 0, 4)
    assert (origin.name, origin.window) == ("2+7-a", Window(1, 3))
    assert origin.slices == data.origin("train", 0, 3).slices
    assert data.origin("train", 1, 0).window is None  # there is no other in this epoch
    batches = iter(data.train_dataloader())
    for _ in range(5):
        next(batches)
    status = data.status
    assert status is not None
    assert (status.batch, status.num_batches, status.window) == (4, 9, Window(1, 3))
    assert (status.name, status.sets_done, status.sets_left) == ("2+7-a", (1,), (2, 7))
    assert status.rows_left == 7
    assert "batch 5/9: set 2+7-a, window 2/3, 2 sets and 7 rows left" in str(status)


def test_a_place_among_windows_is_kept_beside_the_loaders(series: Path) -> None:
    data = windowed(series, shuffle="full")
    expected = begins(data.train_dataloader())
    for done in range(1, 9):
        source, other = windowed(series, shuffle="full"), windowed(series, shuffle="full")
        batches = iter(source.train_dataloader())
        for _ in range(done):
            next(batches)
        other.load_state_dict(json.loads(json.dumps(source.state_dict())))
        assert begins(other.train_dataloader()) == expected[done:]


def test_labels_that_are_the_inputs_are_cut_with_them(series: Path) -> None:
    batches: Any = windowed(series, labels="inputs").train_dataloader()
    for inputs, targets in batches:
        assert inputs.shape[1:] == (3, 2)
        assert torch.equal(inputs, targets)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (TIME, 2)),
        ({"windows": {"size": 3}}, (3, 2)),
        ({"preprocessors": [TruncatedSVD(4, random_state=0)]}, (4,)),
    ],
)
def test_labels_that_are_the_inputs_have_their_shape(
    series: Path, settings: dict[str, Any], expected: tuple[int, ...]
) -> None:
    data = make_data(series, labels="inputs", **settings)
    assert data.label_shape == expected
    batch: Any = data.fetch("train", 0, 0)
    assert batch[1].shape[1:] == expected


def test_rows_and_windows_are_weighed_together(series: Path) -> None:
    data = windowed(series, class_weights={1: 5}, window_weights=(0.5, 1.5))
    batches: list[Any] = list(data.train_dataloader())
    weights = [batch[2].tolist() for batch in batches]
    by_label = {0: [0.5, 1.0, 1.5], 1: [2.5, 5.0, 7.5]}
    assert weights[-3:] == [[by_label[0][index], by_label[1][index]] for index in range(3)]
    last: Any = data.fetch("train", 0, 8)
    assert last[2].tolist() == weights[-1]
    assert {len(batch) for batch in data.val_dataloader()} == {2}
    alone: Any = windowed(series, labels=None, window_weights=(0.5, 1.5)).fetch("train", 0, 2)
    assert alone[1] is None
    assert alone[2].tolist() == [1.5] * 5


def test_window_weights_without_windows_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="Expected `windows` with `window_weights`, but got None"):
        make_data(folder, window_weights=(0.5, 1.5))


@pytest.mark.parametrize("starts", [[5], [0, 5], [0, 1, 9]])
def test_windows_beyond_the_end_of_the_rows_are_refused_before_the_first_step(
    series: Path, starts: list[int]
) -> None:
    data = make_data(series, windows={"size": 3, "starts": starts})
    problem = "at least as long as a window of 3 time steps that begins at [59], but got 7"
    with pytest.raises(DataError, match=problem):
        data.setup("fit")


def test_windows_are_of_what_preprocessors_make(tmp_path: Path) -> None:
    signal = np.random.default_rng(0).random((4, 20, 2))
    np.save(tmp_path / "a1.npy", signal)
    spectrogram = {"type": "spectrogram", "nfft": 8, "noverlap": 4}
    whole = AutoDataModule(tmp_path, preprocessors=[spectrogram])
    shape: Any = whole.sample_shape
    data = AutoDataModule(tmp_path, preprocessors=[spectrogram], windows={"size": 2})
    assert data.num_windows("train", 0) == shape[0] // 2
    rows: Any = whole.fetch("train", 0, 0)
    second: Any = data.fetch("train", 0, 1)
    assert torch.equal(second, rows[:, 2:4])


def test_no_validation_has_no_batches_in_a_form_that_lightning_takes(folder: Path) -> None:
    loaders = make_data(folder, val=None).val_dataloader()
    assert isinstance(loaders, CombinedLoader)  # which Lightning wraps no further
    assert (list(iter(loaders)), len(loaders), loaders.flattened) == ([], 0, [])
    loaders.flattened = []


@pytest.mark.parametrize("persistent_workers", [True, False])
def test_workers_and_sets_in_memory_change_nothing(folder: Path, persistent_workers: bool) -> None:
    expected = [lists(make_data(folder).train_dataloader())]
    arguments = {"num_workers": 2, "persistent_workers": persistent_workers, "preload": "all"}
    data = make_data(folder, pin_memory=True, **arguments)
    assert [lists(data.train_dataloader())] == expected
    assert lists(data.val_dataloader()) == fetched(data, "val", 0)
    data.teardown("fit")


@pytest.mark.parametrize("preload", [None, "all"])
def test_a_copy_of_data_in_use_hands_out_the_same(folder: Path, preload: str | None) -> None:
    data = make_data(folder, preload=preload)
    batches = iter(data.train_dataloader())
    next(batches)
    copied = copy.deepcopy(data)
    assert lists(copied.val_dataloader()) == lists(data.val_dataloader())
    assert lists(copied.train_dataloader()) == fetched(data, "train", 0)


@pytest.mark.parametrize("order", ["F", ">f4"])
def test_rows_in_another_order_than_the_machines_are_read_after_a_fetch(
    tmp_path: Path, order: str
) -> None:
    rows = np.arange(5 * 7 * 6, dtype=np.float32).reshape(5, 7, 2, 3)
    for number, one in enumerate(rows):
        stored = np.asfortranarray(one) if order == "F" else one.astype(order)
        np.save(tmp_path / f"a{number}.npy", stored)
    data = AutoDataModule(tmp_path, batch_size=7, shuffle="none")
    first: Any = data.fetch("train", 0, 0)
    assert np.array_equal(first, rows[0])  # which finds that files are mapped
    batches: list[Any] = list(data.train_dataloader())
    assert np.array_equal(torch.cat(batches), rows.reshape(35, 2, 3))


def test_numbers_of_numpy_are_whole_numbers(write: Callable[..., Path]) -> None:
    one: Any = np.int64(1)
    data = AutoDataModule(write({1: 3, 2: 4}), batch_size=one, seed=one, num_workers=0 * one)
    assert data.origin("train", one, one) == data.origin("train", 1, 1)
    sets: Any = np.array([2, 2])
    data.schedule("train", sets)
    assert len(data.plan("train", one)) == 8
    state = data.state_dict() | data.train_dataloader().state_dict()
    assert json.loads(json.dumps(state))["schedules"]["train"] == [[0, [2, 2]]]


def write_words(folder: Path, labels: list[str]) -> None:
    """Write a numbered table whose labels are words."""
    folder.mkdir(parents=True)
    rows = [f"{index},{label}" for index, label in enumerate(labels)]
    (folder / "part__1.csv").write_text("\n".join(["x,label", *rows]) + "\n")


def labels_of(data: AutoDataModule, phase: str) -> list[int]:
    """The labels of the first batch."""
    batch: Any = data.fetch(phase, 0, 0)
    labels: list[int] = batch[1].tolist()
    return labels


def test_words_are_numbered_as_in_the_training_folder(tmp_path: Path) -> None:
    write_words(tmp_path / "train", ["dog", "cat", "emu"])
    write_words(tmp_path / "val", ["emu", "dog"])
    write_words(tmp_path / "predict", ["yak"])
    data = AutoDataModule(tmp_path, shuffle="none")
    assert data.class_names == ("cat", "dog", "emu")
    assert labels_of(data, "train") == [1, 0, 2]
    assert labels_of(data, "val") == [2, 1]
    assert isinstance(data.fetch("predict", 0, 0), torch.Tensor)  # what is predicted has no label


def test_a_word_that_was_not_trained_on_is_named_with_its_part(tmp_path: Path) -> None:
    write_words(tmp_path / "train", ["dog", "cat"])
    write_words(tmp_path / "test", ["dog", "yak"])
    with pytest.raises(DataError, match=r"but got 'yak'\. Known: cat, dog") as caught:
        _ = AutoDataModule(tmp_path).catalogs
    assert "labels of `test`" in caught.value.__notes__[0]


def test_words_are_numbered_as_a_checkpoint_says(tmp_path: Path) -> None:
    write_words(tmp_path / "old", ["ant", "cat", "dog"])
    write_words(tmp_path / "new", ["dog", "cat"])
    state = AutoDataModule(tmp_path / "old")
    assert state.num_classes == 3
    data = AutoDataModule(tmp_path / "new", shuffle="none")
    assert data.num_classes == 2
    data.load_state_dict(json.loads(json.dumps(state.state_dict())))
    assert labels_of(data, "train") == [2, 1]
    assert data.num_classes == 3


@pytest.mark.parametrize("name", ["drop_last", "pin_memory", "persistent_workers"])
@pytest.mark.parametrize("wrong", ["no", 3, None])
def test_what_is_neither_true_nor_false_is_refused(name: str, wrong: object) -> None:
    arguments: dict[str, Any] = {name: wrong}
    with pytest.raises(ConfigError, match=f"`{name}` to be true or false, but got {wrong!r}"):
        AutoDataModule("nowhere", **arguments)
    arguments[name] = np.True_  # as comparisons of arrays give
    AutoDataModule("nowhere", **arguments)
