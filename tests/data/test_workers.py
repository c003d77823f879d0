"""Worker processes change no batch, leave nothing behind, and tell what went wrong in them."""

import gc
import pickle
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import psutil
import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from typing_extensions import override

from leyden.data import Augmentation, AutoDataModule, BatchLoader
from leyden.data.assembly import Assembler, Job
from leyden.data.gather import ShardStore
from leyden.data.picks import Picks
from leyden.data.workers import Workers, make_blocks
from leyden.errors import ConfigError, ShardError
from leyden.shards import discover, write_shards
from leyden.shards.readers import NpyReader
from leyden.types import Array, Rows

# What torch says where there are fewer cores than workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")

Write: TypeAlias = Callable[..., Path]

LENGTHS = {1: 17, 2: 9, 3: 21, 5: 4}
MODES = ["none", "sets", "blocks", "rows", "window:2", "full"]


class Noise(nn.Module):
    """Adds what each of the generators gives."""

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        drawn = torch.rand(()).item() + np.random.rand() + random.random()  # noqa: NPY002 - as others do
        return inputs + drawn


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an epoch made in many blocks, so that several workers have a part in it."""
    monkeypatch.setattr("leyden.data.loader._BLOCK_BYTES", 200)
    monkeypatch.setattr("leyden.data.loader._PLANNED_ROWS", 12)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Make sure of it after each test."""
    before = children()
    yield
    if not children() <= before:
        gc.collect()
    assert children() <= before


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Series with labels."""
    inputs, labels = {}, {}
    for number, rows in LENGTHS.items():
        made = np.random.default_rng(number)
        inputs[number] = made.random((rows, 6, 2)).astype(np.float32)
        labels[number] = made.integers(0, 3, rows)
    write_shards(tmp_path / "d", inputs, labels=labels)
    return tmp_path / "d"


Make: TypeAlias = Callable[..., BatchLoader]


@pytest.fixture
def make_loader(folder: Path) -> Iterator[Make]:
    """Make loaders, and end their processes after the test."""
    loaders: list[BatchLoader] = []

    def make(num_workers: int, **arguments: Any) -> BatchLoader:
        settings: dict[str, Any] = {
            "batch_size": 4,
            "augmentors": Augmentation([Noise()], probability=0.7),
            "preprocessors": ["standard_scaler"],
            "class_weights": {1: 3.0},
            **arguments,
        }
        data = AutoDataModule(folder, num_workers=num_workers, **settings)
        loaders.append(data.train_dataloader())
        return loaders[-1]

    yield make
    for loader in loaders:
        loader.close()


def taken(batches: Any, number: int | None = None) -> list[bytes]:
    """Batches as bytes: inputs, labels and weights."""
    return [b"".join(part.numpy().tobytes() for part in b) for b in islice(batches, number)]


@pytest.mark.parametrize("mode", MODES)
def test_any_number_of_workers_makes_the_very_same_batches(make_loader: Make, mode: str) -> None:
    expected, *others = (
        [taken(loader), taken(loader)]
        for loader in (make_loader(workers, shuffle=mode) for workers in (0, 2, 4))
    )
    assert [len(batches) for batches in expected] == [13, 13]
    assert expected[0] != expected[1]
    assert others == [expected, expected]


@pytest.mark.parametrize("persistent", [True, False])
def test_epochs_that_are_broken_off_or_set_leave_no_trace(
    make_loader: Make, persistent: bool
) -> None:
    found = []
    for workers in (0, 2):
        loader = make_loader(workers, persistent_workers=persistent)
        parts = [taken(loader, 5), taken(loader), taken(loader, 1)]
        loader.set_epoch(3)
        found.append([*parts, taken(loader), taken(loader, 12), taken(loader, 13), taken(loader)])
    assert found[0] == found[1]
    assert found[0][1][:5] == found[0][0]


@pytest.mark.parametrize("persistent", [True, False])
def test_passes_at_once_have_the_batches_of_passes_alone(
    make_loader: Make, persistent: bool
) -> None:
    found = []
    for workers in (0, 2, 4):
        loader = make_loader(workers, persistent_workers=persistent)
        pairs = [taken(pair) for pair in zip(iter(loader), iter(loader), strict=True)]
        first = iter(loader)
        parts = [taken(first, 3), taken(loader), taken(first), taken(loader)]
        found.append((pairs, parts))
    assert found[1:] == [found[0]] * 2
    pairs, parts = found[0]
    assert [one for one, _ in pairs] == [other for _, other in pairs]


def test_a_pass_that_is_over_or_given_up_leaves_its_processes_to_the_next(
    make_loader: Make,
) -> None:
    loader, before = make_loader(2), children()
    batches = iter(loader)
    taken(batches, 13)  # to the last one, though not to StopIteration
    at_work = children() - before
    other = iter(loader)
    next(other)
    assert children() - before == at_work
    del other
    assert len(taken(loader, 5)) == 5
    assert children() - before == at_work


def test_a_pass_beside_another_has_processes_of_its_own(make_loader: Make) -> None:
    loader, before = make_loader(2), children()
    first = iter(loader)
    next(first)
    at_work = children() - before
    second = iter(loader)
    next(second)
    assert len(children() - before) == 4
    taken(first)
    assert len(at_work & children()) == 0
    assert len(children() - before) == 2
    loader.close()
    taken(second)
    assert children() == before


@pytest.mark.parametrize("done", [1, 6, 12])
def test_an_epoch_goes_on_in_the_middle_with_workers_as_without(
    make_loader: Make, done: int
) -> None:
    source = make_loader(0)
    expected = taken(source) + taken(source)
    source = make_loader(2)
    assert taken(source, done) == expected[:done]
    other = make_loader(2)
    other.load_state_dict(source.state_dict())
    assert taken(other) + taken(other) == expected[done:]


def test_windows_are_cut_alike(make_loader: Make) -> None:
    windows = {"size": 3, "stride": 1, "starts": [0, 2]}
    found = []
    for workers in (0, 2):
        loader = make_loader(workers, windows=windows, window_weights=(0.5, 2))
        whole = taken(loader)
        source = make_loader(workers, windows=windows, window_weights=(0.5, 2))
        taken(source, 10)
        loader.load_state_dict(source.state_dict())
        found.append([whole, taken(loader), taken(loader)])
    assert found[0] == found[1]
    assert found[0][1] == found[0][0][10:]
    assert [len(batches) for batches in found[0]] == [13 * 4, 13 * 4 - 10, 13 * 2]


def test_several_inputs_and_sets_in_memory_come_alike(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        np.savez(tmp_path / f"a{number}.npz", u=np.full((5, 2), number), v=np.arange(5))
    found = []
    for workers in (0, 2):
        data = AutoDataModule(
            tmp_path, inputs=["u", "v"], num_workers=workers, preload=[1, 3], batch_size=2
        )
        inputs: list[Any] = list(data.train_dataloader())
        found.append([{name: array.tolist() for name, array in each.items()} for each in inputs])
    assert found[0] == found[1]


def generators() -> tuple[object, ...]:
    """The states of torch's, NumPy's and Python's."""
    numpy_state: Any = np.random.get_state()  # noqa: NPY002 - the one that all share
    return torch.get_rng_state().tolist(), numpy_state[1].tolist(), random.getstate()


def test_the_generators_of_the_process_are_left_alone(make_loader: Make) -> None:
    loader = make_loader(2)
    before = generators()
    taken(loader)
    taken(loader, 3)
    assert generators() == before


def test_rows_are_read_by_the_workers_alone(write: Write, counting: Any) -> None:
    data = AutoDataModule(write(LENGTHS), reader=counting, num_workers=2, batch_size=4)
    loader = data.train_dataloader()
    counting.read_rows.clear()
    assert len(list(loader)) == 13
    assert counting.read_rows == []


@pytest.mark.parametrize("persistent", [True, False])
def test_there_are_as_many_processes_as_were_asked_for(make_loader: Make, persistent: bool) -> None:
    before = children()
    loader = make_loader(2, persistent_workers=persistent)
    batches = iter(loader)
    assert children() == before  # it is lazy
    next(batches)
    at_work = children() - before
    assert len(at_work) == 2
    taken(batches)
    assert (children() - before == at_work) is persistent
    loader.close()
    assert children() == before
    assert len(taken(loader)) == 13  # there are new ones


@pytest.mark.parametrize("copied", [deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("persistent", [True, False])
def test_a_copy_has_workers_of_its_own(
    make_loader: Make, copied: Callable[[BatchLoader], BatchLoader], persistent: bool
) -> None:
    loader, before = make_loader(2, augmentors=(), persistent_workers=persistent), children()
    expected = taken(make_loader(0, augmentors=()))
    batches = iter(loader)
    assert taken(batches, 3) == expected[:3]
    at_work, other = children(), copied(loader)
    assert children() == at_work  # it is lazy
    assert taken(other) == expected[3:]  # where the original was
    assert taken(batches) == expected[3:]
    loader.close()
    del other, batches
    gc.collect()
    assert children() == before


class Broken(NpyReader):
    """Cannot read the set with the number 3."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._is_broken = path.stem.endswith("3")

    @override
    def read(self, rows: Rows) -> Array:
        if self._is_broken:
            raise OSError(5, "Input/output error")
        return super().read(rows)


@pytest.mark.parametrize("persistent", [True, False])
def test_a_shard_that_fails_in_a_worker_is_named_in_this_process(
    write: Write, persistent: bool
) -> None:
    folder = write(LENGTHS)
    data = AutoDataModule(
        folder,
        reader=Broken,
        num_workers=2,
        persistent_workers=persistent,
        batch_size=4,
        shuffle="none",
    )
    loader, before = data.train_dataloader(), children()
    problem = r"^Set 3: Expected a readable file, but got: Input/output error\. \(.*__3\.npy\)$"
    for _ in range(2):
        with pytest.raises(ShardError, match=problem) as caught:
            list(iter(loader))
        assert (caught.value.set_number, caught.value.path) == (3, folder / "sample__3.npy")
        assert loader.progress.num_batches == 6  # of the 26 rows of sets 1 and 2
        assert children() == before


class Clumsy(nn.Module):
    """Fails now and then."""

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        raise ArithmeticError("dropped it")


def test_what_a_part_of_a_user_raises_in_a_worker_arrives_with_its_traceback(
    make_loader: Make,
) -> None:
    loader = make_loader(2, augmentors=Augmentation([Clumsy()], probability=0.05))
    before, problem = children(), r"(?s)Caught ArithmeticError .*in forward.*dropped it"
    with pytest.raises(ArithmeticError, match=problem):
        taken(loader)
    assert children() == before  # not only when the garbage is collected, which takes long


def test_no_process_outlives_its_loader(write: Write) -> None:
    folder, before = write(LENGTHS), children()
    for num_batches in (13, 3):  # at the end of an epoch, and in the middle
        data = AutoDataModule(folder, batch_size=4, num_workers=2)
        batches = iter(data.train_dataloader())
        assert len(list(islice(batches, num_batches))) == num_batches
        assert len(children() - before) == 2
        del batches, data
        gc.collect()
        assert children() == before


def test_no_process_outlives_a_fit(
    write: Write, recorder: Any, make_trainer: Callable[..., Trainer]
) -> None:
    before = children()
    data = AutoDataModule(write(LENGTHS), val=[5], test=[2], batch_size=4, num_workers=2)
    modules = [recorder(), recorder()]
    for module in modules:
        make_trainer(max_epochs=2).fit(module, data)
        assert children() == before
    assert modules[0].seen == modules[1].seen
    assert [len(batches) for batches in modules[0].seen.values()] == [10, 1, 10, 1]
    make_trainer().test(recorder(), data, verbose=False)
    assert children() == before


def test_blocks_come_in_the_order_in_which_they_are_asked_for(write: Write) -> None:
    assembler = Assembler(ShardStore(discover(write({1: 40}))))
    jobs = [Job(Picks.of([1], [row]), 0) for row in np.random.default_rng(0).permutation(40)]
    makers = [make_blocks(assembler), make_blocks(assembler, pin_memory=True)]
    makers.append(make_blocks(assembler, num_workers=3))
    assert isinstance(makers[2], Workers)
    for make in makers:
        rows = [int(block.inputs[0, 1]) for block in make(jobs)]  # type: ignore[index] # a tensor
        assert rows == [int(job.picks.rows[0]) for job in jobs]


@pytest.mark.parametrize("num_workers", [-1, 1.5, True, "2"])
def test_half_a_worker_is_refused(num_workers: Any) -> None:
    problem = "Expected `num_workers` to be a whole number from 0, but got"
    with pytest.raises(ConfigError, match=problem):
        AutoDataModule("nowhere", num_workers=num_workers)


@pytest.mark.gpu
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_can_be_pinned(make_loader: Make, num_workers: int) -> None:
    plain, pinned = (make_loader(num_workers, pin_memory=pin) for pin in (False, True))
    assert taken(plain) == taken(pinned)
    assert all(part.is_pinned() for batch in pinned for part in batch)  # type: ignore[union-attr] # tensors
