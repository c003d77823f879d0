"""Default data for recurrent networks: generated heartbeats on two leads, packed into shards."""

from pathlib import Path

import numpy as np
from numpy.random import Generator

from leyden.shards.splits import hold_out
from leyden.shards.write import create_folder, write_shards
from leyden.types import Array

__all__ = ["NUM_STEPS", "RHYTHMS", "make_heartbeats", "pack_series"]

NUM_STEPS = 96
"""Time steps of a series."""

RHYTHMS = ("steady", "fast", "alternating", "weakening")
"""What the classes are, by their numbers."""

_SETS, _ROWS_PER_SET = 32, 50
_TEST_FRACTION = 0.25
_INTERVAL = 16.0  # time steps from one beat to the next
_WAVES = (  # of a beat: time after its peak, width, height on each lead
    (-3.0, 1.0, (0.2, 0.1)),
    (0.0, 0.9, (1.0, -0.7)),
    (4.0, 1.5, (0.3, 0.4)),
)


def pack_series(folder: Path) -> Path:
    """Pack 1,600 generated series into numbered shards, unless the folder exists.

    The series are those of ``make_heartbeats``, always the same, 50 to a set. One quarter of the
    sets, drawn once for all, is the test part.

    Args:
        folder: Where to; it gets ``train/`` and ``test/``, each with ``series__<number>.npy``,
            float32 ``(rows, 96, 2)``, and ``labels.npz``.

    Returns:
        ``folder``.
    """
    return create_folder(folder, _fill)


def make_heartbeats(num_rows: int, generator: Generator) -> tuple[Array, Array]:
    """Generate series in the manner of an electrocardiogram, of four rhythms.

    Beats come at even intervals (``steady``), at two thirds of them (``fast``), at a short and a
    long interval in turn (``alternating``), or at even intervals and lower by and by
    (``weakening``). Phase, rate and height are random, the baseline wanders, and there is noise.

    Args:
        num_rows: How many series.
        generator: Where the random numbers come from.

    Returns:
        Series ``(num_rows, 96, 2)``, float32, and the numbers of their rhythms ``(num_rows,)``.
    """
    rhythms = generator.integers(len(RHYTHMS), size=num_rows)
    series = np.stack([_make_one(RHYTHMS[rhythm], generator) for rhythm in rhythms])
    return series.astype(np.float32), rhythms


def _make_one(rhythm: str, generator: Generator) -> Array:
    """Generate a series, ``(time, leads)``."""
    interval = _INTERVAL * generator.uniform(0.9, 1.1) * (2 / 3 if rhythm == "fast" else 1)
    beats = np.arange(-2, 16)
    peaks = (beats + generator.uniform(-1, 1)) * interval
    if rhythm == "alternating":
        peaks += 0.25 * interval * (beats % 2)
    heights = generator.uniform(0.8, 1.2) * np.ones(len(beats))
    if rhythm == "weakening":
        heights *= np.clip(1.2 - peaks / NUM_STEPS, 0.2, 1.2)
    time = np.arange(NUM_STEPS)[:, None]
    series = np.zeros((NUM_STEPS, 2))
    for after, width, of_leads in _WAVES:
        bumps = np.exp(-(((time - peaks - after) / width) ** 2))
        series += (bumps @ heights)[:, None] * np.array(of_leads)
    wander = 0.2 * np.sin(2 * np.pi * (time / NUM_STEPS + generator.uniform(size=2)))
    return series + wander + 0.1 * generator.standard_normal((NUM_STEPS, 2))


def _fill(folder: Path) -> None:
    generator = np.random.default_rng(0)
    sets = {number: make_heartbeats(_ROWS_PER_SET, generator) for number in range(1, _SETS + 1)}
    parts = hold_out(list(sets), {"test": _TEST_FRACTION}, seed=0)
    for name, numbers in (("train", parts["rest"]), ("test", parts["test"])):
        write_shards(
            folder / name,
            {number: sets[number][0] for number in numbers},
            labels={number: sets[number][1] for number in numbers},
            base="series__",
        )
