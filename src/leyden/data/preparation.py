"""From rows on disk to what a model is given: augmentation, then preprocessing."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from leyden.data.augment import Augmentation
from leyden.data.picks import Picks
from leyden.data.preprocess import Preprocessing
from leyden.errors import ResumeError
from leyden.shards import Catalog
from leyden.types import Array

__all__ = ["Preparation"]

_ROWS_AT_ONCE = 1024  # while fitting


class Preparation:
    """What is done to inputs on their way to the model.

    Augmentors work on rows as they are on disk, and in training only; preprocessors follow, in
    every phase, and are fitted on training rows that are not augmented.

    Args:
        preprocessors: See ``Preprocessing``.
        augmentors: See ``Augmentation``.
        seed: Decides what augmentors do.

    Raises:
        ConfigError: If a preprocessor or an augmentor is not known.
    """

    def __init__(
        self,
        preprocessors: Sequence[Any] | Preprocessing,
        augmentors: Sequence[Any] | Augmentation,
        *,
        seed: int,
    ) -> None:
        self._preprocessing = (
            deepcopy(preprocessors)  # lest another module fits it
            if isinstance(preprocessors, Preprocessing)
            else Preprocessing(preprocessors)
        )
        self._augmentation = (
            augmentors if isinstance(augmentors, Augmentation) else Augmentation(augmentors)
        )
        self._seed = seed
        self._sample_shape: tuple[int, ...] | None = None
        self._first_row: Array | None = None  # which tells it

    def __bool__(self) -> bool:
        """Say whether there are preprocessors, which have a state."""
        return len(self._preprocessing) > 0

    def works(self, *, augments: bool) -> bool:
        """Say whether anything is done to rows.

        Args:
            augments: Whether they are trained on.
        """
        return bool(self) or (augments and len(self._augmentation) > 0)

    @property
    def is_fitted(self) -> bool:
        """Whether the training rows have been seen."""
        return self._sample_shape is not None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one row as the model is given it."""
        assert self._sample_shape is not None  # noqa: S101 - asked for after fitting
        return self._sample_shape

    def fit(self, train: Catalog, labels: Catalog | None = None) -> None:
        """Learn from the training rows, in one pass for each preprocessor that learns.

        What was loaded is not learned again.

        Args:
            train: The training sets.
            labels: The catalogue that knows their labels, if it is another.

        Raises:
            DataError: If the rows do not suit a preprocessor.
            ShardError: If a shard is missing or broken.
        """
        if not self._preprocessing.is_fitted:
            self._preprocessing.fit(lambda: _passed(train, labels or train))
        self._first_row = train.open_data(train.set_numbers[0]).read(np.arange(1))
        self._sample_shape = self._shape_of(self._first_row) if self else train.sample_shape

    def _shape_of(self, row: Array) -> tuple[int, ...]:
        return self._preprocessing.transform(row).shape[1:]

    def apply(self, inputs: Array, picks: Picks, epoch: int, *, augments: bool) -> Tensor:
        """Prepare rows.

        Args:
            inputs: As they are on disk, ``(rows, ...)``.
            picks: Which rows they are.
            epoch: Their epoch.
            augments: Whether they are trained on.

        Returns:
            What the model is given, ``(rows, ...)``.
        """
        tensor = torch.from_numpy(inputs)
        if augments and len(self._augmentation):
            tensor = self._augmentation(
                tensor,
                seed=self._seed,
                epoch=epoch,
                set_numbers=picks.set_numbers,
                rows=picks.rows,
            )
        if self:
            return torch.from_numpy(self._preprocessing.transform(tensor.numpy()))
        return tensor

    def state_dict(self) -> dict[str, Any]:
        """Write down what was learned."""
        return self._preprocessing.state_dict()

    def check_state(self, state_dict: dict[str, Any]) -> None:
        """Refuse a state that cannot be taken over.

        Raises:
            ResumeError: If it is of other preprocessors, or of none.
        """
        if not state_dict:
            problem = "Expected a checkpoint with the state of preprocessors, but it has none."
            raise ResumeError(f"{problem} Pass `preprocessors=()`, or train anew.")
        self._preprocessing.check_state(state_dict)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was learned, instead of fitting.

        Raises:
            ResumeError: If it is of other preprocessors, or of none.
        """
        self.check_state(state_dict)
        self._preprocessing.load_state_dict(state_dict)
        if self._first_row is not None:
            self._sample_shape = self._shape_of(self._first_row)


def _passed(catalog: Catalog, labelled: Catalog) -> Iterator[tuple[Array, Array | None]]:
    """Pass over the rows of a catalogue, and their labels as another one knows them."""
    for number, length in catalog.lengths.items():
        data = catalog.open_data(number)
        labels = labelled.open_labels(number) if labelled.has_labels else None
        for start in range(0, length, _ROWS_AT_ONCE):
            rows = np.arange(start, min(start + _ROWS_AT_ONCE, length))
            yield data.read(rows), labels.read(rows) if labels else None
