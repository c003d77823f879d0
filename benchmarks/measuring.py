"""Taking turns: every contestant in every round, medians over the rounds."""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

WARM_SECONDS = 0.7  # an epoch that takes longer is measured by a part
PART_SECONDS = 0.25  # what that part takes
WHOLE_SECONDS = 0.15  # shorter epochs are repeated until they take that long
LEAST_BATCHES = 16  # of a part
SETTLE_SECONDS = 0.2  # after a part: workers finish the batches that nobody asks for any more


@dataclass(frozen=True)
class Contestant:
    """A way to get batches.

    Args:
        name: What it is called in the results.
        epoch: Begins an epoch.
        num_rows: Rows of an epoch.
        num_workers: Processes that work for it.
    """

    name: str
    epoch: Callable[[], Iterable[Any]]
    num_rows: int
    num_workers: int = 0


@dataclass(frozen=True)
class Stretch:
    """How much of its data a contestant goes through in a round.

    Args:
        num_rows: Rows in all.
        num_epochs: Whole epochs; 0 for a part of one.
        num_batches: Batches of that part, of which the first goes before it.
    """

    num_rows: int
    num_epochs: int = 0
    num_batches: int = 0


def choose_stretch(contestant: Contestant) -> Stretch:
    """Warm a contestant up, count what it hands out, and choose how much it is measured by.

    Raises:
        RuntimeError: If an epoch has not the rows it should have.
    """
    num_rows, num_batches, batch_size = 0, 0, 0
    began = first = time.perf_counter()
    for _, labels in contestant.epoch():
        if num_batches == 0:
            first, batch_size = time.perf_counter(), len(labels)
        num_batches, num_rows = num_batches + 1, num_rows + len(labels)
        if time.perf_counter() - first > WARM_SECONDS:
            break
    seconds = time.perf_counter() - first
    if num_rows == contestant.num_rows:
        whole = time.perf_counter() - (first if contestant.num_workers else began)
        num_epochs = max(1, round(WHOLE_SECONDS / whole))
        return Stretch(num_epochs * num_rows, num_epochs=num_epochs)
    if seconds < WARM_SECONDS:
        problem = f"Expected an epoch of {contestant.name} to have {contestant.num_rows} rows"
        raise RuntimeError(f"{problem}, but got {num_rows}.")
    time.sleep(SETTLE_SECONDS)
    speed = (num_batches - 1) / seconds
    part = max(LEAST_BATCHES, round(speed * PART_SECONDS))
    part = min(part, contestant.num_rows // batch_size - 1)
    return Stretch(part * batch_size, num_batches=part)


def rows_per_second(contestant: Contestant, stretch: Stretch) -> float:
    if stretch.num_epochs:
        began = time.perf_counter()
        for _ in range(stretch.num_epochs):
            exhaust(contestant.epoch())
        return stretch.num_rows / (time.perf_counter() - began)
    batches = iter(contestant.epoch())
    next(batches)
    began = time.perf_counter()
    exhaust(islice(batches, stretch.num_batches))
    seconds = time.perf_counter() - began
    if contestant.num_workers:
        time.sleep(SETTLE_SECONDS)
    return stretch.num_rows / seconds


def exhaust(batches: Iterable[Any]) -> None:
    for _ in batches:
        pass


def stop_workers() -> None:
    """Stop the workers that persist in loaders nobody needs any more.

    The collector would stop them too, but it waits five seconds for each.
    """
    for found in gc.get_objects():
        if issubclass(type(found), _MultiProcessingDataLoaderIter):
            found._shutdown_workers()  # noqa: SLF001 - torch has no other way to stop them
    gc.collect()


def take_turns(
    measures: Mapping[str, Callable[[], float]], rounds: int, *, warms: bool = False
) -> dict[str, list[float]]:
    """Measure each in every round, every other round backwards.

    Args:
        measures: By name, what measures it.
        rounds: How often each has its turn.
        warms: Whether each is measured once before, in vain.

    Returns:
        By name, the figure of each round.
    """
    figures: dict[str, list[float]] = {name: [] for name in measures}
    if warms:
        for measure in measures.values():
            measure()
    for round_index in range(rounds):
        turns = list(measures.items())
        for name, measure in turns if round_index % 2 == 0 else reversed(turns):
            figures[name].append(measure())
    return figures


def medians(figures: Mapping[str, Sequence[float]], digits: int) -> dict[str, float]:
    return {name: rounded(median(values), digits) for name, values in figures.items()}


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Take the median of ratios, pair by pair."""
    return rounded(median(a / b for a, b in zip(over, under, strict=True)), 4)


def rounded(value: float, digits: int) -> float:
    return round(value) if digits == 0 else round(value, digits)
