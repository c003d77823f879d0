"""Rows that are not finite, and where they are from."""

from types import SimpleNamespace

import numpy as np
import torch

from leyden.incidents import BadRow, find_bad_rows

ORIGIN = SimpleNamespace(
    slices=[
        SimpleNamespace(set_number=12, rows=np.array([5, 3])),
        SimpleNamespace(set_number=13, rows=np.array([0, 9])),
    ]
)


def test_rows_are_named_by_their_sets() -> None:
    inputs = torch.zeros(4, 2, 3)
    inputs[1, 1, 2], inputs[3, 0, 0] = torch.nan, torch.inf
    found = find_bad_rows((inputs, torch.arange(4)), ORIGIN)
    assert found == [BadRow("0", 1, 12, 3), BadRow("0", 3, 13, 9)]
    assert str(found[1]) == "row 3 of the batch, which is row 9 of set 13"


def test_parts_of_a_batch_are_named_by_their_places() -> None:
    bad = torch.tensor([0.0, torch.nan])
    batch = {"image": [torch.ones(2), bad], "id": "a", "weight": bad.to(torch.complex64)}
    assert [(row.tensor, row.row) for row in find_bad_rows(batch)] == [
        ("image.1", 1),
        ("weight", 1),
    ]
    assert str(find_bad_rows(bad)[0]) == "row 1 of the batch"


def test_what_has_no_rows_has_no_bad_ones() -> None:
    sparse = torch.tensor([0.0, torch.nan]).to_sparse()
    assert find_bad_rows([torch.tensor(torch.nan), torch.zeros(0, 3), sparse, None]) == []


def test_a_hundred_rows_are_listed_at_most() -> None:
    assert len(find_bad_rows(torch.full((300, 2), torch.nan))) == 100
