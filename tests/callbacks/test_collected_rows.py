"""Rows that are collected in a validation, and of which set each is."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import tensor

from leyden.callbacks.collected_rows import CollectedRows, sets_of_rows
from leyden.data import BatchOrigin
from leyden.data.origin import Slice
from leyden.errors import DataError

ALONE: Any = SimpleNamespace(world_size=1, global_rank=0, validating=True, datamodule=None)


def rows_of(trainer: Any, checkpoint: dict[str, Any]) -> list[Any]:
    rows = CollectedRows("mine")
    rows.load(trainer, checkpoint)
    return [] if rows._before is None else rows._before.tolist()


def test_columns_lie_side_by_side_until_they_are_forgotten() -> None:
    rows = CollectedRows("mine")
    number = 2**40 + 1  # more than a float32 can tell apart
    rows.add(tensor([number, 3]), tensor([[0.5, 1.5], [2.5, 3.5]]))
    rows.add(tensor([4]), tensor([[0.25, 7.0]]))
    expected = [[number, 0.5, 1.5], [3, 2.5, 3.5], [4, 0.25, 7]]
    assert rows.gather(ALONE).tolist() == expected
    rows.begin(1, 0)
    rows.begin(0, 1)
    assert rows.gather(ALONE).tolist() == expected
    rows.begin(0, 0)
    assert rows.gather(ALONE).shape == (0, 0)


def test_what_is_collected_is_not_written_over() -> None:
    rows, scores = CollectedRows("mine"), tensor([1.0])
    rows.add(scores)
    scores.zero_()
    assert rows.gather(ALONE).tolist() == [[1.0]]


def test_a_checkpoint_in_a_validation_holds_the_rows() -> None:
    rows, checkpoint = CollectedRows("mine"), dict[str, Any]()
    rows.save(ALONE, checkpoint)
    assert checkpoint == {}
    rows.add(tensor([1.0, 2.0]))
    rows.save(ALONE, checkpoint)
    again = CollectedRows("mine")
    again.load(ALONE, checkpoint)
    again.add(tensor([3.0]))
    assert again.gather(ALONE).tolist() == [[1], [2], [3]]
    other = CollectedRows("other")
    other.load(ALONE, checkpoint)
    assert len(other.gather(ALONE)) == 0


def test_between_validations_it_does_not() -> None:
    rows, checkpoint = CollectedRows("mine"), dict[str, Any]()
    rows.add(tensor([1.0]))
    rows.save(SimpleNamespace(validating=False), checkpoint)  # type: ignore[arg-type] # a part of it
    assert checkpoint == {}


def test_each_process_takes_its_rows_and_the_first_those_of_others() -> None:
    checkpoint = {"leyden.collected_rows": {"mine": [torch.ones(1, 2), torch.zeros(0, 0)]}}
    two: Any = [SimpleNamespace(world_size=2, global_rank=rank) for rank in (0, 1)]
    assert [rows_of(trainer, checkpoint) for trainer in two] == [[[1, 1]], []]
    three: Any = [SimpleNamespace(world_size=3, global_rank=rank) for rank in (0, 1)]
    assert [rows_of(trainer, checkpoint) for trainer in three] == [[[1, 1]], []]
    checkpoint["leyden.collected_rows"]["mine"][1] = torch.zeros(1, 2)
    assert rows_of(ALONE, checkpoint) == [[1, 1], [0, 0]]


def served_by(origin: BatchOrigin) -> Any:
    data = SimpleNamespace(origin=lambda phase, epoch, batch_index: origin)
    return SimpleNamespace(datamodule=data, current_epoch=0, world_size=2, global_rank=1)


def test_rows_are_of_the_sets_that_the_data_module_names() -> None:
    trainer = served_by(BatchOrigin(0, 0, (Slice(12, np.arange(2)), Slice(5, np.arange(1)))))
    for num_rows in (3, None):
        sets = sets_of_rows(trainer, 0, num_rows)
        assert sets is not None
        assert sets.tolist() == [12, 12, 5]
    with pytest.raises(DataError, match="scores for each of the 3 rows of a batch, but got 4"):
        sets_of_rows(trainer, 0, 4)


def test_a_repeated_row_is_of_none() -> None:
    repeated = BatchOrigin(0, 0, (Slice(12, np.arange(1)),), is_repeated=True)
    assert sets_of_rows(served_by(repeated), 0, 1) is None


def test_without_names_the_batches_of_all_processes_are_counted() -> None:
    trainer: Any = SimpleNamespace(datamodule=None, world_size=2, global_rank=1, current_epoch=0)
    sets = sets_of_rows(trainer, 3, 2)
    assert sets is not None
    assert sets.tolist() == [7, 7]
