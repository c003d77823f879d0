"""A batch gives a model the very same bits, whichever rows were read along with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from leyden.data import AutoDataModule
from leyden.shards import write_shards

SIZES = [(9, 13), (5, 7), (13, 7), (63, 15), (16, 32), (3, 5)]  # numbers in a row, rows of a batch
Make = Callable[..., AutoDataModule]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a data module of 300 rows of so many numbers, with a number as label."""

    def make_data(width: int, batch_size: int, **options: Any) -> AutoDataModule:
        folder = tmp_path / str(width)
        if not folder.exists():
            rng = np.random.default_rng(0)
            rows = {number: rng.random((20, width), np.float32) for number in range(1, 16)}
            labels = {number: array.sum(1) for number, array in rows.items()}
            write_shards(folder, rows, labels=labels)
        return AutoDataModule(folder, batch_size=batch_size, **options)

    return make_data


def parts(batch: Any) -> list[Tensor]:
    return list(batch)


def losses(batches: Any) -> list[str]:
    """The loss of every batch, and the sum of its gradients, to the last bit."""
    torch.manual_seed(0)
    found, net = [], None
    for inputs, labels in batches:
        net = net or nn.Sequential(nn.Linear(inputs.shape[1], 8), nn.ReLU(), nn.Linear(8, 1))
        net.zero_grad()
        loss = (net(inputs)[:, 0] - labels).square().mean()
        loss.backward()
        found.append(" ".join(part.numpy().tobytes().hex() for part in gradients(net)))
    return found


def gradients(net: nn.Module) -> list[Tensor]:
    return [part.grad for part in net.parameters() if part.grad is not None]


@pytest.mark.parametrize(("width", "batch_size"), SIZES)
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_begin_where_matrix_products_do_not_depend_on_their_place(
    make: Make, width: int, batch_size: int, num_workers: int
) -> None:
    data = make(width, batch_size, class_weights=None, num_workers=num_workers)
    for batch in data.train_dataloader():
        assert all(part.data_ptr() % 64 == 0 for part in parts(batch))
    assert all(part.data_ptr() % 64 == 0 for part in parts(data.fetch("train", 0, 3)))
    data.teardown("fit")


@pytest.mark.parametrize(("width", "batch_size"), SIZES)
def test_gradients_of_an_epoch_that_goes_on_are_the_same_to_the_last_bit(
    make: Make, width: int, batch_size: int
) -> None:
    loader = make(width, batch_size).train_dataloader()
    batches, state = [], {}
    for index, batch in enumerate(loader):
        batches.append(batch)
        if index == 2:
            state = loader.state_dict()
    other = make(width, batch_size)
    resumed = other.train_dataloader()
    resumed.load_state_dict(state)
    assert losses([*batches[:3], *resumed]) == losses(batches)
    fetched = [other.fetch("train", 0, index) for index in range(len(batches))]
    assert losses(fetched) == losses(batches)


@pytest.mark.parametrize(("width", "batch_size"), SIZES[:4])
def test_gradients_of_whole_numbers_are_the_same_to_the_last_bit_wherever_they_begin(
    tmp_path: Path, width: int, batch_size: int
) -> None:
    rng = np.random.default_rng(0)
    rows = {n: rng.integers(0, 256, (20, width)).astype(np.uint8) for n in range(1, 16)}
    labels = {number: array.sum(1, np.int64) for number, array in rows.items()}
    write_shards(tmp_path / "data", rows, labels=labels)
    data = AutoDataModule(tmp_path / "data", batch_size=batch_size, class_weights=None)
    batches = [parts(batch) for batch in data.train_dataloader()]
    clones = [[part.clone() for part in batch] for batch in batches]
    assert any(part.data_ptr() % 64 for batch in batches for part in batch)
    assert not any(part.data_ptr() % 64 for batch in clones for part in batch)
    assert losses((inputs / 255, found) for inputs, found in batches) == losses(
        (inputs / 255, found) for inputs, found in clones
    )


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_preprocessor_sees_each_batch_by_itself(make: Make, num_workers: int) -> None:
    options: dict[str, Any] = {"preprocessors": [PCA(7)], "num_workers": num_workers}
    data = make(63, 13, **options)
    batches = [parts(batch)[0] for batch in data.train_dataloader()]
    fetched = [parts(data.fetch("train", 0, index))[0] for index in range(len(batches))]
    assert all(map(torch.equal, batches, fetched))
    data.teardown("fit")
