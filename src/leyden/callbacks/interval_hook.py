"""Call other hooks at some of the steps only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from typing_extensions import override

from leyden.errors import ConfigError
from leyden.lifecycle import Hook, HookSet, RunView

__all__ = ["IntervalHook"]


def _double(interval: int) -> int:
    return 2 * interval


class IntervalHook(Hook):
    """Hand every so-manieth step on to other hooks, at intervals that may grow.

    A step is handed on if ``start < step <= stop`` and ``step`` is a multiple of the interval,
    where ``step`` is the number of steps before it: ``before_step`` and ``after_step`` are thus
    called for the same steps. With ``modify_each=1`` and ``max_interval=1000`` these are the steps
    0, 2, 4, 8, and so on up to 512, then 1000, 2000, 3000. Epochs are always handed on, exceptions
    never.

    Args:
        hooks: Objects with methods of ``Hook``.
        interval: The interval to begin with.
        start: The step after which it begins; ``None`` for the very first.
        stop: The last step; ``None`` for no end.
        modify_each: After how many steps that are handed on the interval grows; as many as the
            first interval if ``None``.
        modifier: Makes a new interval from the old one.
        max_interval: What the interval does not grow beyond; ``None`` for no such limit.
        get_step: Tells the step, if others are to be counted than the run's.

    Raises:
        ConfigError: If a number is not positive, or a hook is none of steps.
    """

    def __init__(
        self,
        hooks: Sequence[Any],
        interval: int,
        start: int | None = None,
        stop: int | None = None,
        modify_each: int | None = None,
        modifier: Callable[[int], int] = _double,
        max_interval: int | None = None,
        get_step: Callable[[], int] | None = None,
    ) -> None:
        for name, value in {"interval": interval, "modify_each": modify_each}.items():
            if value is not None and value < 1:
                raise ConfigError(f"Expected `{name}` to be at least 1, but got {value!r}.")
        self._hooks = HookSet(hooks)
        if self._hooks.has_stages:
            problem = "Expected `hooks` to be hooks of steps and epochs, but got one of stages."
            raise ConfigError(f"{problem} Give a stage a frequency: {{Every(batches=20): ...}}.")
        self._first = -1 if start is None else start
        self._last = float("inf") if stop is None else stop
        self._modify_each = interval if modify_each is None else modify_each
        self._modifier, self._get_step = modifier, get_step
        self._max_interval = float("inf") if max_interval is None else max_interval
        self._interval, self._num_done = interval, 0
        self._is_due = False

    @override
    def attach(self, run: RunView) -> None:
        super().attach(run)
        self._hooks.attach(run)

    @override
    def before_epoch(self, epoch: int) -> None:
        self._hooks.call("before_epoch", epoch)

    @override
    def before_step(
        self, step: int, fetches: dict[str, Any], feeds: dict[str, Any], batch: Any
    ) -> None:
        counted = step if self._get_step is None else self._get_step()
        self._is_due = self._first < counted <= self._last and counted % self._interval == 0
        if self._is_due:
            self._hooks.call("before_step", step, fetches, feeds, batch)

    @override
    def wants(self, step: int) -> Iterable[str]:
        if not self._is_due:
            return []
        return [path for paths in self._hooks.call("wants", step) for path in paths]

    @override
    def after_step(  # type: ignore[override] # the longer of the two documented forms
        self, step: int, fetches: Mapping[str, Any], feeds: dict[str, Any], batch: Any
    ) -> None:
        if not self._is_due:
            return
        self._is_due = False
        self._num_done += 1
        if self._num_done % self._modify_each == 0:
            self._interval = int(min(self._max_interval, self._modifier(self._interval)))
        self._hooks.call("after_step", step, fetches, feeds, batch)

    @override
    def after_epoch(self, epoch: int) -> None:
        self._hooks.call("after_epoch", epoch)

    def state_dict(self) -> dict[str, Any]:
        """Write down the interval, and the states of the hooks."""
        return {
            "interval": self._interval,
            "num_done": self._num_done,
            "hooks": self._hooks.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the interval of another run.

        Args:
            state: What ``state_dict`` returned.
        """
        self._interval, self._num_done = state["interval"], state["num_done"]
        self._hooks.load_state_dict(state["hooks"])
