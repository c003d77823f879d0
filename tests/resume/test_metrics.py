"""Metrics go on after a file as if they had gathered everything themselves."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torchmetrics import (
    CatMetric,
    MeanMetric,
    Metric,
    MetricCollection,
    MetricTracker,
    RunningMean,
    SumMetric,
)
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryAUROC,
    BinaryConfusionMatrix,
    BinaryPrecision,
    BinaryRecall,
    BinaryROC,
)
from torchmetrics.wrappers import BootStrapper, MinMaxMetric, MultitaskWrapper

from leyden.resume.metrics import metric_states, restore_metric_states


class Holder(nn.Module):
    def __init__(self, metric: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(1, 1), metric])

    @property
    def metric(self) -> Any:
        return self.parts[1]


def collection(*, groups: bool) -> MetricCollection:
    metrics: Any = {
        "accuracy": BinaryAccuracy(),
        "precision": BinaryPrecision(),
        "recall": BinaryRecall(),
        "auroc": BinaryAUROC(),
    }
    return MetricCollection(metrics, compute_groups=groups)


KINDS: dict[str, Callable[[], nn.Module]] = {
    "accuracy": BinaryAccuracy,
    "list states": BinaryAUROC,
    "binned": lambda: BinaryAUROC(thresholds=5),
    "confusion matrix": BinaryConfusionMatrix,
    "collection, grouped": lambda: collection(groups=True),
    "collection, not grouped": lambda: collection(groups=False),
    "nested collection": lambda: MetricCollection({"a": collection(groups=True)}),
    "bootstrapped": lambda: BootStrapper(BinaryAccuracy(), num_bootstraps=3, raw=True),
}
VALUES: dict[str, Callable[[], nn.Module]] = {
    "mean": MeanMetric,
    "sum": SumMetric,
    "concatenated": CatMetric,
    "of a window": lambda: RunningMean(window=3),
    "of a window of one": lambda: RunningMean(window=1),
}


def batch(number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    scores = torch.rand(6, generator=generator)
    return scores, torch.randint(2, (6,), generator=generator)


def update(metric: Any, number: int, *, scores_only: bool) -> Any:
    torch.manual_seed(number)  # for those that draw
    scores, targets = batch(number)
    return metric(scores) if scores_only else metric(scores, targets)


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def plain(values: Any) -> Any:
    return tree_map_only(Tensor, lambda value: (str(value.dtype), value.tolist()), values)


def go_on(make: Callable[[], nn.Module], stop: int, *, scores_only: bool, is_used: bool) -> None:
    whole, resumed = Holder(make()), Holder(make())
    for number in range(stop):
        update(whole.metric, number, scores_only=scores_only)
    if is_used:  # by the check before the training, say
        update(resumed.metric, 99, scores_only=scores_only)
    restore_metric_states(resumed, through_a_file(metric_states(whole)))
    for number in range(stop, stop + 4):
        expected = update(whole.metric, number, scores_only=scores_only)
        assert plain(update(resumed.metric, number, scores_only=scores_only)) == plain(expected)
        assert plain(resumed.metric.compute()) == plain(whole.metric.compute())


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("stop", [1, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_metric_of_scores_and_targets_goes_on(kind: str, stop: int, *, is_used: bool) -> None:
    go_on(KINDS[kind], stop, scores_only=False, is_used=is_used)


@pytest.mark.parametrize("is_used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("stop", [1, 5])
@pytest.mark.parametrize("kind", VALUES)
def test_metric_of_values_goes_on(kind: str, stop: int, *, is_used: bool) -> None:
    go_on(VALUES[kind], stop, scores_only=True, is_used=is_used)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_computed_is_there_at_once(kind: str) -> None:
    whole, resumed = Holder(KINDS[kind]()), Holder(KINDS[kind]())
    update(whole.metric, 1, scores_only=False)
    expected = whole.metric.compute()
    restore_metric_states(resumed, through_a_file(metric_states(whole)))
    assert plain(resumed.metric.compute()) == plain(expected)


def test_what_was_computed_is_of_the_same_type() -> None:
    whole, resumed = Holder(BinaryROC()), Holder(BinaryROC())
    update(whole.metric, 1, scores_only=False)
    expected = whole.metric.compute()
    restore_metric_states(resumed, through_a_file(metric_states(whole)))
    assert isinstance(expected, tuple)
    assert isinstance(resumed.metric.compute(), tuple)


def test_metric_of_metrics_keeps_the_least_and_the_greatest() -> None:
    whole, resumed = (Holder(MinMaxMetric(BinaryAccuracy())) for _ in range(2))
    for number in range(4):
        whole.metric.update(*batch(number))
        whole.metric.compute()
    restore_metric_states(resumed, through_a_file(metric_states(whole)))
    for metric in (whole.metric, resumed.metric):
        metric.update(*batch(4))
    expected = whole.metric.compute()
    assert expected["min"] < expected["raw"] or expected["raw"] < expected["max"]
    assert plain(resumed.metric.compute()) == plain(expected)


@pytest.mark.parametrize("base", [BinaryAccuracy, lambda: collection(groups=True)])
def test_tracker_keeps_all_that_it_tracked(base: Callable[[], Any]) -> None:
    whole, resumed = (Holder(MetricTracker(base(), maximize=True)) for _ in range(2))
    for number in range(3):
        whole.metric.increment()
        whole.metric.update(*batch(number))
    restore_metric_states(resumed, through_a_file(metric_states(whole)))
    for metric in (whole.metric, resumed.metric):
        metric.update(*batch(8))
        metric.increment()
        metric.update(*batch(9))
    assert resumed.metric.n_steps == 4
    assert plain(resumed.metric.compute_all()) == plain(whole.metric.compute_all())


def test_tasks_each_go_on() -> None:
    def make() -> Holder:
        return Holder(MultitaskWrapper({"a": BinaryAccuracy(), "b": BinaryAUROC()}))

    def feed(holder: Holder, number: int) -> None:
        scores, targets = batch(number)
        holder.metric.update({"a": scores, "b": 1 - scores}, {"a": targets, "b": targets})

    whole, resumed = make(), make()
    feed(whole, 1)
    restore_metric_states(resumed, through_a_file(metric_states(whole)))
    for holder in (whole, resumed):
        feed(holder, 2)
    assert plain(resumed.metric.compute()) == plain(whole.metric.compute())


def test_writing_changes_nothing_of_a_grouped_collection() -> None:
    written, other = Holder(collection(groups=True)), Holder(collection(groups=True))
    for number in range(4):
        metric_states(written)
        for holder in (written, other):
            update(holder.metric, number, scores_only=False)
        metric_states(written)
        if number % 2:
            assert plain(written.metric.compute()) == plain(other.metric.compute())
    assert written.metric.compute_groups == other.metric.compute_groups


def test_state_is_a_copy_both_ways() -> None:
    whole, one, other = (Holder(SumMetric()) for _ in range(3))
    whole.metric.update(1.0)
    state = metric_states(whole)
    whole.metric.update(10.0)
    restore_metric_states(one, state)
    one.metric.sum_value += 100.0
    restore_metric_states(other, state)
    assert other.metric.compute() == 1.0


def test_metrics_that_are_not_named_are_left_alone() -> None:
    metric: Metric = SumMetric()
    metric.update(3.0)
    restore_metric_states(Holder(metric), {"parts.0": {}})
    assert metric.compute() == 3.0


def test_metric_that_was_reset_is_one_that_begins() -> None:
    whole, resumed = Holder(BinaryAUROC()), Holder(BinaryAUROC())
    update(whole.metric, 1, scores_only=False)
    whole.metric.reset()
    update(resumed.metric, 2, scores_only=False)
    restore_metric_states(resumed, through_a_file(metric_states(whole)))
    for holder in (whole, resumed):
        update(holder.metric, 3, scores_only=False)
    assert plain(resumed.metric.compute()) == plain(whole.metric.compute())
