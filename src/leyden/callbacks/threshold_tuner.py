"""Find the decision threshold at the end of every validation."""

import warnings
from collections.abc import Mapping
from math import inf
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from leyden.calibration import MetricLike, check_search, choose_goal, find_threshold
from leyden.callbacks.collected_rows import sets_of_rows
from leyden.callbacks.from_validation import FromValidation
from leyden.callbacks.scores_of_step import Extract, of_positive
from leyden.errors import ConfigError, check_number, check_version

__all__ = ["ThresholdTuner"]


class ThresholdTuner(FromValidation):
    """Give the module the decision threshold at which a metric is best on the validation data.

    It is found at the end of every validation, from the scores of all loaders and processes, and
    becomes ``module.threshold``, by which a ``ClassifierModule`` decides in ``predict_step``, and
    which is part of its checkpoints. ``val/threshold`` and the metric there, as in
    ``val/f1_at_threshold``, are logged, so that ``ModelCheckpoint`` and others can monitor them.
    The metrics that the module itself logs use the new threshold from the next step on. A
    development run (``fast_dev_run``) with rows of one class only keeps the threshold.

    A module of one's own returns ``{"scores": ..., "targets": ...}`` from its ``validation_step``,
    or ``scores`` and ``targets`` say where they are. Its threshold is kept here in checkpoints, and
    is set again when one is loaded; a module without such an attribute is left as it is.

    Args:
        metric: See ``find_threshold``.
        scores: Of the positive class, of several labels or of two classes of which the second is
            positive: a key of what ``validation_step`` returns, or a function of that and of the
            batch.
        targets: 0 or 1 for each score: likewise.
        steps: See ``find_threshold``.
        bounds: Likewise.
        prefer: Likewise.
        higher_is_better: Likewise.
        attribute: Name of the module's attribute that is set.

    Attributes:
        threshold: The threshold found last; ``None`` before the first validation.
        metric: What the metric was there.

    Raises:
        ConfigError: If an argument is wrong; in a validation, if there are no scores and targets,
            or the module has more than two classes.
        DataError: In a validation, if scores or targets are not as ``find_threshold`` needs them.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[ThresholdTuner("f1")])
    """

    def __init__(
        self,
        metric: MetricLike = "f1",
        *,
        scores: Extract = None,
        targets: Extract = None,
        steps: int = 100,
        bounds: tuple[float, float] = (0.0, 1.0),
        prefer: float = 0.5,
        higher_is_better: bool | None = None,
        attribute: str = "threshold",
    ) -> None:
        super().__init__(scores, targets)
        goal = choose_goal(metric, higher_is_better)
        check_search(goal, steps, bounds)
        check_number("prefer", prefer, -inf)
        self._search: dict[str, Any] = {
            "metric": metric,
            "steps": steps,
            "bounds": (float(bounds[0]), float(bounds[1])),
            "prefer": prefer,
            "higher_is_better": higher_is_better,
        }
        self._name = goal.name
        self._attribute = attribute
        self.threshold: float | None = None
        self.metric: float | None = None

    @property
    @override
    def state_key(self) -> str:
        bounds = self._search["bounds"]
        return self._generate_state_key(metric=self._name, bounds=bounds, attribute=self._attribute)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"version": 1, "threshold": self.threshold, "metric": self.metric}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the threshold of another run.

        Raises:
            ResumeError: If the state is of another version of leyden; nothing is changed then.
        """
        check_version(state_dict, 1)
        self.threshold, self.metric = state_dict["threshold"], state_dict["metric"]

    @override
    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
        state = checkpoint["callbacks"].get(self.state_key, {})
        if state.get("threshold") is not None and not self._source.asks(pl_module):
            self._set(pl_module, state["threshold"])

    @override
    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._source.asks(pl_module) and not getattr(pl_module, "has_threshold", True):
            problem = "Expected two classes, or several labels, for a `ThresholdTuner`"
            raise ConfigError(f"{problem}, but the module decides between more. Leave it out.")

    @override
    def _collect(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        place: tuple[int, int],
    ) -> None:
        found = self._source.find(module, outputs, batch)
        if found is None:
            return
        scores, targets = of_positive(*found)
        batch_index, loader_index = place
        if loader_index == 0 and sets_of_rows(trainer, batch_index, None) is None:
            return  # another process has this row
        self._rows.add(scores.reshape(-1), targets.reshape(-1))

    @override
    def _find(
        self, trainer: Trainer, module: LightningModule, rows: Tensor
    ) -> Mapping[str, float | None]:
        if not rows.isfinite().all():
            if trainer.is_global_zero:
                warnings.warn(
                    "`ThresholdTuner` keeps the threshold: not all scores are finite.", stacklevel=2
                )
            return {}
        scores, targets = rows.reshape(-1, 2).unbind(1)
        is_trial = trainer.fast_dev_run  # type: ignore[attr-defined] # set outside its class
        if is_trial and len(set(targets.tolist())) < 2:
            return {}  # a class that its few rows lack is no mistake
        # Compared in the type of the module, as it will do in prediction.
        found = find_threshold(scores.to(module.dtype), targets, **self._search)
        self.threshold, self.metric = found.value, found.metric
        self._set(module, found.value)
        return {"threshold": found.value, f"{self._name}_at_threshold": found.metric}

    def _set(self, module: LightningModule, threshold: float) -> None:
        present = getattr(module, self._attribute, None)
        if isinstance(present, Tensor):
            present.fill_(threshold)
        elif hasattr(module, self._attribute):
            setattr(module, self._attribute, threshold)
