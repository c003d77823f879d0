"""Which sets of the validation data are chosen, by which value, and what is refused."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAUROC
from typing_extensions import override

from leyden import AutoDataModule, ClassifierModule, RegressorModule
from leyden.calibration import Subset, best_subset, compute_metric
from leyden.callbacks import SubsetSelector, ThresholdTuner
from leyden.errors import ConfigError, DataError
from leyden.shards import write_shards

Quick = Callable[..., Trainer]
EVERY_BATCH: dict[str, Any] = {"limit_val_batches": 1.0}
NUMBERS = [3, 8, 11, 20]


class Foreign(LightningModule):
    """Knows nothing of leyden. Its loss is the mean of its inputs, which are its scores too."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.weight.sum()

    @override
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return {"loss": batch[0].mean(), "scores": batch[0], "targets": batch[1]}

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def loader(scores: Any, targets: Any = None) -> DataLoader[Any]:
    """Serve a batch for each list of two scores."""
    flat = torch.tensor(scores).reshape(-1)
    true = torch.zeros(len(flat)) if targets is None else torch.tensor(targets).reshape(-1)
    return DataLoader(TensorDataset(flat, true), 2)


@pytest.fixture
def data(tmp_path: Path) -> AutoDataModule:
    """Sets of 7 rows for validation, whose inputs are the logarithms of the odds."""
    numbers = np.random.default_rng(5)
    rows: Any = {n: numbers.normal(size=(7, 1)).astype(np.float32) for n in [0, *NUMBERS]}
    labels: Any = {
        n: (part[:, 0] + n / 10 * numbers.normal(size=7) > 0).astype(np.int64)
        for n, part in rows.items()
    }
    for of_set in labels.values():
        of_set[:2] = 0, 1  # no class is missing anywhere
    write_shards(tmp_path / "d", rows, labels=labels)
    return AutoDataModule(tmp_path / "d", val=NUMBERS, batch_size=5)


def classifier() -> ClassifierModule:
    return ClassifierModule(nn.Identity(), task="binary", input_shape=(1,), num_classes=2)


def sets_of(data: AutoDataModule) -> tuple[list[Tensor], list[Tensor]]:
    """Probabilities and classes of each validation set, read from its file."""
    catalog = data.catalogs[next(phase for phase in data.catalogs if phase == "val")]
    rows = [catalog.open_data(n).read(np.arange(7)) for n in NUMBERS]
    labels = [catalog.open_labels(n).read(np.arange(7)) for n in NUMBERS]
    scores = [torch.from_numpy(part[:, 0]).sigmoid() for part in rows]
    return scores, [torch.from_numpy(part) for part in labels]


def test_batches_are_sets_where_nothing_else_is_known(quick: Quick) -> None:
    selector = SubsetSelector(2)
    trainer = quick(selector, **EVERY_BATCH)
    losses = [[0.5, 0.5], [0.125, 0.125], [0.75, 0.25], [0.25, 0.25]]
    trainer.validate(Foreign(), loader(losses), verbose=False)
    assert selector.subset == Subset((1, 3), 0.1875)
    assert trainer.callback_metrics["val/subset_loss"] == 0.1875
    upwards = SubsetSelector(3, higher_is_better=True)
    quick(upwards, **EVERY_BATCH).validate(Foreign(), loader(losses), verbose=False)
    assert upwards.subset is not None
    assert upwards.subset.sets == (0, 2, 3)
    assert upwards.subset.metric == pytest.approx(1.25 / 3)


def test_the_sanity_check_and_other_loaders_count_for_nothing(quick: Quick) -> None:
    first, second = loader([[0.5, 0.5], [0.25, 0.25]]), loader([[0.0, 0.0]] * 3)
    selector = SubsetSelector(1)
    trainer = quick(selector, max_epochs=2, **EVERY_BATCH)
    trainer.fit(Foreign(), first, [first, second])
    assert selector.subset == Subset((1,), 0.25)


@pytest.mark.parametrize("by_hand", [False, True])
def test_set_numbers_are_those_of_the_data_module(
    data: AutoDataModule, quick: Quick, caplog: pytest.LogCaptureFixture, by_hand: bool
) -> None:
    selector, served = SubsetSelector(2), data.val_dataloader() if by_hand else data
    with caplog.at_level(logging.INFO, "leyden"):
        quick(selector, **EVERY_BATCH).validate(classifier(), served, verbose=False)
    scores, targets = map(torch.cat, sets_of(data))
    sets = np.repeat(NUMBERS, 7)
    # Batches of five rows: a batch of several sets gives all of them its loss, by rows.
    starts = range(0, 28, 5)
    of_batches = [
        binary_cross_entropy(scores[i : i + 5], targets[i : i + 5].float()) for i in starts
    ]
    of_rows = np.repeat([loss.item() for loss in of_batches], [5, 5, 5, 5, 5, 3])
    by_set = {n: of_rows[sets == n].mean() for n in NUMBERS}
    expected = sorted(by_set, key=lambda n: by_set[n])[:2]
    assert selector.subset is not None
    assert list(selector.subset.sets) == expected
    assert selector.subset.metric == pytest.approx(np.mean([by_set[n] for n in expected]))
    assert f"best sets by loss: {expected}" in caplog.text


@pytest.mark.parametrize("metric", ["accuracy", "f1", "binary_crossentropy", BinaryAUROC()])
def test_by_history_each_set_has_its_own_value(
    data: AutoDataModule, quick: Quick, metric: Any
) -> None:
    selector, module = SubsetSelector(2, metric), classifier()
    module.threshold = 0.4
    trainer = quick(selector, **EVERY_BATCH)
    trainer.validate(module, data, verbose=False)
    pairs = zip(*sets_of(data), strict=True)
    values = np.array([compute_metric(s, t, metric, threshold=0.4) for s, t in pairs])
    is_loss = isinstance(metric, str) and metric == "binary_crossentropy"
    order = np.argsort(values if is_loss else -values, kind="stable")
    assert selector.subset is not None
    assert selector.subset.sets == tuple(NUMBERS[index] for index in order[:2])
    assert selector.subset.metric == pytest.approx(np.mean([values[i] for i in order[:2]]))
    (name,) = (name for name in trainer.callback_metrics if "subset" in name)
    assert trainer.callback_metrics[name].item() == pytest.approx(selector.subset.metric)


def test_by_predictions_a_threshold_is_found_as_well(data: AutoDataModule, quick: Quick) -> None:
    selector = SubsetSelector(3, "f1", by="predictions", steps=50)
    trainer = quick(selector, **EVERY_BATCH)
    trainer.validate(classifier(), data, verbose=False)
    scores, targets = sets_of(data)
    expected = best_subset(scores, targets, "f1", 3, set_numbers=NUMBERS, steps=50)
    assert selector.subset == expected
    logged = trainer.callback_metrics
    assert logged["val/subset_f1"].item() == pytest.approx(expected.metric)
    assert logged["val/subset_threshold"].item() == pytest.approx(expected.threshold)


def test_a_tuner_before_it_decides_the_threshold(data: AutoDataModule, quick: Quick) -> None:
    module, selector = classifier(), SubsetSelector(1, "accuracy")
    quick(ThresholdTuner("accuracy"), selector, **EVERY_BATCH).validate(module, data, verbose=False)
    pairs = zip(*sets_of(data), strict=True)
    values = [compute_metric(s, t, "accuracy", threshold=module.threshold) for s, t in pairs]
    assert selector.subset == Subset((NUMBERS[int(np.argmax(values))],), max(values))


def test_a_foreign_module_says_where_its_scores_are(quick: Quick) -> None:
    batches = loader([[0.1, 0.9], [0.6, 0.4], [0.2, 0.3]], [[0, 1], [0, 1], [0, 1]])
    selector = SubsetSelector(2, "accuracy", scores=lambda outputs, batch: batch[0])
    quick(selector, **EVERY_BATCH).validate(Foreign(), batches, verbose=False)
    assert selector.subset == Subset((0, 2), 0.75)


def test_scores_of_several_classes_go_to_metrics_that_take_them(
    tmp_path: Path, quick: Quick
) -> None:
    rows = {n: np.eye(3, dtype=np.float32)[[0, 1, 2, n]] for n in range(3)}
    labels = {0: np.array([0, 1, 2, 1]), 1: np.array([0, 1, 2, 1]), 2: np.array([1, 2, 0, 0])}
    write_shards(tmp_path, rows, labels=labels)
    module = ClassifierModule(nn.Identity(), input_shape=(3,), num_classes=3)
    data = AutoDataModule(tmp_path, train=[2], val=[0, 1, 2][:2], batch_size=3)
    selector = SubsetSelector(1, "sparse_categorical_accuracy", by="predictions")
    quick(selector, **EVERY_BATCH).validate(module, data, verbose=False)
    assert selector.subset == Subset((1,), 1.0)


def test_a_regressor_is_judged_by_its_loss(tmp_path: Path, quick: Quick) -> None:
    rows = {n: np.full((4, 1), n, np.float32) for n in range(4)}
    labels = {n: np.full((4, 1), 2.0, np.float32) for n in range(4)}
    write_shards(tmp_path, rows, labels=labels)
    module = RegressorModule(nn.Identity(), loss=mse_loss, input_shape=(1,), output_shape=(1,))
    selector = SubsetSelector(2)
    data = AutoDataModule(tmp_path, train=[0], val=[1, 2, 3], batch_size=4)
    quick(selector, **EVERY_BATCH).validate(module, data, verbose=False)
    assert selector.subset == Subset((2, 1), 0.5)


def test_the_windows_of_a_set_are_averaged(tmp_path: Path, quick: Quick) -> None:
    series = {n: np.arange(4, dtype=np.float32).reshape(1, 4, 1).repeat(3, 0) for n in range(3)}
    series[1] += np.array([[[9], [9], [-9], [-12]]], np.float32)
    write_shards(tmp_path, series)

    class Mean(Foreign):
        @override
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            return batch.mean()

    selector = SubsetSelector(2)
    data = AutoDataModule(tmp_path, train=[0], val=[1, 2], batch_size=3, windows={"size": 2})
    quick(selector, **EVERY_BATCH).validate(Mean(), data, verbose=False)
    assert selector.subset == Subset((1, 2), 1.125)  # means 0.75 and 1.5
    assert quick(selector).logger is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "Expected `size` to be a whole number from 1, but got 0."),
        ({"by": "luck"}, "Expected `by` to be 'history' or 'predictions', but got 'luck'."),
        ({"by": "predictions"}, "with by='predictions', but got 'loss'. Pass such as 'f1', or"),
        ({"metric": "f1", "steps": 1}, "Expected `steps` to be a whole number from 2, but got 1"),
        ({"metric": "f2x"}, "Expected `metric` to be a known name or an import path, but got"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        SubsetSelector(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 3}, "Expected 3 sets of validation data at least, but got 2. Pass a smaller"),
        (
            {"size": 1, "metric": "f1", "scores": "absent"},
            "to return a dictionary with 'absent', but got ['loss', 'scores', 'targets'].",
        ),
        (
            {"size": 1, "metric": "f1", "scores": lambda outputs, batch: torch.zeros(2, 1, 1)},
            "(batch,) or (batch, columns), but got (2, 1, 1) and (2,).",
        ),
    ],
)
def test_what_cannot_be_chosen_is_refused(quick: Quick, options: Any, message: str) -> None:
    trainer = quick(SubsetSelector(**options), **EVERY_BATCH)
    with pytest.raises(ConfigError, match=re.escape(message)):
        trainer.validate(Foreign(), loader([[0.1, 0.2], [0.3, 0.4]]), verbose=False)


def test_a_step_without_a_loss_is_refused(quick: Quick) -> None:
    class Silent(Foreign):
        @override
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            return None

    trainer = quick(SubsetSelector(1), **EVERY_BATCH)
    with pytest.raises(ConfigError, match="to return a loss, or a dictionary with 'loss', but got"):
        trainer.validate(Silent(), loader([[0.1, 0.2]]), verbose=False)


def test_scores_of_other_rows_are_refused(data: AutoDataModule, quick: Quick) -> None:
    half: Any = {"scores": lambda outputs, batch: batch[0][:2, 0].sigmoid()}
    half["targets"] = lambda outputs, batch: batch[1][:2]
    trainer = quick(SubsetSelector(1, "f1", **half), **EVERY_BATCH)
    with pytest.raises(DataError, match="for each of the 5 rows of a batch, but got 2"):
        trainer.validate(classifier(), data, verbose=False)


def test_a_development_run_takes_the_sets_there_are(quick: Quick) -> None:
    selector = SubsetSelector(5)
    quick(selector, fast_dev_run=True).fit(Foreign(), loader([0.5] * 4), loader([0.5, 0.1] * 4))
    assert selector.subset is not None
    assert selector.subset.sets == (0,)


@pytest.mark.parametrize("by", ["history", "predictions"])
def test_of_two_classes_the_second_is_positive(quick: Quick, by: Any) -> None:
    scores, targets = [[0.2, 0.9], [0.9, 0.2], [0.6, 0.8]], [[0, 1], [0, 1], [0, 1]]
    both: dict[str, Any] = {
        "scores": lambda outputs, _batch: torch.stack([1 - outputs["scores"], outputs["scores"]], 1)
    }
    chosen = []
    for options in ({}, both):
        selector = SubsetSelector(2, "f1", by=by, **options)
        data = loader(scores, targets)
        quick(selector, max_epochs=1, **EVERY_BATCH).fit(Foreign(), data, data)
        chosen.append(selector.subset)
    assert chosen[0] == chosen[1] is not None
