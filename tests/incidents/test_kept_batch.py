"""Batches that are taken apart and put together again."""

import json
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from leyden.errors import DataError
from leyden.incidents import keep_batch, kept_batch


class Pair(NamedTuple):
    """A batch as some collate functions make it."""

    inputs: Tensor
    label: int


def through_json(batch: Any) -> Any:
    structure, tensors = keep_batch(batch)
    return kept_batch(json.loads(json.dumps(structure)), tensors)


def test_batch_is_the_same_afterwards() -> None:
    batch: dict[Any, Any] = {
        "x": (torch.arange(6).reshape(2, 3), [torch.tensor(1.5), None, True, "cat"]),
        3: np.array([1.0, 2.0], np.float32),
    }
    found = through_json(batch)
    assert list(found) == ["x", 3]
    assert isinstance(found["x"], tuple)
    assert torch.equal(found["x"][0], batch["x"][0])
    assert found["x"][1] == batch["x"][1]
    assert found[3].tolist() == [1.0, 2.0]
    assert found[3].dtype == np.float32


def test_fields_keep_their_names() -> None:
    found = through_json(Pair(torch.ones(2), 7))
    assert (found.inputs.tolist(), found.label, len(found)) == ([1.0, 1.0], 7, 2)


@pytest.mark.parametrize("offset", [0, 4, 20, 60])
def test_tensor_lies_in_memory_as_it_did(offset: int) -> None:
    room = torch.rand(64 + 32)
    begin = (offset - room.data_ptr()) % 64 // 4
    tensor = room[begin : begin + 24].as_strided((3, 4), (1, 6))  # columns, with gaps
    found = through_json([tensor])[0]
    assert torch.equal(found, tensor)
    assert (found.stride(), found.data_ptr() % 64) == ((1, 6), offset)


def test_tensor_that_repeats_its_values_is_kept_too() -> None:
    tensor = torch.arange(3).expand(2, 3)
    assert torch.equal(through_json(tensor), tensor)
    assert through_json(torch.zeros(0, 4)).shape == (0, 4)


def test_copy_does_not_change_with_the_batch() -> None:
    batch = torch.ones(2)
    structure, tensors = keep_batch(batch)
    batch.zero_()
    assert kept_batch(structure, tensors).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("part", [object(), torch.ones(2).to_sparse(), float("nan"), {1.5: 0}])
def test_what_is_not_kept_is_said_when_it_is_missed(part: Any) -> None:
    structure, tensors = keep_batch([torch.ones(1), part])
    assert list(tensors) == ["0"]
    with pytest.raises(DataError, match="Expected the batch to be made of tensors, but a part of"):
        kept_batch(structure, tensors)
