"""How often something happens, counted at its own moment."""

from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from leyden.errors import ConfigError, check_whole

__all__ = ["Every"]

_STAGES: Final = {
    "epochs": "train:epoch",
    "batches": "train:batch",
    "iters": "train:iter",
    "validations": "val_end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Every so many epochs, batches, iterations or validations; one of them is given.

    Args:
        epochs: Train epochs.
        batches: Train batches, each with all its time windows.
        iters: Train steps; a batch that is served in windows has one for each.
        validations: Validations, those in the middle of an epoch included.

    Raises:
        ConfigError: If not exactly one is given, or it is not a whole number from one.

    Example:
        >>> every = Every(batches=20)
        >>> every.stage, every.due(20), every.due(30)
        ('train:batch', True, False)
        >>> str(every)
        'every 20 batches'
    """

    epochs: int | None = None
    batches: int | None = None
    iters: int | None = None
    validations: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in _STAGES if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(f"`{name}`" for name in given) or "none"
            names = ", ".join(f"`{name}`" for name in _STAGES)
            raise ConfigError(f"Expected `Every` to be given one of {names}, but got {got}.")
        check_whole(given[0], getattr(self, given[0]), 1)

    @property
    def unit(self) -> str:
        """What is counted: ``"epochs"``, ``"batches"``, ``"iters"`` or ``"validations"``."""
        return next(name for name in _STAGES if getattr(self, name) is not None)

    @property
    def stage(self) -> str:
        """The stage at which it is looked at."""
        return _STAGES[self.unit]

    def due(self, count: int) -> bool:
        """Say whether it is time.

        Args:
            count: How many there were so far, this one included.
        """
        return count > 0 and count % int(getattr(self, self.unit)) == 0

    @override
    def __str__(self) -> str:
        return f"every {getattr(self, self.unit)} {self.unit}"
