"""Where Lightning's loop of epochs stands, as far as it concerns the data."""

from typing import Any

__all__ = ["count_epochs"]


def count_epochs(fit_loop: Any, num_begun: int, *, is_within: bool) -> None:
    """Have a loop that goes on from a checkpoint count the epochs that the data has seen.

    By itself it counts one less from the second time on that it goes on from the last batch of an
    epoch; counts an epoch as over that was ended by ``max_steps`` or ``should_stop``; and, where
    steps are limited, ends the epoch that is over once more. It then begins an epoch that was
    begun already, or leaves one out.

    Args:
        fit_loop: Of a trainer that has loaded its counts.
        num_begun: Epochs of which the data has handed out a batch.
        is_within: Whether the data has batches left of the last of them.
    """
    progress = fit_loop.epoch_progress
    counts = (progress.total, progress.current)
    missing = max(0, num_begun - progress.current.started)
    for count in counts:
        count.started += missing
        count.ready = max(count.ready, count.started)
    surplus = progress.current.processed - num_begun + 1
    if is_within and surplus > 0 and not fit_loop.epoch_loop.batch_progress.is_last_batch:
        for count in counts:
            count.processed -= surplus
            count.completed = count.processed
    loop = fit_loop.epoch_loop
    limit, loop.max_steps = loop.max_steps, -1  # else it takes any epoch for one that is begun
    fit_loop.restarting = True  # unless the epoch is over
    loop.max_steps = limit
