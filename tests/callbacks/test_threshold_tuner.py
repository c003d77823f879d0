"""The threshold that is found in a validation, where it goes, and what it leaves alone."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from sklearn import metrics as by_sklearn
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryF1Score
from typing_extensions import override

from leyden import AutoDataModule, ClassifierModule, latest_checkpoint
from leyden.calibration import find_threshold
from leyden.callbacks import ExactResume, SubsetSelector, ThresholdTuner
from leyden.errors import ConfigError, DataError, ResumeError
from leyden.resume import Interrupted
from leyden.shards import write_shards

Quick = Callable[..., Trainer]
SCRIPT = Path(__file__).parent / "calibration_ranks_script.py"
EVERY_BATCH: dict[str, Any] = {"limit_val_batches": 1.0}
SMALL = {"type": "mlp", "hidden": [8], "dropout": 0.0}
RANDOM = np.random.default_rng(0)
SCORES = RANDOM.random(50).astype(np.float32)
TARGETS = (RANDOM.random(50) < SCORES**2).astype(np.int64)


class Foreign(LightningModule):
    """Knows nothing of leyden. Its scores are its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.threshold = 0.5

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        noise = torch.rand(()) + random.random() + np.random.default_rng(batch_idx).random()
        loss: Tensor = ((self.weight - batch[0] - noise) ** 2).mean()
        return loss

    @override
    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        return {"scores": batch[0], "targets": batch[1], "twice": torch.stack(batch[:1] * 2, 1)}

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def loader(count: int = 50) -> DataLoader[Any]:
    rows = TensorDataset(torch.from_numpy(SCORES[:count]), torch.from_numpy(TARGETS[:count]))
    return DataLoader(rows, 8)


def serve(folder: Path, **settings: Any) -> AutoDataModule:
    """Sets of 13 rows in two noisy classes, of which two are for validation."""
    numbers = np.random.default_rng(1)
    rows: Any = {n: numbers.normal(size=(13, 3)).astype(np.float32) for n in range(6)}
    labels: Any = {
        n: (part[:, 0] + numbers.normal(size=13) > 0.7).astype(np.int64) for n, part in rows.items()
    }
    write_shards(folder, rows, labels=labels)
    return AutoDataModule(folder, val=[1, 4], test=[5], batch_size=5, **settings)


def classifier(**settings: Any) -> ClassifierModule:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"input_shape": (3,), "num_classes": 2}
    return ClassifierModule(SMALL, **(arguments | settings))


def scores_of(module: ClassifierModule, data: AutoDataModule) -> tuple[Tensor, Tensor]:
    batches: Any = [data.fetch("val", 0, index) for index in range(len(data.plan("val", 0)))]
    with torch.no_grad():
        scores = [module.eval().interpret(module(inputs)) for inputs, _ in batches]
    return torch.cat(scores)[:, 1], torch.cat([labels for _, labels in batches])


def test_the_threshold_is_that_of_the_whole_validation(quick: Quick) -> None:
    module, tuner = Foreign(), ThresholdTuner()
    trainer = quick(tuner, **EVERY_BATCH)
    trainer.fit(module, loader(), loader())
    expected = find_threshold(SCORES, TARGETS, "f1")
    assert module.threshold == tuner.threshold == expected.value != 0.5
    by_hand = by_sklearn.f1_score(TARGETS, expected.value < SCORES)
    assert tuner.metric == pytest.approx(by_hand, abs=1e-6)
    logged = trainer.callback_metrics
    assert logged["val/threshold"].item() == pytest.approx(expected.value, abs=1e-6)
    assert logged["val/f1_at_threshold"].item() == pytest.approx(by_hand, abs=1e-6)


def test_the_sanity_check_counts_for_nothing(quick: Quick) -> None:
    class Watching(Callback):
        @override
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            assert (tuner.threshold, module.threshold) == (None, 0.5)

    module, tuner = Foreign(), ThresholdTuner()
    quick(tuner, Watching(), **EVERY_BATCH).fit(module, loader(), loader())
    assert tuner.threshold == find_threshold(SCORES, TARGETS, "f1").value


@pytest.mark.parametrize(
    ("scores", "targets"),
    [
        ("twice", None),
        ("twice", lambda outputs, batch: batch[1]),
        (lambda outputs, batch: batch[0], lambda outputs, batch: outputs["targets"].bool()),
    ],
)
def test_scores_and_targets_may_be_elsewhere(quick: Quick, scores: Any, targets: Any) -> None:
    tuner = ThresholdTuner(BinaryF1Score(), scores=scores, targets=targets)
    trainer = quick(tuner, **EVERY_BATCH)
    trainer.validate(Foreign(), loader(), verbose=False)
    assert tuner.threshold == find_threshold(SCORES, TARGETS, "f1").value
    assert "val/binary_f1_score_at_threshold" in trainer.callback_metrics


def test_all_loaders_count(quick: Quick) -> None:
    tuner = ThresholdTuner("accuracy", steps=7, bounds=(0.2, 0.9), prefer=0.3)
    trainer = quick(tuner, **EVERY_BATCH)
    trainer.validate(Foreign(), [loader(20), loader(50)], verbose=False)
    scores, targets = (np.concatenate([part[:20], part]) for part in (SCORES, TARGETS))
    expected = find_threshold(scores, targets, "accuracy", steps=7, bounds=(0.2, 0.9), prefer=0.3)
    assert (tuner.threshold, tuner.metric) == (expected.value, expected.metric)


@pytest.mark.parametrize("settings", [{}, {"loss": "bce"}])
def test_a_classifier_decides_by_it_and_its_checkpoint_has_it(
    tmp_path: Path, quick: Quick, settings: Any
) -> None:
    data, module, tuner = serve(tmp_path / "d"), classifier(**settings), ThresholdTuner()
    best = ModelCheckpoint(tmp_path / "best", monitor="val/f1_at_threshold", mode="max")
    trainer = quick(tuner, best, enable_checkpointing=True, max_epochs=2, **EVERY_BATCH)
    trainer.fit(module, data)
    scores, targets = scores_of(module, data)
    expected = find_threshold(scores, targets, "f1")
    assert module.threshold == tuner.threshold == expected.value != 0.5
    batches: Any = trainer.predict(module, data)
    for batch in batches:
        decided = batch["probabilities"][:, 1] > expected.value
        assert torch.equal(batch["classes"].bool(), decided)
    saved = torch.load(best.best_model_path, weights_only=True)
    loaded = ClassifierModule.load_from_checkpoint(best.best_model_path)
    assert loaded.threshold == saved["callbacks"][tuner.state_key]["threshold"]
    (found,) = quick(**EVERY_BATCH).validate(loaded, data, verbose=False)
    by_hand = scores_of(loaded, data)
    decided = by_hand[0] > loaded.threshold
    assert found["val/accuracy"] == pytest.approx(by_sklearn.accuracy_score(by_hand[1], decided))


def test_labels_are_calibrated_together(tmp_path: Path, quick: Quick) -> None:
    rows = np.random.default_rng(3).normal(size=(12, 2)).astype(np.float32)
    labels = (rows + np.random.default_rng(4).normal(size=(12, 2)) > 1).astype(np.int64)
    write_shards(tmp_path, dict.fromkeys(range(2), rows), labels=dict.fromkeys(range(2), labels))
    module = ClassifierModule(nn.Identity(), task="multilabel", input_shape=(2,), num_classes=2)
    tuner, data = ThresholdTuner("accuracy"), AutoDataModule(tmp_path, val=[1], batch_size=5)
    quick(tuner, **EVERY_BATCH).validate(module, data, verbose=False)
    expected = find_threshold(torch.from_numpy(rows).sigmoid(), labels, "accuracy")
    assert (module.threshold, tuner.metric) == (expected.value, expected.metric)


def test_of_time_windows_the_prediction_of_the_batch_counts(tmp_path: Path, quick: Quick) -> None:
    numbers = np.random.default_rng(0)
    series: Any = {n: numbers.normal(size=(10, 6, 2)).astype(np.float32) for n in range(3)}
    labels: Any = {n: (rows.mean((1, 2)) > 0.1).astype(np.int64) for n, rows in series.items()}
    write_shards(tmp_path, series, labels=labels)
    data = AutoDataModule(tmp_path, val=[1], batch_size=4, windows={"size": 2})
    module = classifier(input_shape=(2, 2))
    tuner = ThresholdTuner("accuracy")
    trainer = quick(tuner, **EVERY_BATCH)
    trainer.validate(module, data, verbose=False)
    data_of_all: Any = [data.fetch("val", 0, index) for index in range(9)]
    with torch.no_grad():
        shares = [module.eval().interpret(module(inputs))[:, 1] for inputs, _ in data_of_all]
    batches = [torch.stack(shares[first : first + 3]).mean(0) for first in (0, 3, 6)]
    expected = find_threshold(torch.cat(batches), labels[1], "accuracy")
    assert tuner.metric == pytest.approx(expected.metric)
    assert tuner.threshold == pytest.approx(expected.value)


def test_training_is_the_same_bit_for_bit(tmp_path: Path, quick: Quick) -> None:
    def train(*callbacks: Callback) -> list[Any]:
        torch.manual_seed(3)
        random.seed(3)
        module = classifier(metrics=["auroc"])
        data = serve(tmp_path / "d")
        limits: dict[str, Any] = {"limit_train_batches": 1.0, "val_check_interval": 2}
        quick(*callbacks, max_epochs=2, **limits, **EVERY_BATCH).fit(module, data)
        weights = [parameter.tolist() for parameter in module.parameters()]
        return [weights, torch.rand(3).tolist(), random.random(), module.training]

    selectors = SubsetSelector(1), SubsetSelector(2, "f1", by="predictions")
    assert train(ThresholdTuner(), *selectors) == train()


class Stopping(Callback):
    """Sends the process a signal in a validation batch of the second epoch."""

    @override
    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if trainer.current_epoch == 1 and batch_idx == 2:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("foreign", [False, True])
def test_a_validation_that_was_broken_off_is_finished_as_if_it_had_not_been(
    tmp_path: Path, quick: Quick, foreign: bool
) -> None:
    def run(folder: Path, *more: Callback) -> list[Any]:
        torch.manual_seed(2)
        random.seed(2)
        module: Any = Foreign() if foreign else classifier()
        tuner, greedy = ThresholdTuner(), SubsetSelector(2, "f1", by="predictions")
        by_loss = SubsetSelector(1) if not foreign else SubsetSelector(3, "accuracy")
        resume = ExactResume(folder, every_seconds=None)
        trainer = quick(tuner, greedy, by_loss, *more, resume, max_epochs=2, **EVERY_BATCH)
        data: Any = loader() if foreign else serve(tmp_path / "d")
        others: dict[str, Any] = {"val_dataloaders": loader()} if foreign else {}
        trainer.fit(module, data, **others, ckpt_path=latest_checkpoint(folder))
        logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
        states = [one.state_dict() for one in (tuner, greedy, by_loss)]
        return [states, logged, module.threshold, [p.tolist() for p in module.parameters()]]

    whole = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "broken", Stopping())
    path = latest_checkpoint(tmp_path / "broken")
    assert path is not None
    saved = torch.load(path, weights_only=True)["leyden.collected_rows"]
    num_rows = sorted(len(part) for parts in saved.values() for part in parts)
    assert num_rows == ([24] * 3 if foreign else [4, 15, 15])  # of three batches
    assert run(tmp_path / "broken") == whole


def test_a_checkpoint_between_validations_holds_no_rows(tmp_path: Path, quick: Quick) -> None:
    trainer = quick(ThresholdTuner(), **EVERY_BATCH)
    trainer.fit(Foreign(), loader(), loader())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert "leyden.collected_rows" not in torch.load(tmp_path / "a.ckpt", weights_only=True)


@pytest.mark.parametrize("kind", ["number", "buffer", "nothing"])
def test_a_foreign_module_gets_its_threshold_again(tmp_path: Path, quick: Quick, kind: str) -> None:
    def make() -> Any:
        module: Any = Foreign()
        if kind != "number":
            del module.threshold
        if kind == "buffer":
            module.register_buffer("threshold", torch.tensor(0.5), persistent=False)
        return module

    tuner = ThresholdTuner()
    trainer = quick(tuner, **EVERY_BATCH)
    trainer.fit(make(), loader(), loader())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again, module = ThresholdTuner(), make()
    module.predict_step = lambda batch, batch_idx: batch[0]
    quick(again).predict(module, loader(), ckpt_path=tmp_path / "a.ckpt")
    assert again.state_dict() == tuner.state_dict()
    if kind == "nothing":
        assert not hasattr(module, "threshold")
    else:
        assert float(module.threshold) == pytest.approx(again.threshold)


def test_a_threshold_set_by_hand_is_not_set_back(tmp_path: Path, quick: Quick) -> None:
    data, module = serve(tmp_path / "d"), classifier()
    trainer = quick(ThresholdTuner(), **EVERY_BATCH)
    trainer.fit(module, data)
    module.threshold = 0.123
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    other = classifier()
    quick(ThresholdTuner()).predict(other, data, ckpt_path=tmp_path / "a.ckpt")
    assert other.threshold == 0.123


def test_scores_that_are_no_numbers_change_nothing(quick: Quick) -> None:
    module = Foreign()
    module.threshold = 0.4
    tuner = ThresholdTuner(scores=lambda outputs, batch: batch[0] * float("nan"))
    trainer = quick(tuner, **EVERY_BATCH)
    with pytest.warns(UserWarning, match="keeps the threshold: not all scores are finite"):
        trainer.validate(module, loader(), verbose=False)
    assert (module.threshold, tuner.threshold) == (0.4, None)


def test_an_exception_leaves_no_rows_to_the_next_validation(quick: Quick) -> None:
    class Failing(Foreign):
        fails = True

        @override
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            if self.fails and batch_idx == 2:
                raise KeyError("mine")
            return super().validation_step(batch, batch_idx)

    module, tuner = Failing(), ThresholdTuner()
    trainer = quick(tuner, **EVERY_BATCH)
    with pytest.raises(KeyError, match="mine"):
        trainer.validate(module, loader(), verbose=False)
    module.fails = False
    trainer.validate(module, loader(), verbose=False)
    assert tuner.metric == find_threshold(SCORES, TARGETS, "f1").metric


@pytest.mark.parametrize("make", [ThresholdTuner, lambda: SubsetSelector(2, "f1")])
def test_state_survives_json_and_teardown_may_come_twice(
    quick: Quick, make: Callable[[], Any]
) -> None:
    first, second = make(), make()
    assert json.loads(json.dumps(first.state_dict())) == first.state_dict()
    trainer, module = quick(first, **EVERY_BATCH), Foreign()
    trainer.fit(module, loader(), loader())
    state = json.loads(json.dumps(first.state_dict()))
    second.load_state_dict(state)
    assert second.state_dict() == first.state_dict() != make().state_dict()
    with pytest.raises(ResumeError, match="the version of the state to be 1, but got 2"):
        second.load_state_dict({"version": 2})
    assert second.state_dict() == first.state_dict()
    for _ in range(2):
        first.teardown(trainer, module, "fit")
    make().on_exception(trainer, module, KeyError("mine"))


def test_tuners_of_two_kinds_are_told_apart() -> None:
    tuners = [ThresholdTuner(), ThresholdTuner("accuracy"), ThresholdTuner(attribute="other")]
    assert len({tuner.state_key for tuner in tuners}) == 3
    selectors = [SubsetSelector(), SubsetSelector(3), SubsetSelector(5, "f1")]
    assert len({selector.state_key for selector in selectors}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "f2x"}, "Expected `metric` to be a known name or an import path, but got 'f2"),
        ({"metric": "auroc"}, "compare decisions, but 'binary_auroc' takes scores."),
        ({"steps": 0}, "Expected `steps` to be a whole number from 2, but got 0."),
        ({"bounds": (1, 0)}, "a lowest and a highest threshold, but got (1, 0)."),
    ],
)
def test_what_cannot_be_searched_is_refused_at_once(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ThresholdTuner(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": "probs"}, "to return a dictionary with 'probs', but got ['scores', 'targets'"),
        ({"scores": lambda o, b: 3}, "Expected `scores` to be a tensor with a row for each sampl"),
        ({"targets": lambda o, b: b[1][:1]}, "but got the shapes (8,) and (1,)."),
        ({"scores": lambda o, b: torch.zeros(8, 3)}, "for each target, but got the shapes (8, 3)"),
    ],
)
def test_scores_that_are_not_there_are_asked_for(quick: Quick, options: Any, message: str) -> None:
    trainer = quick(ThresholdTuner(**options), **EVERY_BATCH)
    with pytest.raises(ConfigError, match=re.escape(message)):
        trainer.validate(Foreign(), loader(), verbose=False)


def test_a_step_that_returns_a_loss_is_told_what_to_do(quick: Quick) -> None:
    class Plain(Foreign):
        @override
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            return batch[0].sum()

    trainer = quick(ThresholdTuner(), **EVERY_BATCH)
    expected = "but got Tensor. Return one, or pass `scores` as a function of what it returns"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        trainer.validate(Plain(), loader(), verbose=False)


def test_scores_that_are_no_probabilities_need_bounds(quick: Quick) -> None:
    trainer = quick(ThresholdTuner(scores=lambda outputs, batch: 9 * batch[0]), **EVERY_BATCH)
    with pytest.raises(DataError, match="Pass `bounds` for other scores"):
        trainer.validate(Foreign(), loader(), verbose=False)


def test_more_classes_have_no_threshold(tmp_path: Path, quick: Quick) -> None:
    rows = np.zeros((6, 3), np.float32)
    labels = np.arange(6) % 3
    write_shards(tmp_path, {0: rows, 1: rows}, labels={0: labels, 1: labels})
    trainer = quick(ThresholdTuner())
    with pytest.raises(ConfigError, match="two classes, or several labels, for a `ThresholdTuner`"):
        trainer.fit(ClassifierModule(SMALL), AutoDataModule(tmp_path, val=[1], batch_size=3))


def run_script(folder: Path, devices: int, *more: str, check: bool = True) -> int:
    command = [sys.executable, str(SCRIPT), str(folder), str(devices), *more]
    return subprocess.run(command, check=check, timeout=180).returncode


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    lengths = {0: 8, 1: 8, 7: 9, 8: 11, 9: 5}  # the last of 25 validation rows is left to one
    rows: Any = {n: numbers.normal(size=(k, 1)).astype(np.float32) for n, k in lengths.items()}
    labels: Any = {
        n: (part[:, 0] + numbers.normal(size=len(part)) > 0.5).astype(np.int64)
        for n, part in rows.items()
    }
    write_shards(tmp_path / "d", rows, labels=labels)
    for devices in (1, 2):
        run_script(tmp_path, devices)
    one, two, other = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("1-0", "2-0", "2-1")
    )
    assert two == other
    for name in ("tuner", "counted", "called", "history", "greedy", "threshold"):
        assert two[name] == one[name]
    assert one["called"]["metric"] == pytest.approx(one["tuner"]["metric"])
    scores = torch.cat([torch.from_numpy(rows[n][:, 0]) for n in (7, 8, 9)]).sigmoid()
    targets = np.concatenate([labels[n] for n in (7, 8, 9)])
    expected = find_threshold(scores, targets, "f1")
    assert (one["threshold"], one["tuner"]["metric"]) == (expected.value, expected.metric)
    assert two["uneven"]["threshold"] is not None
    checkpoints = str(tmp_path / "c")
    assert run_script(tmp_path, 2, checkpoints, "stop", check=False) == 128 + signal.SIGTERM
    for found in tmp_path.glob("2-*.json"):
        found.unlink()
    run_script(tmp_path, 2, checkpoints)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"2-{rank}.json").read_text()) == two


def test_a_development_run_may_lack_a_class(quick: Quick) -> None:
    tuner = ThresholdTuner(
        "informedness",
        scores=lambda _outputs, batch: batch.mean(1).sigmoid(),
        targets=lambda _outputs, batch: torch.zeros(len(batch)),
    )
    quick(tuner, fast_dev_run=True).fit(BoringModel())
    assert tuner.threshold is None
