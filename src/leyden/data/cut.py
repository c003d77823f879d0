"""Cut one window of time out of a batch."""

from torch import Tensor

from leyden.data.assembly import Block, Inputs
from leyden.data.weights import RowWeights
from leyden.data.windows import TimeWindows

__all__ = ["WindowCut"]


class WindowCut:
    """Cuts windows out of batches, as views of them.

    Of several arrays of inputs, those are cut that are as long in time as the first. Labels are cut
    where they are the inputs themselves.

    Args:
        windows: Where the windows are.
        weights: What windows count for; ``None`` if rows have no weights.
        cuts_labels: Whether labels have the time axis of the inputs.
    """

    def __init__(
        self, windows: TimeWindows, weights: RowWeights | None = None, *, cuts_labels: bool = False
    ) -> None:
        self._windows, self._weights, self._cuts_labels = windows, weights, cuts_labels

    def count(self, inputs: Inputs, epoch: int) -> int:
        """Count the windows of a batch.

        Args:
            inputs: Rows ``(batch, time, ...)``.
            epoch: Their epoch, from zero.

        Raises:
            DataError: If a row is shorter than a window.
        """
        return self._windows.count(_time_of(inputs), epoch)

    def __call__(self, batch: Block, epoch: int, index: int) -> Block:
        """Cut a window.

        Args:
            batch: Rows ``(batch, time, ...)``.
            epoch: Their epoch, from zero.
            index: Which window, from zero.

        Returns:
            Rows ``(batch, size, ...)``.
        """
        begin, stop = self._windows.span(epoch, index)
        inputs, labels, weights = batch
        if self._weights is not None and weights is not None:
            weights = weights * self._weights.of_window(index, self.count(inputs, epoch))
        if self._cuts_labels and labels is not None:
            labels = labels[:, begin:stop]
        if isinstance(inputs, Tensor):
            return Block(inputs[:, begin:stop], labels, weights)
        time = _time_of(inputs)
        cut = {
            name: array[:, begin:stop] if array.ndim > 1 and array.shape[1] == time else array
            for name, array in inputs.items()
        }
        return Block(cut, labels, weights)


def _time_of(inputs: Inputs) -> int:
    first = inputs if isinstance(inputs, Tensor) else next(iter(inputs.values()))
    return first.shape[1]
