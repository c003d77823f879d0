"""Labels of 0 and 1 for every class, where a model wants them so."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ConfigError

__all__ = ["OneHotDataModule"]


class OneHotDataModule(AutoDataModule):
    """An ``AutoDataModule`` whose batches have labels ``(batch, classes)``, with a single 1 each.

    They are made of the numbers of classes as a batch comes to the device of the model.
    """

    def check(self) -> None:
        """Refuse labels that are no numbers of classes.

        Raises:
            ConfigError: If they are not.
        """
        if super().label_shape != () or self.num_classes is None:
            problem = "Expected numbers of classes as labels for `one_hot=True`"
            raise ConfigError(f"{problem}, but got {super().label_shape}. Pass one_hot=False.")

    @property
    @override
    def label_shape(self) -> tuple[int, ...] | None:
        self.check()
        return (self.num_classes or 0,)

    @override
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self._encode(batch)

    @override
    def fetch(self, phase: Any, epoch: int, batch_index: int) -> Any:
        return self._encode(super().fetch(phase, epoch, batch_index))

    def _encode(self, batch: Any) -> Any:
        inputs, labels, *weights = batch
        assert isinstance(labels, Tensor)  # noqa: S101 - checked where the data was loaded
        encoded = one_hot(labels.long(), self.num_classes or 0).to(torch.float32)
        return (inputs, encoded, *weights)
