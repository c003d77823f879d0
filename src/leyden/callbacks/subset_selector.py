"""Find the sets of the validation data that the model is best on."""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from leyden.calibration import (
    Goal,
    MetricLike,
    Subset,
    best_subset,
    best_subset_from_history,
    check_search,
    choose_goal,
    compute_metric,
)
from leyden.callbacks.collected_rows import sets_of_rows
from leyden.callbacks.from_validation import FromValidation
from leyden.callbacks.scores_of_step import Extract, of_positive
from leyden.errors import ConfigError, check_version, check_whole

__all__ = ["SubsetSelector"]

_log = logging.getLogger(__name__)


class SubsetSelector(FromValidation):
    """Tell which sets of the validation data the model is best on.

    They are chosen at the end of every validation, from the first loader of all processes, and are
    the attribute ``subset``. What the metric is on them is logged, as in ``val/subset_loss``. Sets
    are those of ``AutoDataModule``; with other data, every batch is a set. A batch that holds
    several sets gives all of them its loss. A development run (``fast_dev_run``) with fewer sets
    than asked for takes all of them.

    Args:
        size: How many sets are chosen.
        metric: ``"loss"`` for what ``validation_step`` returns; or see ``find_threshold`` and
            ``best_subset``.
        by: ``"history"`` for the sets with the best values of their own, at the threshold of the
            module, or 0.5; ``"predictions"`` to choose one after another and the threshold for them
            with ``best_subset``.
        scores: See ``ThresholdTuner``; needed if the metric is another than the loss, and the
            module is no ``ClassifierModule``.
        targets: Likewise.
        steps: See ``find_threshold``.
        bounds: See ``best_subset``.
        higher_is_better: See ``find_threshold``.

    Attributes:
        subset: The sets chosen last, and the metric on them; ``None`` before the first validation.

    Raises:
        ConfigError: If an argument is wrong; in a validation, if there is no loss, there are no
            scores and targets, or there are fewer sets than ``size``.
        DataError: In a validation, if scores or targets are not as the metric needs them.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[SubsetSelector(size=3)])
    """

    def __init__(
        self,
        size: int = 5,
        metric: MetricLike = "loss",
        *,
        by: Literal["history", "predictions"] = "history",
        scores: Extract = None,
        targets: Extract = None,
        steps: int = 100,
        bounds: tuple[float, float] | None = (0.0, 1.0),
        higher_is_better: bool | None = None,
    ) -> None:
        super().__init__(scores, targets)
        check_whole("size", size, 1)
        if by not in ("history", "predictions"):
            problem = "Expected `by` to be 'history' or 'predictions'"
            raise ConfigError(f"{problem}, but got {by!r}.")
        is_loss = isinstance(metric, str) and metric == "loss"  # a metric's == is another metric
        if is_loss and by == "predictions":
            problem = "Expected a `metric` of predictions with by='predictions', but got 'loss'"
            raise ConfigError(f"{problem}. Pass such as 'f1', or by='history'.")
        self._goal: Goal | None = None if is_loss else choose_goal(metric, higher_is_better)
        if self._goal is not None and self._goal.decides and bounds is not None:
            check_search(self._goal, steps, bounds)
        self._loss_is_better_high = bool(higher_is_better)
        self._size, self._metric, self._by = size, metric, by
        self._search: dict[str, Any] = {
            "steps": steps,
            "bounds": bounds,
            "higher_is_better": higher_is_better,
        }
        self.subset: Subset | None = None

    @property
    def _name(self) -> str:
        return "loss" if self._goal is None else self._goal.name

    @property
    @override
    def state_key(self) -> str:
        return self._generate_state_key(metric=self._name, size=self._size, by=self._by)

    @override
    def state_dict(self) -> dict[str, Any]:
        if self.subset is None:
            return {"version": 1, "subset": None}
        sets, metric = list(self.subset.sets), self.subset.metric
        subset = {"sets": sets, "metric": metric, "threshold": self.subset.threshold}
        return {"version": 1, "subset": subset}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the subset of another run.

        Raises:
            ResumeError: If the state is of another version of leyden; nothing is changed then.
        """
        check_version(state_dict, 1)
        saved = state_dict["subset"]
        self.subset = saved and Subset(tuple(saved["sets"]), saved["metric"], saved["threshold"])

    @override
    def _collect(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        place: tuple[int, int],
    ) -> None:
        batch_index, loader_index = place
        if loader_index != 0:
            return
        if self._goal is None:
            self._add_loss(trainer, outputs, batch_index)
            return
        found = self._source.find(module, outputs, batch)
        if found is not None and self._goal.decides and self._search["bounds"] is not None:
            found = of_positive(*found)
        if found is not None:
            self._add_scores(trainer, *found, batch_index)

    def _add_loss(self, trainer: Trainer, outputs: Any, batch_idx: int) -> None:
        """Add set number, loss and weight of each set of the batch."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            problem = "Expected `validation_step` to return a loss, or a dictionary with 'loss'"
            raise ConfigError(f"{problem}, but got {type(outputs).__name__}.")
        sets = sets_of_rows(trainer, batch_idx, None)
        if sets is not None:
            numbers, counts = map(torch.from_numpy, np.unique(sets, return_counts=True))
            self._rows.add(numbers, loss.reshape(1).expand(len(numbers)), counts)

    def _add_scores(
        self, trainer: Trainer, scores: Tensor, targets: Tensor, batch_idx: int
    ) -> None:
        """Add set number, number of scores, scores and targets of each sample."""
        if scores.ndim > 2 or targets.ndim > 2:
            problem = "Expected scores and targets of the shapes (batch,) or (batch, columns)"
            shapes = f"{tuple(scores.shape)} and {tuple(targets.shape)}"
            raise ConfigError(f"{problem}, but got {shapes}.")
        sets = sets_of_rows(trainer, batch_idx, len(scores))
        if sets is not None:
            width = scores.shape[1] if scores.ndim == 2 else 1
            self._rows.add(sets, torch.full((len(scores),), width), scores, targets)

    @override
    def _find(
        self, trainer: Trainer, module: LightningModule, rows: Tensor
    ) -> Mapping[str, float | None]:
        is_trial: bool = trainer.fast_dev_run  # type: ignore[attr-defined] # set outside its class
        self.subset = self._choose(rows, module, is_trial=bool(is_trial))
        _log.info("best sets by %s: %s", self._name, list(self.subset.sets))
        numbers = {self._name: self.subset.metric, "threshold": self.subset.threshold}
        return {f"subset_{name}": number for name, number in numbers.items()}

    def _choose(self, rows: Tensor, module: LightningModule, *, is_trial: bool) -> Subset:
        numbers = np.unique(rows[:, 0]).astype(int).tolist() if len(rows) else []
        size = min(self._size, len(numbers)) if is_trial else self._size
        if not numbers or len(numbers) < size:
            problem = f"Expected {self._size} sets of validation data at least"
            raise ConfigError(f"{problem}, but got {len(numbers)}. Pass a smaller `size`.")
        of_sets = [rows[rows[:, 0] == number, 1:] for number in numbers]
        if self._goal is None:
            losses = [float((part[:, 0] * part[:, 1]).sum() / part[:, 1].sum()) for part in of_sets]
            return _best(losses, numbers, size, self._loss_is_better_high)
        samples = [_split(part, module) for part in of_sets]
        if self._by == "history":
            values = [self._value(scores, targets, module) for scores, targets in samples]
            return _best(values, numbers, size, self._goal.higher_is_better)
        scores, targets = zip(*samples, strict=True)
        return best_subset(scores, targets, self._metric, size, set_numbers=numbers, **self._search)

    def _value(self, scores: Tensor, targets: Tensor, module: LightningModule) -> float:
        threshold = None
        if self._search["bounds"] is not None:
            threshold = float(getattr(module, "threshold", 0.5))
        return compute_metric(scores, targets, self._metric, threshold=threshold)


def _best(values: list[float], numbers: list[int], size: int, higher_is_better: bool) -> Subset:
    return best_subset_from_history(
        np.array(values), size, higher_is_better=higher_is_better, set_numbers=numbers
    )


def _split(rows: Tensor, module: LightningModule) -> tuple[Tensor, Tensor]:
    """Take the scores and the targets of samples apart again."""
    width = int(rows[0, 0])
    scores, targets = rows[:, 1 : 1 + width].to(module.dtype), rows[:, 1 + width :]
    if (targets == targets.round()).all():
        targets = targets.long()
    return scores.squeeze(1), targets.squeeze(1)
