"""The sets of data that a model is best on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leyden.calibration.goals import Goal, MetricLike, choose_goal
from leyden.calibration.samples import Numbers, as_binary, as_tensor
from leyden.calibration.thresholds import (
    best_index,
    candidates,
    check_scores,
    check_search,
    search,
)
from leyden.errors import ConfigError, DataError
from leyden.types import Array

__all__ = ["Subset", "best_subset", "best_subset_from_history"]


@dataclass(frozen=True, slots=True)
class Subset:
    """Some sets, and how good a model is on them.

    Args:
        sets: Their numbers in the order in which they were picked.
        metric: What the metric is on them all.
        threshold: At which decision threshold; ``None`` if there is none.
    """

    sets: tuple[int, ...]
    metric: float
    threshold: float | None = None


def best_subset_from_history(
    values: Numbers,
    size: int = 5,
    *,
    higher_is_better: bool = True,
    set_numbers: Sequence[int] | None = None,
) -> Subset:
    """Choose the sets on which a metric was best. No other choice has a better mean.

    Args:
        values: Of each set, ``(sets,)``, or of each of its windows, ``(sets, windows)``, over which
            the mean is taken. Sets without a number (NaN) come last.
        size: How many sets are chosen.
        higher_is_better: Which way is better; ``False`` for a loss.
        set_numbers: Of the sets, ``(sets,)``; ``None`` to call them by their indices.

    Returns:
        The sets, best first, of equals the first one first; and the mean of their values.

    Raises:
        ConfigError: If there are not so many sets, or not as many set numbers.

    Example:
        >>> best_subset_from_history([0.1, 0.9, 0.5, 0.7], 2)
        Subset(sets=(1, 3), metric=0.8, threshold=None)
    """
    array = as_tensor(values).double().numpy()
    means = array.reshape(len(array), -1).mean(1) if array.size else array
    numbers = _number_sets(len(means), size, set_numbers)
    order = np.argsort(-means if higher_is_better else means, kind="stable")[:size]
    return Subset(tuple(numbers[index] for index in order), float(means[order].mean()))


def best_subset(
    scores: Sequence[Numbers],
    targets: Sequence[Numbers],
    metric: MetricLike,
    size: int = 5,
    *,
    set_numbers: Sequence[int] | None = None,
    steps: int = 100,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    higher_is_better: bool | None = None,
) -> Subset:
    """Choose sets on which a metric of predictions is good, one after another.

    In turn, the threshold is found at which the metric is best over all sets that are left (the
    lowest of equals), and the set on which it is best at that threshold (the first of equals) is
    moved from them to the chosen ones. In the end a threshold for the chosen ones is found. That is
    quick, and not always the best choice there is.

    Args:
        scores: Of each set, ``(samples,)``; or as the metric takes them, if it takes scores.
        targets: Of each set, ``(samples,)``, 0 or 1; or as the metric takes them.
        metric: See ``find_threshold``; or a metric that takes scores, as ``"auroc"`` and ``"mae"``
            do, for which no threshold is looked for.
        size: How many sets are chosen.
        set_numbers: Of the sets, ``(sets,)``; ``None`` to call them by their indices.
        steps: See ``find_threshold``.
        bounds: Lowest and highest threshold tried; ``None`` to give the metric the scores as they
            are.
        higher_is_better: See ``find_threshold``.

    Returns:
        The sets in the order in which they were picked, the threshold, and the metric over all
        samples of these sets.

    Raises:
        ConfigError: See ``find_threshold``; and if there are not so many sets, or not as many set
            numbers or targets.
        DataError: See ``find_threshold``.

    Example:
        >>> scores = [[0.9, 0.1, 0.8, 0.2], [0.2, 0.8, 0.1, 0.7], [0.4, 0.6, 0.3, 0.9]]
        >>> targets = [[0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]
        >>> subset = best_subset(scores, targets, "f1", 2)
        >>> subset.sets, subset.threshold, round(subset.metric, 4)
        ((0, 1), 0.09, 0.6667)
    """
    goal = choose_goal(metric, higher_is_better)
    if len(scores) != len(targets):
        problem = "Expected `scores` and `targets` of as many sets"
        raise ConfigError(f"{problem}, but got {len(scores)} and {len(targets)}.")
    numbers = _number_sets(len(scores), size, set_numbers)
    if bounds is None or not goal.decides:
        pool = [_as_they_are(*pair) for pair in zip(scores, targets, strict=True)]
        picked = _pick_by_scores(pool, goal, size)
        return Subset(tuple(numbers[i] for i in picked), goal.of_scores(*_join(pool, picked)))
    check_search(goal, steps, bounds)
    pool = [as_binary(*pair) for pair in zip(scores, targets, strict=True)]
    check_scores(torch.cat([flat for flat, _ in pool]), bounds)
    picked = _pick_by_decisions(pool, goal, size, candidates(steps, bounds, inner=False))
    found = search(*_join(pool, picked), goal, steps=steps, bounds=bounds, prefer=0.5)
    return Subset(tuple(numbers[index] for index in picked), found.metric, found.value)


_Pool = Sequence[tuple[Tensor, Tensor]]


def _pick_by_scores(pool: _Pool, goal: Goal, size: int) -> list[int]:
    values = np.array([goal.of_scores(*samples) for samples in pool])
    return _order(values, goal)[:size]  # without a threshold, what is left changes nothing


def _order(values: Array, goal: Goal) -> list[int]:
    order = np.argsort(-values if goal.higher_is_better else values, kind="stable")
    return [int(index) for index in order]


def _pick_by_decisions(pool: _Pool, goal: Goal, size: int, thresholds: Array) -> list[int]:
    left, picked = list(range(len(pool))), []
    all_thresholds = torch.from_numpy(thresholds)
    for _ in range(size):
        values = goal.at_thresholds(*_join(pool, left), all_thresholds).numpy()
        best = best_index(values, higher_is_better=goal.higher_is_better) or 0
        at = all_thresholds[best : best + 1]
        of_sets = np.array([float(goal.at_thresholds(*pool[index], at)) for index in left])
        picked.append(left.pop(_order(of_sets, goal)[0]))
    return picked


def _join(pool: _Pool, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    chosen = [pool[index] for index in indices]
    return torch.cat([scores for scores, _ in chosen]), torch.cat([true for _, true in chosen])


def _as_they_are(scores: Numbers, targets: Numbers) -> tuple[Tensor, Tensor]:
    pair = as_tensor(scores), as_tensor(targets)
    if len(pair[0]) != len(pair[1]) or not len(pair[0]):
        problem = "Expected as many `scores` as `targets` in every set, and one at least"
        raise DataError(f"{problem}, but got {len(pair[0])} and {len(pair[1])}.")
    return pair


def _number_sets(count: int, size: int, set_numbers: Sequence[int] | None) -> Sequence[int]:
    if not 1 <= size <= count:
        problem = f"Expected `size` to be a whole number from 1 to the number of sets, {count}"
        raise ConfigError(f"{problem}, but got {size!r}.")
    if set_numbers is None:
        return range(count)
    if len(set_numbers) != count:
        problem = f"Expected `set_numbers` to be {count}, one for each set"
        raise ConfigError(f"{problem}, but got {len(set_numbers)}.")
    return [int(number) for number in set_numbers]
