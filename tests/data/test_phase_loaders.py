import pickle
from collections.abc import Callable
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from leyden.data import AutoDataModule
from leyden.errors import ResumeError

Write: TypeAlias = Callable[..., Path]


def test_a_copy_of_a_data_module_has_loaders_of_its_own(write: Write) -> None:
    data = AutoDataModule(write({1: 4, 2: 4}), batch_size=2, shuffle="none")
    assert data.origin("train", 0, 0).name == "1-a"
    other = deepcopy(data)
    other.schedule("train", [2])
    assert (data.origin("train", 0, 0).name, other.origin("train", 0, 0).name) == ("1-a", "2-a")
    next(iter(other.train_dataloader()))
    assert data.status is None
    assert other.status is not None


def pickled(one: Any) -> Any:
    return pickle.loads(pickle.dumps(one))


def lists(batches: Any) -> list[object]:
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize("copied", [deepcopy, pickled])
@pytest.mark.parametrize("num_batches", [0, 1, 3])
def test_a_data_module_in_use_can_be_copied_and_pickled(
    write: Write, copied: Callable[..., Any], num_batches: int
) -> None:
    data = AutoDataModule(write({1: 4, 2: 4}), batch_size=2, val=[2], shuffle="full")
    first: Any = data.fetch("train", 1, 0)
    batches = iter(data.train_dataloader())
    for _ in islice(batches, num_batches):
        pass
    other = copied(data)
    assert other.status == data.status
    assert other.fetch("train", 1, 0).tolist() == first.tolist()
    for one in (data, other):
        expected: list[Any] = [one.fetch("train", 0, index) for index in range(2)]
        assert lists(one.train_dataloader()) == lists(expected)


@pytest.mark.parametrize("copied", [deepcopy, pickled])
@pytest.mark.parametrize("num_batches", range(1, 5))
def test_a_copy_of_a_loader_goes_on_at_its_place(
    write: Write, copied: Callable[..., Any], num_batches: int
) -> None:
    data = AutoDataModule(write({1: 4, 2: 4}), batch_size=2, drop_last=True)
    loader = data.train_dataloader()
    batches = iter(loader)
    for _ in islice(batches, num_batches):
        pass
    other = copied(loader)
    assert other.state_dict() == loader.state_dict()
    epoch, left = divmod(num_batches, 4)
    expected: list[Any] = [data.fetch("train", epoch, index) for index in range(left, 4)]
    assert lists(other) == lists(expected)
    assert len(list(batches)) == 4 - num_batches  # the original is where it was


def test_a_schedule_counts_from_the_first_epoch_that_has_not_begun(write: Write) -> None:
    data = AutoDataModule(write({1: 2, 2: 2}), batch_size=2, shuffle="none")
    loader = data.train_dataloader()
    data.schedule("train", [2])
    assert loader.plan[0].name == "2"  # the epoch had not begun
    next(iter(loader))
    data.schedule("train", [1])
    assert (loader.plan[0].name, data.plan("train", 1)[0].name) == ("2", "1")


def test_a_state_that_is_refused_changes_no_names_of_classes(write: Write) -> None:
    data = AutoDataModule(write({1: 2}))
    state = {"version": 1, "classes": ["cat"], "preparation": {"version": 1, "steps": []}}
    with pytest.raises(ResumeError, match="without a state of preprocessors, but it has one"):
        data.load_state_dict(state)
    assert data.class_names is None
    data.catalogs  # noqa: B018 - which would be looked for with these names


def test_a_state_of_other_preprocessors_changes_no_names_of_classes(write: Write) -> None:
    data = AutoDataModule(write({1: 2}), preprocessors=["standard_scaler"])
    wrong: list[object] = [[], [{}], 5]
    problem = r"^(Preprocessors changed|Expected a state of preprocessors)"
    for steps in wrong:
        prepared = {"version": 1, "steps": steps}
        with pytest.raises(ResumeError, match=problem):
            data.load_state_dict({"version": 1, "classes": ["cat"], "preparation": prepared})
    assert data.class_names is None
