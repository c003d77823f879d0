"""The batches of any epoch of any phase, worked out when they are asked for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from leyden.data.material import Material
from leyden.data.order import name_shuffle
from leyden.data.plan import Begin, EpochPlan
from leyden.data.schedule import Schedule
from leyden.errors import ConfigError, suggest
from leyden.types import Phase

__all__ = ["Planner", "phase_of"]

_PHASES: dict[str, Phase] = {phase.value: phase for phase in Phase}


class Planner:
    """Plans epochs, and keeps the orders of sets that were asked for.

    Args:
        material: The rows of every phase.
        batch_size: Rows of a batch; decides the size of shuffled blocks that have none.
        shuffle: Order of the training rows.
        drop_last: Whether a shorter last training batch is left out.

    Raises:
        ConfigError: If there is no such shuffle.
    """

    def __init__(
        self, material: Material, *, batch_size: int, shuffle: str, drop_last: bool
    ) -> None:
        self._material = material
        self._shuffle, self._drop_last = name_shuffle(shuffle, batch_size), drop_last
        self._schedules = {phase: Schedule() for phase in Phase}

    def plan(
        self,
        phase: Phase,
        epoch: int,
        *,
        batch_size: int,
        seed: int,
        ranks: tuple[int, int],
        shuffle: str | None = None,
        begin: Begin | None = None,
    ) -> EpochPlan:
        """Work out the batches of an epoch.

        Args:
            phase: Which; only training rows are shuffled.
            epoch: Which epoch, from zero.
            batch_size: Rows of a batch.
            seed: Decides the order of training rows.
            ranks: Which process this is, and how many there are.
            shuffle: Another order of the training rows.
            begin: Where the epoch goes on, if it was begun otherwise.

        Raises:
            DataError: If the phase has no data.
        """
        trains = phase is Phase.TRAIN
        return EpochPlan(
            self._material.catalog(phase).lengths,
            batch_size=batch_size,
            shuffle=(shuffle or self._shuffle) if trains else "none",
            seed=seed,
            epoch=epoch,
            drop_last=self._drop_last and trains,
            sets=self._schedules[phase].sets_of(epoch),
            ranks=ranks,
            begin=begin,
            windows=self._material.num_windows(phase, epoch),
        )

    def check_sets(self, phase: Phase, set_numbers: Iterable[int] | None) -> list[int] | None:
        """Refuse sets that cannot be visited.

        Args:
            phase: Whose sets.
            set_numbers: The sets to visit; ``None`` for each once.

        Returns:
            The sets to visit.

        Raises:
            ConfigError: If there is no set to visit, or they are not given as several.
            DataError: If the phase has no data, or no such set.
        """
        catalog = self._material.catalog(phase)
        if set_numbers is None:
            return None
        try:
            numbers = list(set_numbers)
        except TypeError:
            problem = f"Expected `set_numbers` to be set numbers or None, but got {set_numbers!r}."
            raise ConfigError(f"{problem} Pass [{set_numbers!r}].") from None
        if not numbers:
            problem = "Expected `set_numbers` to name a set at least, but got none."
            raise ConfigError(f"{problem} Pass None to visit each set once.")
        catalog.select(numbers)  # refuses what does not exist
        return numbers

    def schedule(self, phase: Phase, first_epoch: int, set_numbers: Sequence[int] | None) -> None:
        """Replace the order of the sets of a phase from an epoch on.

        Args:
            phase: Whose sets.
            first_epoch: The first epoch with the new order.
            set_numbers: The sets to visit, in order; ``None`` for each once, as shuffled.
        """
        self._schedules[phase].add(first_epoch, set_numbers)

    def state_dict(self) -> dict[str, Any]:
        """Write down the orders that were asked for; empty if there are none."""
        if not any(schedule.entries for schedule in self._schedules.values()):
            return {}
        named = self._schedules.items()
        return {"schedules": {str(phase): schedule.entries for phase, schedule in named}}

    def load_state_dict(self, state: Mapping[str, Any], *, is_new: bool) -> None:
        """Take over the orders of sets.

        Args:
            state: What ``state_dict`` returned, among other things: ``next_epoch`` is the first
                epoch of training that was not begun.
            is_new: Whether no training batch was handed out yet. An order that was asked for
                already holds from the next epoch on then, unless it is one of those in the state.
        """
        saved = {
            phase_of(name): Schedule(entries)
            for name, entries in state.get("schedules", {}).items()
        }
        asked = self._schedules[Phase.TRAIN].entries
        self._schedules |= saved
        if "next_epoch" in state:
            train = self._schedules[Phase.TRAIN] = saved.get(Phase.TRAIN, Schedule())
            if is_new and asked and asked[-1][1] not in [sets for _, sets in train.entries]:
                train.add(state["next_epoch"], asked[-1][1])


def phase_of(name: Phase | str) -> Phase:
    """Look up a phase.

    Args:
        name: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``.

    Raises:
        ConfigError: If there is no such phase.
    """
    try:
        return _PHASES[name]
    except (KeyError, TypeError):
        problem = f"Expected `phase` to be the name of a phase, but got {name!r}."
        hint = suggest(str(name), [phase.value for phase in Phase])
        raise ConfigError(f"{problem} {hint}") from None
