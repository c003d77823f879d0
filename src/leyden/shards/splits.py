"""Which sets are held out: a pure function of the set numbers and a seed."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from leyden.errors import ConfigError

__all__ = ["hold_out"]


def hold_out(
    set_numbers: Sequence[int], fractions: Mapping[str, float], *, seed: int = 0
) -> dict[str, tuple[int, ...]]:
    """Draw disjoint parts of the sets at random.

    Args:
        set_numbers: The sets to choose from.
        fractions: How much of them each part gets, by its name; at least one set each.
        seed: Decides the draw.

    Returns:
        The set numbers of each part, ascending, and the rest under ``"rest"``.

    Raises:
        ConfigError: If a fraction is not in (0, 1), a part is called ``"rest"``, or nothing is left
            for the rest.

    Example:
        >>> hold_out(range(1, 6), {"val": 0.2}, seed=0)
        {'val': (3,), 'rest': (1, 2, 4, 5)}
    """
    if "rest" in fractions:
        raise ConfigError("Expected a name for a part, but got 'rest', which is what is left over.")
    for name, fraction in fractions.items():
        if not 0 < fraction < 1:
            problem = f"Expected `{name}` to be a fraction between 0 and 1, but got {fraction!r}."
            raise ConfigError(problem)
    numbers = sorted(set(set_numbers))
    counts = {name: max(1, round(len(numbers) * part)) for name, part in fractions.items()}
    left = len(numbers) - sum(counts.values())
    if left < 1:
        wanted = " and ".join(f"{count} for `{name}`" for name, count in counts.items()) or "none"
        problem = f"Expected a set to be left for training, but of {len(numbers)} sets {wanted}"
        raise ConfigError(f"{problem} are held out. Make more, smaller sets, or hold out less.")
    drawn = np.random.default_rng(seed).permutation(np.array(numbers, np.int64))
    ends = np.cumsum([*counts.values(), left])
    parts = np.split(drawn, ends[:-1])
    return {name: _ascending(part) for name, part in zip([*counts, "rest"], parts, strict=True)}


def _ascending(numbers: Collection[np.int64]) -> tuple[int, ...]:
    return tuple(sorted(int(number) for number in numbers))
