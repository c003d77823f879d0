"""A sampler begins in the middle of an epoch, with what it draws drawn at its beginning."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from loader_table import LazySampler
from torch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from leyden.generators import Stream, global_state, restore_global_state
from leyden.resume.loaders.samplers import SkippingSampler, draws_at_once


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    state = global_state()
    yield
    restore_global_state(state)


def begun(sampler: Any, skipped: int = 0, stream: Stream | None = None) -> SkippingSampler:
    skipping = SkippingSampler(sampler)
    skipping.begin(skipped, stream)
    return skipping


@given(length=st.integers(0, 9), skipped=st.integers(0, 11))
def test_indices_before_the_place_are_left_out(length: int, skipped: int) -> None:
    assert list(begun(range(length), skipped)) == list(range(skipped, length))


def test_batches_are_skipped_like_indices() -> None:
    batches = BatchSampler(SequentialSampler(range(7)), 3, drop_last=False)
    assert list(begun(batches, 1)) == [[3, 4, 5], [6]]


@pytest.mark.parametrize("skipped", [0, 2])
def test_torch_gets_the_same_iterator_each_time(skipped: int) -> None:
    sampler = begun(range(5), skipped)
    assert next(iter(sampler)) == skipped
    assert next(iter(sampler)) == skipped + 1


def test_length_is_that_of_the_sampler() -> None:
    assert len(begun(range(5), 2)) == 5
    with pytest.raises(TypeError, match="len"):
        len(begun(iter([1])))


@pytest.mark.parametrize("skipped", [0, 4])
def test_what_is_drawn_is_drawn_at_the_beginning(skipped: int) -> None:
    sampler = RandomSampler(range(9))
    torch.manual_seed(3)
    expected = list(sampler)[skipped:]
    torch.manual_seed(3)
    skipping = begun(sampler, skipped)
    skipping.draw()
    torch.manual_seed(99)
    after = torch.get_rng_state()
    assert list(skipping) == expected
    assert torch.equal(torch.get_rng_state(), after)


def test_drawing_from_nothing_is_no_error() -> None:
    sampler = begun(range(0))
    sampler.draw()
    assert list(sampler) == []


def test_lazy_sampler_draws_from_its_stream_alone() -> None:
    random.seed(1)
    expected, lazy = random.random(), LazySampler(6)
    random.seed(1)
    whole = list(begun(lazy, 0, Stream(5)))
    seen = [(index, random.seed(number)) for number, index in enumerate(begun(lazy, 2, Stream(5)))]
    assert [index for index, _ in seen] == whole[2:]
    random.seed(1)
    list(begun(lazy, 0, Stream(6)))
    assert random.random() == expected


class Mine(Sampler[int]):
    """Of unknown make."""


KNOWN = [
    SequentialSampler(range(3)),
    RandomSampler(range(3), replacement=True),
    SubsetRandomSampler([1, 2]),
    WeightedRandomSampler([1.0, 2.0], 2),
    DistributedSampler(range(4), num_replicas=2, rank=0),  # type: ignore[arg-type] # any sequence will do
    UnrepeatedDistributedSampler(range(4), num_replicas=2, rank=0),
    BatchSampler(RandomSampler(range(3)), 2, drop_last=True),
]


@pytest.mark.parametrize("sampler", KNOWN, ids=lambda sampler: type(sampler).__name__)
def test_samplers_of_the_libraries_draw_at_once(sampler: Any) -> None:
    assert draws_at_once(sampler)


@pytest.mark.parametrize(
    "sampler", [Mine(), LazySampler(3), range(3), BatchSampler(LazySampler(3), 2, drop_last=True)]
)
def test_others_may_draw_at_any_time(sampler: Any) -> None:
    assert not draws_at_once(sampler)


@pytest.mark.parametrize("sampler", KNOWN[:-1], ids=lambda sampler: type(sampler).__name__)
def test_nothing_global_is_drawn_after_the_first_index(sampler: Any) -> None:
    indices = iter(sampler)
    next(indices)
    before = global_state()
    list(indices)
    assert repr(global_state()) == repr(before)
    assert torch.equal(torch.get_rng_state(), before["torch"])
