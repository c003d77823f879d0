"""A block of batches: its rows read, prepared and weighed at once."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from leyden.data.gather import ShardStore
from leyden.data.picks import Picks
from leyden.data.weights import RowWeights
from leyden.types import Array

__all__ = ["Assembler", "Batch", "Block", "Inputs", "Job", "Prepare"]

Inputs: TypeAlias = Tensor | dict[str, Tensor]
"""Rows ``(rows, ...)``; or several arrays of them, by name."""

Batch: TypeAlias = Inputs | tuple[Inputs, Tensor] | tuple[Inputs, Tensor | None, Tensor]
"""Inputs; with labels ``(batch, ...)`` if there are any; with what each row counts for,
``(batch,)``, if rows have weights."""

_ALIGNMENT = 64  # bytes; what torch allocates begins at a multiple of it


class Prepare(Protocol):
    """Makes what a model is given of rows as they are on disk."""

    def __call__(
        self, name: str, inputs: Array, picks: Picks, epoch: int, *, augments: bool
    ) -> Tensor:
        """Prepare rows.

        Args:
            name: Which array of inputs, if there are several; else ``""``.
            inputs: As they are on disk, ``(rows, ...)``.
            picks: Which rows they are.
            epoch: Their epoch.
            augments: Whether they are to be augmented.
        """
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """Blocks to be made, one or several.

    Args:
        picks: Their rows.
        epoch: Their epoch, from zero.
        sizes: Rows of each block; ``()`` if all are one block.
    """

    picks: Picks
    epoch: int
    sizes: Sequence[int] = ()

    @property
    def all_sizes(self) -> Sequence[int]:
        """Rows of each block."""
        return self.sizes or (len(self.picks),)


class Block(NamedTuple):
    """Rows of one batch or several.

    Args:
        inputs: What a model is given.
        labels: Its labels, ``(rows, ...)``, if there are any.
        weights: What each row counts for, ``(rows,)``, if they have weights.
    """

    inputs: Inputs
    labels: Tensor | None
    weights: Tensor | None

    def split(self, sizes: Sequence[int]) -> "Iterator[Block]":
        """Cut the block into batches, which are views of it as far as they can be; see ``aligned``.

        Args:
            sizes: Rows of each.
        """
        parts = (self.labels, self.weights)
        labels, weights = (
            repeat(None) if part is None else _split_tensor(part, sizes) for part in parts
        )
        return map(Block, _split(self.inputs, sizes), labels, weights)

    def batches(self, sizes: Sequence[int]) -> "Iterator[Batch]":
        """Cut the block into batches as they are handed out.

        Args:
            sizes: Rows of each.
        """
        if len(sizes) == 1:
            return iter((self.aligned().as_batch(),))
        inputs, labels, weights = self
        parts: list[Any] = [_split(inputs, sizes)]
        if labels is not None or weights is not None:
            parts.append(repeat(None) if labels is None else _split_tensor(labels, sizes))
        if weights is not None:
            parts.append(_split_tensor(weights, sizes))
        return iter(parts[0]) if len(parts) == 1 else zip(*parts, strict=False)

    def aligned(self) -> "Block":
        """Have all arrays begin at a multiple of 64 bytes; those that do not are copied.

        The last bit of a matrix product depends on it, so that the very same batch would have
        another loss as part of another block. Whole numbers stay where they are.
        """
        inputs, labels, weights = self
        return Block(
            _aligned(inputs)
            if isinstance(inputs, Tensor)
            else {name: _aligned(array) for name, array in inputs.items()},
            None if labels is None else _aligned(labels),
            None if weights is None else _aligned(weights),
        )

    def as_batch(self) -> "Batch":
        """Give one batch as it is handed out."""
        inputs, labels, weights = self
        if weights is not None:
            return inputs, labels, weights
        return inputs if labels is None else (inputs, labels)

    def pin(self) -> "Block":
        """Copy it to memory from which it goes to a GPU faster."""
        inputs, labels, weights = self
        if isinstance(inputs, Tensor):
            pinned: Inputs = inputs.pin_memory()
        else:
            pinned = {name: array.pin_memory() for name, array in inputs.items()}
        return Block(
            pinned,
            None if labels is None else labels.pin_memory(),
            None if weights is None else weights.pin_memory(),
        )


def _split(inputs: Inputs, sizes: Sequence[int]) -> Iterator[Inputs]:
    if isinstance(inputs, Tensor):
        return _split_tensor(inputs, sizes)
    parts = [_split_tensor(array, sizes) for array in inputs.values()]
    return (dict(zip(inputs, part, strict=True)) for part in zip(*parts, strict=True))


def _split_tensor(tensor: Tensor, sizes: Sequence[int]) -> Iterator[Tensor]:
    parts = torch.split_with_sizes(tensor, sizes)
    if _is_exact(tensor):
        return iter(parts)
    row_bytes, even = tensor.stride(0) * tensor.itemsize, set(sizes[:-1])
    strays = any(size * row_bytes % _ALIGNMENT for size in even)
    if strays and len(even) == 1 and tensor.is_contiguous():
        return _spread(tensor, sizes[0], len(sizes) - 1)
    return map(_aligned, parts) if strays or tensor.data_ptr() % _ALIGNMENT else iter(parts)


def _spread(tensor: Tensor, size: int, count: int) -> Iterator[Tensor]:
    """Cut off parts of one size, and what is left, all copied at once to where they may begin."""
    rows, rest = tensor.split_with_sizes([count * size, len(tensor) - count * size])
    row_bytes = tensor.stride(0) * tensor.itemsize
    period = _ALIGNMENT // math.gcd(row_bytes, _ALIGNMENT)  # rows
    distance = -(-size // period) * period
    copies = tensor.new_empty((count, distance, *tensor.shape[1:]))[:, :size]
    copies.copy_(rows.view(count, size, *rows.shape[1:]))
    return chain(copies.unbind(), (_aligned(rest),))


def _aligned(tensor: Tensor) -> Tensor:
    strays = tensor.data_ptr() % _ALIGNMENT and not _is_exact(tensor)
    return tensor.clone() if strays else tensor


def _is_exact(tensor: Tensor) -> bool:
    """Say whether nothing is rounded in what is computed with numbers of this type."""
    return not (tensor.dtype.is_floating_point or tensor.dtype.is_complex)


class Assembler:
    """Makes blocks.

    Args:
        store: Reads the rows.
        prepare: Makes what a model is given of them; ``None`` to hand them on as they are.
        weights: What rows count for; ``None`` if all count the same.
        augments: Whether inputs are augmented.
    """

    def __init__(
        self,
        store: ShardStore,
        prepare: Prepare | None = None,
        weights: RowWeights | None = None,
        *,
        augments: bool = False,
    ) -> None:
        self.store, self._prepare, self._weights = store, prepare, weights
        self._augments = augments

    @property
    def prepares(self) -> bool:
        """Whether anything is done to rows as they are on disk."""
        return self._prepare is not None

    def __call__(self, job: Job) -> Block:
        """Make a block of all rows of a job; see ``blocks``."""
        return next(self.blocks(Job(job.picks, job.epoch)))

    def blocks(self, job: Job) -> Iterator[Block]:
        """Make blocks, each when it is asked for; what they have in common is done once.

        Raises:
            ShardError: If a shard is missing or broken.
        """
        epoch, augments, has_fields = job.epoch, self._augments, self.store.has_fields
        inputs = self.store.input_parts(job.picks, job.all_sizes)
        labelled = self._labelled(job)
        whole = repeat(job.picks, len(job.all_sizes))  # if nobody asks which rows they are
        for picks in job.picks.split(job.all_sizes) if self.prepares else whole:
            read = {
                name: self._prepared(name, next(arrays), picks, epoch, augments=augments)
                for name, arrays in inputs.items()
            }
            labels, weights = next(labelled)
            yield Block(read if has_fields else read[""], labels, weights)

    def all_blocks(self, jobs: Iterable[Job]) -> Iterator[Block]:
        """Make the blocks of one job after another; see ``blocks``."""
        return chain.from_iterable(map(self.blocks, jobs))

    def _labelled(self, job: Job) -> Iterator[tuple[Tensor | None, Tensor | None]]:
        """Give the labels and the weights of each block."""
        store, weights = self.store, self._weights
        if store.labels_are_inputs:
            ((name, arrays),) = store.input_parts(job.picks, job.all_sizes).items()
            for picks, array in zip(job.picks.split(job.all_sizes), arrays, strict=True):
                labels = self._prepared(name, array, picks, job.epoch, augments=False)
                yield labels, None if weights is None else _ones(len(array))
        elif store.has_labels:
            for array in store.label_parts(job.picks, job.all_sizes):
                yield torch.from_numpy(array), None if weights is None else weights.of(array)
        else:
            for size in job.all_sizes:
                yield None, None if weights is None else _ones(size)

    def _prepared(
        self, name: str, inputs: Array, picks: Picks, epoch: int, *, augments: bool
    ) -> Tensor:
        if self._prepare is None:
            return torch.from_numpy(inputs)
        return self._prepare(name, inputs, picks, epoch, augments=augments)


def _ones(num_rows: int) -> Tensor:
    return torch.ones(num_rows, dtype=torch.float32, device="cpu")
