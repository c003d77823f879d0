"""What is logged at a moment at which Lightning cannot take it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lightning import LightningModule
from torch import Tensor, as_tensor

__all__ = ["EarlyLog"]


class EarlyLog:
    """Keeps what a module logs, until the trainer can take it.

    Callbacks can monitor it at once.

    Args:
        module: The module.
    """

    def __init__(self, module: LightningModule) -> None:
        self._module = module
        self._kept: list[tuple[str, Any, Sequence[Any], Mapping[str, Any]]] = []

    def clear(self) -> None:
        """Forget what was kept."""
        self._kept = []

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep what the module's method ``log`` is given meanwhile."""
        methods = vars(self._module)
        methods["log"] = self._keep  # also called by `log_dict`
        try:
            yield
        finally:
            del methods["log"]

    def replay(self) -> None:
        """Log what was kept."""
        kept, self._kept = self._kept, []
        for name, value, arguments, options in kept:
            self._module.log(name, value, *arguments, **options)

    def state(self) -> list[Any]:
        """Write down what is kept, in plain values."""
        return [
            [name, _as_number(value), [*arguments], _plain(options)]
            for name, value, arguments, options in self._kept
        ]

    def load(self, state: Sequence[Any]) -> None:
        """Keep what another run kept.

        Args:
            state: What ``state`` returned.
        """
        self._kept = [tuple(entry) for entry in state]

    def _keep(self, name: str, value: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(value, Tensor):
            value = value.detach().clone()
        if isinstance(value, Tensor | int | float):
            self._module.trainer.callback_metrics[name] = as_tensor(value)
        self._kept.append((name, value, arguments, options))


def _as_number(value: Any) -> float:
    return float(value.compute() if hasattr(value, "compute") else value)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    kinds = (bool, int, float, str, type(None))
    return {name: option for name, option in options.items() if isinstance(option, kinds)}
