"""What a data module says of itself when it is printed."""

from collections.abc import Callable

from leyden.data.material import Material
from leyden.data.plan import EpochPlan
from leyden.errors import LeydenError
from leyden.types import Phase

__all__ = ["summarize"]


def summarize(material: Material, plan: Callable[[Phase, int], EpochPlan]) -> str:
    """Tell in a line for each phase what there is, without reading or looking for anything.

    Args:
        material: The rows of every phase.
        plan: Gives the plan of an epoch.

    Returns:
        The path, and the sets, rows and batches of the first epoch of each phase, as far as they
        are known.
    """
    if not material.is_known:
        return f"{material.path}: not set up yet"
    lines = [str(material.path)]
    for phase, catalog in material.catalogs.items():
        parts = [_count(len(catalog.set_numbers), "set"), _count(catalog.num_samples, "row")]
        if material.knows_windows:
            parts.append(_count(_num_batches(plan, phase), "batch", "batches"))
        lines.append(f"{phase}: {', '.join(parts)}")
    return "\n".join(lines)


def _num_batches(plan: Callable[[Phase, int], EpochPlan], phase: Phase) -> int:
    try:
        return len(plan(phase, 0))
    except LeydenError:  # as for fewer rows than a batch has; whoever asks for a batch is told
        return 0


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"
