from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leyden.data.assembly import Assembler, Block, Job
from leyden.data.gather import ShardStore
from leyden.data.picks import Picks
from leyden.data.weights import RowWeights
from leyden.shards import discover
from leyden.types import Array

JOB = Job(Picks.of([7, 3, 7], [1, 0, 0]), epoch=4)


class Noting:
    """Adds 100 to rows that are augmented, 1000 to all, and notes what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int], int, bool]] = []

    def __call__(
        self, name: str, inputs: Array, picks: Picks, epoch: int, *, augments: bool
    ) -> Tensor:
        self.calls.append((name, picks.rows.tolist(), epoch, augments))
        return torch.from_numpy(inputs) + 1000 + 100 * augments


def store_of(write: Callable[..., Path], **arguments: Any) -> ShardStore:
    has_labels = arguments.pop("has_labels", False)
    return ShardStore(discover(write({3: 2, 7: 2}, labels=has_labels), **arguments))


def tensors(block: Block) -> list[Any]:
    return [part.tolist() if isinstance(part, Tensor) else part for part in block]


def test_a_block_has_the_rows_that_were_picked(write: Callable[..., Path]) -> None:
    block = Assembler(store_of(write))(JOB)
    assert tensors(block) == [[[7, 1], [3, 0], [7, 0]], None, None]


def test_rows_are_prepared_and_labels_are_not(write: Callable[..., Path]) -> None:
    prepare = Noting()
    block = Assembler(store_of(write, has_labels=True), prepare, augments=True)(JOB)
    rows = [[1107, 1101], [1103, 1100], [1107, 1100]]
    assert tensors(block) == [rows, [10, 0, 0], None]
    assert prepare.calls == [("", [1, 0, 0], 4, True)]


def test_inputs_that_are_labels_are_prepared_but_not_augmented(write: Callable[..., Path]) -> None:
    block = Assembler(store_of(write, labels="inputs"), Noting(), augments=True)(JOB)
    augmented, plain = tensors(block)[:2]
    assert (augmented[0], plain[0]) == ([1107, 1101], [1007, 1001])


@pytest.mark.parametrize(("has_labels", "expected"), [(True, [5, 1, 1]), (False, [1, 1, 1])])
def test_rows_are_weighed_by_their_labels_if_they_have_any(
    write: Callable[..., Path], has_labels: bool, expected: list[float]
) -> None:
    store = store_of(write, has_labels=has_labels)
    weights = Assembler(store, weights=RowWeights({10: 5.0}))(JOB).weights
    assert weights is not None
    assert (weights.dtype, weights.tolist()) == (torch.float32, expected)


def test_several_inputs_are_prepared_by_name(tmp_path: Path) -> None:
    for number in (3, 7):
        rows = np.array([[number, 0], [number, 1]])
        np.savez(tmp_path / f"a{number}.npz", image=rows, meta=-rows[:, :1])
    prepare = Noting()
    block = Assembler(ShardStore(discover(tmp_path, inputs=["meta", "image"])), prepare)(JOB)
    assert isinstance(block.inputs, dict)
    assert {name: array.tolist() for name, array in block.inputs.items()} == {
        "meta": [[993], [997], [993]],
        "image": [[1007, 1001], [1003, 1000], [1007, 1000]],
    }
    assert [name for name, *_ in prepare.calls] == list(block.inputs) == ["meta", "image"]


@pytest.mark.parametrize("labels", [True, False, "inputs"])
def test_blocks_of_one_job_are_those_that_are_made_alone(
    write: Callable[..., Path], labels: Any
) -> None:
    arguments = {"labels": "inputs"} if labels == "inputs" else {"has_labels": labels}
    assembler = Assembler(
        store_of(write, **arguments), Noting(), RowWeights({10: 5.0}), augments=True
    )
    picks = Picks.of([7, 3, 7, 3, 3], [1, 0, 0, 1, 0])
    blocks = assembler.all_blocks([Job(picks, 4, [2, 1]), Job(picks, 5, [1, 4]), Job(picks, 6)])
    alone = [
        assembler(Job(part, epoch))
        for epoch, sizes in ((4, [2, 1]), (5, [1, 4]), (6, [5]))
        for part in picks.split(sizes)
    ]
    assert [tensors(block) for block in blocks] == [tensors(block) for block in alone]


ROWS, LABELS, WEIGHTS = torch.arange(12).reshape(6, 2), torch.arange(6), torch.ones(6)


@pytest.mark.parametrize(
    ("sizes", "are_views"),
    [
        ([16, 16, 8], True),
        ([15, 17, 8], False),
        ([15, 15, 10], False),
        ([10, 10, 10, 10], False),
        ([9, 9, 9, 13], False),
        ([13, 27], False),
    ],
)
def test_batches_are_views_of_their_block_where_all_begin_at_64_bytes(
    sizes: list[int], are_views: bool
) -> None:
    block = Block(torch.rand(40, 3), torch.rand(40), torch.ones(40))
    batches = list(block.split(sizes))
    for part, whole in zip(zip(*batches, strict=True), block, strict=True):
        assert isinstance(whole, Tensor)
        assert torch.equal(torch.cat(part), whole)
        assert all(each.data_ptr() % 64 == 0 for each in part)
        storages = {each.untyped_storage().data_ptr() for each in part}
        assert (storages == {whole.untyped_storage().data_ptr()}) == are_views
    assert [len(batch.inputs) for batch in batches] == sizes


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("sizes", [[15, 15, 10], [13, 27], [40]])
def test_whole_numbers_are_views_of_their_block_wherever_they_begin(
    dtype: torch.dtype, sizes: list[int]
) -> None:
    inputs, labels = torch.arange(121).to(dtype)[1:].reshape(40, 3), torch.arange(41).to(dtype)[1:]
    batches = list(Block(inputs, labels, None).batches(sizes))
    for part, whole in zip(zip(*batches, strict=True), (inputs, labels), strict=True):
        assert torch.equal(torch.cat(part), whole)
        storages = {each.untyped_storage().data_ptr() for each in part}
        assert storages == {whole.untyped_storage().data_ptr()}


def test_what_a_block_has_not_its_batches_have_not() -> None:
    assert [batch[1:] for batch in Block(ROWS, None, None).split([4, 2])] == [(None, None)] * 2
    (batch,) = Block(ROWS, None, WEIGHTS).split([6])
    assert batch.labels is None
    assert batch.weights is not None


def test_several_inputs_are_cut_alike() -> None:
    first, second = Block({"a": ROWS, "b": LABELS}, None, None).split([2, 4])
    assert isinstance(first.inputs, dict)
    assert isinstance(second.inputs, dict)
    assert {name: array.tolist() for name, array in first.inputs.items()} == {
        "a": [[0, 1], [2, 3]],
        "b": [0, 1],
    }
    assert second.inputs["b"].tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("inputs", [ROWS, {"a": ROWS, "b": LABELS}])
@pytest.mark.parametrize(
    ("labels", "weights", "parts"), [(None, None, 1), (LABELS, None, 2), (None, WEIGHTS, 3)]
)
def test_a_batch_is_handed_out_without_what_nothing_has(
    inputs: Any, labels: Any, weights: Any, parts: int
) -> None:
    whole: Any = Block(inputs, labels, weights).as_batch()
    found: list[Any] = list(Block(inputs, labels, weights).batches([2, 4]))
    assert len(found) == 2
    for batch in (whole, *found):
        assert isinstance(batch, tuple) is (parts > 1)
        assert (len(batch) if parts > 1 else 1) == parts
        assert type(batch[0] if parts > 1 else batch) is type(inputs)
    sizes = [batch[parts - 1] if parts > 1 else batch for batch in found]
    sizes = [each["a"] if isinstance(each, dict) else each for each in sizes]
    assert [len(each) for each in sizes] == [2, 4]


@pytest.mark.gpu
@pytest.mark.parametrize("inputs", [ROWS, {"a": ROWS, "b": LABELS}])
def test_a_block_can_be_pinned(inputs: Any) -> None:
    pinned = Block(inputs, LABELS, None).pin()
    arrays = [*(pinned.inputs.values() if isinstance(pinned.inputs, dict) else [pinned.inputs])]
    assert pinned.labels is not None
    assert all(array.is_pinned() for array in (*arrays, pinned.labels))
    assert pinned.weights is None
    assert torch.equal(arrays[0], ROWS)
