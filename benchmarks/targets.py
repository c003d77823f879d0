"""What leyden is to reach, and whether it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A figure to reach.

    Args:
        must: The least that will do.
        stretch: What is wanted.
        is_limit: Whether these are the most that will do, rather than the least.
    """

    must: float
    stretch: float
    is_limit: bool = False

    def judge(self, value: float) -> dict[str, Any]:
        """Say what a measured figure reaches: ``stretch``, ``must`` or ``missed``."""
        sign = -1 if self.is_limit else 1
        reached = [
            name
            for name, bound in (("stretch", self.stretch), ("must", self.must))
            if sign * value >= sign * bound
        ]
        bound = "at most" if self.is_limit else "at least"
        return {
            "measured": value,
            "bound": bound,
            "must": self.must,
            "stretch": self.stretch,
            "target": reached[0] if reached else "missed",
        }


_LIMITS = {
    "memory": "selecting the rows from a tensor in memory",
    "mapped": "shuffling, finding and gathering them from mapped files, and nothing else,",
}


def add_bound(
    judged: dict[str, Any],
    peer: str,
    ratios: Mapping[str, float],
    seconds: float,
    batch_bytes: int,
) -> None:
    """Say what bounds a ratio that was missed, from what was measured beside it.

    Args:
        judged: What ``Target.judge`` returned; changed.
        peer: Whom leyden was compared with.
        ratios: How many times as fast as each of the others leyden was.
        seconds: What a batch of leyden's took.
        batch_bytes: What a batch holds.
    """
    if judged["target"] != "missed" or any(name not in ratios for name in (*_LIMITS, "plan")):
        return
    reached = {name: judged["measured"] / ratios[name] for name in _LIMITS if name != peer}
    bounds = " and ".join(
        f"{_LIMITS[name]} is {ratio:.2f} times as fast as {peer}" for name, ratio in reached.items()
    )
    micros = 1e6 * seconds
    own = micros * (1 - ratios["mapped"])
    more = f"{own:.1f} more than the latter" if own > 0 else "no more than the latter"
    judged["bounded_by"] = (
        f"{bounds}, where {judged['must']} are asked for; leyden takes {micros:.1f} microseconds"
        f" a batch ({batch_bytes / seconds / 1e9:.1f} GB/s), {more}, and also tells sets apart,"
        f" checks files and keeps its place: its plan alone takes {micros * ratios['plan']:.1f}"
    )


RATIOS = {
    ("images", "litdata"): Target(4, 6),
    ("images", "maps"): Target(2.5, 4),
    ("images", "memory"): Target(0.9, 1.1),
    ("images", "copy"): Target(0.7, 0.9),
    ("images", "copy 1.5 MB"): Target(0.7, 0.9),
    ("series", "litdata"): Target(9, 16),
    ("series", "maps"): Target(7, 15),
    ("series", "memory"): Target(0.9, 1.1),
    ("series", "copy"): Target(0.55, 0.8),
    ("series", "copy 1.5 MB"): Target(0.55, 0.8),
    ("tiny", "litdata"): Target(40, 90),
    ("tiny", "maps"): Target(40, 90),
    ("tiny", "memory"): Target(0.9, 2.5),
}
"""How many times as fast as another leyden is, shuffling by ``window:8``, without workers."""

STEP = Target(1.10, 1.03, is_limit=True)  # time of a step beside that on a constant batch
COLD = Target(1.0, 1.35)  # times as fast as reading the same files one after another
COLD_LITDATA = Target(2.0, 2.7)
STATE_BYTES = Target(200, 128, is_limit=True)
RESTORE = Target(20, 5, is_limit=True)  # milliseconds more than a fresh start
TRACKING = Target(1.05, 1.01, is_limit=True)  # time of an epoch beside one without
CATALOGUE = Target(0.5, 0.1, is_limit=True)  # seconds for 5,000 shards
