"""Tell of weights that are dead, broken or large."""

import warnings
from typing import Any, Final

from lightning.pytorch import LightningModule, Trainer
from typing_extensions import override

from leyden.callbacks.monitor import BetweenSteps
from leyden.introspect import Ailment, HealthReport, Layers, check_health, find_parameters
from leyden.introspect.health import check_thresholds
from leyden.lifecycle import Every

__all__ = ["HealthMonitor"]

_EVERY: Final = Every(validations=1)


class HealthMonitor(BetweenSteps):
    """Look for dead, NaN, infinite and large weights, and warn once of each tensor and kind.

    The fractions of all weights are logged as ``health/dead``, ``health/NaN``, ``health/Inf`` and
    ``health/large``.

    Args:
        every: When to look.
        layers: Which layers or parameters.
        dead_threshold: Magnitude below which a value is dead.
        dead_fraction: Part of a tensor's values that may be dead, in [0, 1].
        large_threshold: Magnitude above which a finite value is large.
        large_fraction: Part of a tensor's values that may be large, in [0, 1].

    Attributes:
        report: What the last look found; print it to read it. ``None`` before the first look.
        figures: The fractions of the last look, by the names they are logged with.
        step: The step they were logged with; ``None`` before the first look.

    Raises:
        ConfigError: If a threshold or a fraction is out of range; when training begins, if there is
            no such layer.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[HealthMonitor()])
    """

    def __init__(
        self,
        every: Every = _EVERY,
        *,
        layers: Layers = "*",
        dead_threshold: float = 1e-7,
        dead_fraction: float = 1e-3,
        large_threshold: float = 3.0,
        large_fraction: float = 1e-3,
    ) -> None:
        super().__init__(every, layers=layers)
        check_thresholds(dead_threshold, dead_fraction, large_threshold, large_fraction)
        self.report: HealthReport | None = None
        self._layers = layers
        self._thresholds = {
            "dead_threshold": dead_threshold,
            "dead_fraction": dead_fraction,
            "large_threshold": large_threshold,
            "large_fraction": large_fraction,
        }
        self._told: set[tuple[str, str]] = set()  # name of a tensor, and what it has

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self.report, self._told = None, set()

    @override
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"told": sorted(map(list, self._told))}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._told = {(name, ailment) for name, ailment in state_dict["told"]}

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        find_parameters(pl_module, self._layers)

    @override
    def _look(self, trainer: Trainer, pl_module: LightningModule) -> None:
        report = self.report = check_health(pl_module, self._layers, **self._thresholds)
        new = [one for one in report.findings if (one.tensor.name, one.ailment) not in self._told]
        self._told |= {(one.tensor.name, str(one.ailment)) for one in new}
        if new and trainer.is_global_zero:
            found = "\n".join(map(str, new))
            warnings.warn(f"Weights that may be ill:\n{found}", stacklevel=2)
        self._log(trainer, {f"health/{ailment}": report.fraction(ailment) for ailment in Ailment})
