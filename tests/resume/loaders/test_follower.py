"""Batches after a restore are those of the run that was never interrupted, bit for bit."""

import io
import pickle
import random
from collections.abc import Iterator
from functools import cache
from itertools import chain, islice
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from loader_table import ALL, CASES, Case, Late, Made, Rows, SizedCounting, Stateful, StatefulRows
from torch import Tensor
from torch.utils._pytree import tree_map_only
from torch.utils.data import DataLoader

from leyden.errors import ConfigError, ResumeError
from leyden.generators import global_state, restore_global_state
from leyden.resume.loaders import LoaderFollower, follow, follower_of

EPOCHS = 3
END = -1  # of an epoch: its last batch, and what comes after it, are over
Place = tuple[int, int]  # epoch, and batches of it


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    state = global_state()
    yield
    restore_global_state(state)


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def noise() -> list[float]:
    return [random.random(), np.random.rand(), torch.rand(()).item()]


class Fetcher:
    """Draws batches as Lightning does: one ahead where the length is not known."""

    def __init__(self, source: Iterator[Any], *, is_ahead: bool) -> None:
        self.source, self.is_ahead = source, is_ahead
        self.batches: list[Any] = []
        self.refill()

    def refill(self) -> None:
        if self.is_ahead:
            self.batches += islice(self.source, 1)

    def next(self) -> Any:
        if not self.is_ahead:
            return next(self.source)
        batch = self.batches.pop()
        self.refill()
        return batch


class Run:
    """A training that draws random numbers after each batch, and can be written down."""

    def __init__(self, case: Case, way: Any, folder: Path) -> None:
        self.case = case
        self.follower = LoaderFollower(case.make(folder), way, lambda: not case.is_sized)
        self.alike = follow(self.follower.loader, self.follower)
        self.seen: dict[Place, Any] = {}
        self.states: dict[Place, bytes] = {}

    def go(self, after: Place = (-1, END), state: bytes | None = None) -> "Run":
        """Train, from the start or from after a batch."""
        saved = state and torch.load(io.BytesIO(state), weights_only=True)
        if saved:
            self.follower.load_state_dict(saved["loader"])
        first, num_seen = (after[0] + 1, 0) if after[1] == END else after
        if saved and after[1] == END:
            self.fetch()  # Lightning has begun already, with other generators
            self.follower.forget()
            self.restore(saved)
        for epoch in range(first, EPOCHS):
            self.set_epoch(epoch)
            fetcher = self.fetch()
            if saved and after[1] != END:
                for _ in range(num_seen):
                    fetcher.next()
                self.restore(saved)
            self.train(epoch, num_seen, fetcher)
            saved, num_seen = None, 0
        self.follower.close()
        return self

    def set_epoch(self, epoch: int) -> None:
        if hasattr(getattr(self.alike, "sampler", None), "set_epoch"):
            self.alike.sampler.set_epoch(epoch)

    def fetch(self) -> Fetcher:
        passes = (iter(self.alike) for _ in range(self.case.passes))
        return Fetcher(chain.from_iterable(passes), is_ahead=not self.case.is_sized)

    def train(self, epoch: int, num_seen: int, fetcher: Fetcher) -> None:
        length = self.case.passes * len(self.alike) if self.case.is_sized else None
        self.write((epoch, num_seen), fetcher)
        while fetcher.batches or (length is not None and num_seen < length):
            batch = fetcher.next()
            num_seen += 1
            self.seen[epoch, num_seen] = plain(batch), noise()
            self.write((epoch, num_seen), fetcher)
        self.follower.forget()
        self.write((epoch, END), fetcher)

    def write(self, place: Place, fetcher: Fetcher) -> None:
        file = io.BytesIO()
        loader = self.follower.state_dict(len(fetcher.batches))
        torch.save({"loader": loader, "global": global_state()}, file)
        self.states[place] = file.getvalue()

    def restore(self, saved: Any) -> None:
        self.follower.restore_generators(saved["loader"])
        restore_global_state(saved["global"])


def plain(batch: Any) -> Any:
    return tree_map_only(Tensor, lambda value: (str(value.dtype), value.tolist()), batch)


@cache
def folder() -> Path:
    return Path(mkdtemp(), "data")


@cache
def uninterrupted(name: str, way: str) -> Run:
    seed(1)
    return Run(CASES[name], way, folder()).go()


def places(case: Case) -> list[Place]:
    ends = [(0, END), (1, END)] * case.between
    return [(0, case.stops[-1]), *ends, *((1, stop) for stop in case.stops)]


TABLE = [
    pytest.param(
        name,
        way,
        id=f"{name} / {way}",
        marks=[pytest.mark.slow] if case.is_slow or (case.has_workers and way != "auto") else [],
    )
    for name, case in CASES.items()
    for way in case.ways
]


@pytest.mark.parametrize(("name", "way"), TABLE)
def test_batches_go_on_as_if_nothing_had_happened(name: str, way: str) -> None:
    whole = uninterrupted(name, way)
    assert len(whole.seen) > EPOCHS
    for place in places(CASES[name]):
        seed(99)
        resumed = Run(CASES[name], way, folder()).go(place, whole.states[place])
        expected = {key: value for key, value in whole.seen.items() if is_after(key, place)}
        assert resumed.seen == expected, f"after {place}"


def is_after(key: Place, place: Place) -> bool:
    return key > place if place[1] != END else key[0] > place[0]


def test_writing_does_not_change_what_follows() -> None:
    seed(1)
    case = CASES["stream, cycled"]
    written = Run(case, "auto", folder()).go()
    seed(1)
    run = Run(case, "auto", folder())
    run.write = lambda *_: None  # type: ignore[method-assign] # for this run only
    assert run.go().seen == written.seen


@pytest.mark.parametrize("name", ["shuffled", "own way through", "random workers"])
def test_run_can_be_interrupted_again_and_again(name: str) -> None:
    whole = uninterrupted(name, "auto")
    state, places, seen = whole.states[0, 0], [(0, 0), (0, 2), (0, 4), (1, 0), (1, 3), (1, 4)], {}
    for place, following in zip(places, [*places[1:], (2, 1)], strict=True):
        seed(99)
        run = Run(CASES[name], "auto", folder()).go(place, state)
        seen.update({key: value for key, value in run.seen.items() if key <= following})
        state = run.states[following]
    assert seen == {key: value for key, value in whole.seen.items() if key <= (2, 1)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_stateful_loader_of_torchdata_goes_on() -> None:
    module = pytest.importorskip("torchdata.stateful_dataloader")

    def make(_: Path, **options: Any) -> Any:
        return module.StatefulDataLoader(Rows(12, *ALL), 2, shuffle=True, **options)

    def stream(_: Path) -> Any:
        return module.StatefulDataLoader(CASES["stream"].make(folder()).dataset, 2)

    own = torch.Generator
    for case in (
        Case(make),
        Case(lambda _: make(_, generator=own().manual_seed(3))),
        Case(lambda _: make(_, num_workers=2), stops=(3,)),
        Case(stream, is_sized=False),
    ):
        seed(1)
        whole = Run(case, "auto", folder()).go()
        for place in places(case):
            seed(99)
            resumed = Run(case, "auto", folder()).go(place, whole.states[place])
            expected = {key: value for key, value in whole.seen.items() if is_after(key, place)}
            assert resumed.seen == expected, f"after {place}"


def late(**options: Any) -> Case:
    return Case(lambda _: DataLoader(Late(12), 2, shuffle=True, **options))


@pytest.mark.parametrize("way", ["auto", "replay"])
def test_generator_made_in_the_first_epoch_is_made_again(way: str) -> None:
    seed(1)
    whole = Run(late(), way, folder()).go()
    for place in ((0, 0), (0, 1), (0, 6)):
        seed(99)
        resumed = Run(late(), way, folder()).go(place, whole.states[place])
        assert resumed.seen == {key: one for key, one in whole.seen.items() if key > place}


@pytest.mark.parametrize("place", [(0, END), (1, 0), (1, 3)])
def test_generator_made_in_an_epoch_before_is_missed(place: Place) -> None:
    seed(1)
    whole = Run(late(), "auto", folder()).go()
    with pytest.raises(
        ResumeError,
        match=r"Expected the loader to hold 2 random generators, as when the checkpoint was "
        r"written, but got 1\. Make the loader, and the generators in it, as they were made",
    ):
        Run(late(), "auto", folder()).go(place, whole.states[place])


@pytest.mark.slow  # torch waits for workers that could not begin
def test_persistent_worker_says_that_its_generator_is_missed() -> None:
    case = late(num_workers=2, persistent_workers=True)
    seed(1)
    state = Run(case, "auto", folder()).go().states[0, END]
    with pytest.raises(ResumeError, match="Expected the loader to hold 2 random generators"):
        Run(case, "auto", folder()).go((0, END), state)


def test_stateful_loader_that_counts_epochs_goes_on_between_them() -> None:
    case = Case(lambda _: SizedCounting(7))
    whole = Run(case, "auto", folder()).go()
    resumed = Run(case, "auto", folder()).go((0, END), whole.states[0, END])
    assert resumed.seen == {key: value for key, value in whole.seen.items() if key[0] > 0}


@pytest.mark.parametrize("drawn", [2, 6])
def test_a_pass_that_was_left_is_followed_by_a_whole_one(drawn: int) -> None:
    before = followed(StatefulRows(6))  # as by a sanity check, or `limit_val_batches`
    list(islice(before, drawn))
    follower_of(before).forget()
    after = followed(StatefulRows(6))
    follower_of(after).load_state_dict(follower_of(before).state_dict())
    assert plain(list(after)) == plain(list(StatefulRows(6)))


def test_random_rows_beside_a_loader_without_a_length_go_on() -> None:
    case = Case(lambda _: DataLoader(Rows(12, "torch"), 2, shuffle=True), is_sized=False)
    seed(1)
    whole = Run(case, "auto", folder()).go()
    seed(99)
    resumed = Run(case, "auto", folder()).go((0, 2), whole.states[0, 2])
    assert resumed.seen == {key: value for key, value in whole.seen.items() if key > (0, 2)}


def followed(loader: Any, **options: Any) -> Any:
    return follow(loader, LoaderFollower(loader, **options))


def test_look_alike_is_of_the_loaders_class_and_shares_its_attributes() -> None:
    loader = DataLoader(Rows(12), 2, shuffle=True)
    alike = followed(loader)
    assert isinstance(alike, DataLoader)
    assert (type(alike).__name__, type(alike).__module__) == ("DataLoader", DataLoader.__module__)
    assert len(alike) == 6
    assert alike.dataset is loader.dataset
    assert alike.sampler is loader.sampler
    loader.mine = 1
    alike.yours = 2
    assert (alike.mine, loader.yours) == (1, 2)  # type: ignore[attr-defined] # set above


def test_users_loader_is_left_as_it_was() -> None:
    loader = DataLoader(Rows(12), 2, shuffle=True, num_workers=2, persistent_workers=True)
    before = dict(vars(loader))
    alike = followed(loader)
    list(alike)
    follower_of(alike).close()
    assert vars(loader) == before
    assert type(loader) is DataLoader


@pytest.mark.parametrize("fast_forward", ["auto", "replay"])
def test_what_is_set_on_the_look_alike_counts_from_the_next_pass_on(fast_forward: Any) -> None:
    alike = followed(DataLoader(Rows(4), 2), fast_forward=fast_forward)
    assert [batch.shape for batch in alike] == [(2, 1), (2, 1)]
    alike.collate_fn = len
    assert list(alike) == [2, 2]


def test_no_batches_are_made_of_too_few_rows() -> None:
    assert list(followed(DataLoader(Rows(3), 4, drop_last=True))) == []


def test_batches_are_those_of_the_bare_loader() -> None:
    def make() -> DataLoader[Any]:
        return DataLoader(Rows(12, *ALL), 2, shuffle=True)

    seed(1)
    bare = plain([list(loader) for loader in [make()] for _ in range(2)])
    seed(1)
    assert plain([list(alike) for alike in [followed(make())] for _ in range(2)]) == bare


def test_dataset_of_a_look_alike_can_be_pickled() -> None:
    alike = followed(DataLoader(Rows(12), 2))
    list(alike)
    assert len(pickle.loads(pickle.dumps(alike.dataset))) == 12


class Slotted:
    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows = [1, 2, 3]

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@pytest.mark.parametrize("loader", [[1, 2, 3], (1, 2, 3), range(1, 4), {1: 0, 2: 0, 3: 0}])
def test_builtins_are_followed(loader: Any) -> None:
    alike = followed(loader)
    assert (list(alike), len(alike)) == ([1, 2, 3], 3)
    assert [batch for _ in range(2) for batch in alike] == [1, 2, 3, 1, 2, 3]
    assert alike.__class__ is not type(loader)


def test_attributes_of_what_is_passed_on_are_there() -> None:
    alike = followed([1, 2, 2])
    assert alike.count(2) == 2
    with pytest.raises(AttributeError, match="nothing"):
        alike.nothing  # noqa: B018


def test_loader_without_attributes_of_its_own_is_followed() -> None:
    alike = followed(Slotted())
    assert (list(alike), len(alike), alike.rows) == ([1, 2, 3], 3, [1, 2, 3])


def test_unsized_loader_stays_without_a_length() -> None:
    for loader in (Made(3), iter([1]), map(str, [1])):
        with pytest.raises(TypeError, match="len"):
            len(followed(loader))


def test_nothing_is_drawn_before_the_first_batch_is_asked_for() -> None:
    seed(1)
    expected = noise()
    seed(1)
    iter(followed(DataLoader(Rows(4), 2, shuffle=True)))
    assert noise() == expected


@pytest.mark.parametrize(
    ("loader", "fast_forward", "way"),
    [
        (DataLoader(Rows(4)), "auto", "index"),
        (DataLoader(Rows(4)), "index", "index"),
        (DataLoader(Rows(4)), "replay", "replay"),
        (DataLoader(Rows(4), num_workers=1), "replay", "replay"),
        (Stateful(3), "auto", "state"),
        (Stateful(3), "index", "state"),
        (Stateful(3), "replay", "replay"),
        ([1], "auto", "replay"),
        (CASES["stream"].make(Path()), "auto", "replay"),
        (CASES["own way through"].make(Path()), "auto", "replay"),
    ],
)
def test_way_is_named(loader: Any, fast_forward: Any, way: str) -> None:
    assert LoaderFollower(loader, fast_forward).way == way


def test_unknown_way_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match="Expected `fast_forward` to be 'auto', 'index' or 'replay', but got 'skip'",
    ):
        LoaderFollower([1], "skip")  # type: ignore[arg-type] # a misspelt one


@pytest.mark.parametrize("name", ["list", "stream", "own way through"])
def test_index_is_refused_where_there_is_none(name: str) -> None:
    with pytest.raises(
        ConfigError,
        match=r"Expected a DataLoader of a map-style dataset for `fast_forward='index'`, but got "
        r"\w+, which has no indices to skip\. Pass `fast_forward='auto'`\.",
    ):
        LoaderFollower(CASES[name].make(Path()), "index")


def test_problem_of_a_loader_is_named_with_the_remedy() -> None:
    def problem(loader: Any) -> str | None:
        return LoaderFollower(loader).problem

    doubling = type(CASES["own way through"].make(Path()))
    persistent = doubling(Rows(4), num_workers=1, persistent_workers=True)
    assert "hand in the iterable that makes it, or a DataLoader" in str(problem(iter([1])))
    unordered = DataLoader(Rows(4), num_workers=1, in_order=False)
    assert "pass `in_order=True` to the DataLoader" in str(problem(unordered))
    assert "pass `persistent_workers=False`" in str(problem(persistent))
    for loader in (DataLoader(Rows(4), in_order=False), DataLoader(Rows(4), num_workers=1), [1]):
        assert problem(loader) is None


def test_persistent_workers_end_when_the_follower_is_closed() -> None:
    loader = DataLoader(Rows(4), 2, num_workers=1, persistent_workers=True)
    alike = followed(loader)
    list(alike)
    follower = follower_of(alike)
    (worker,) = follower._batches._workers  # type: ignore[attr-defined] # torch's iterator
    assert worker.is_alive()
    follower.close()
    assert not worker.is_alive()


def test_closing_before_the_first_batch_and_twice_does_no_harm() -> None:
    follower = LoaderFollower(DataLoader(Rows(4), 2))
    next(iter(follow(follower.loader, follower)))
    for _ in range(2):
        follower.close()
    assert follower.state_dict()["passes"][0]["drawn"] == 1
