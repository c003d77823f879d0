"""Every documented moment comes once, in the documented order, however the loop goes."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader, IterableDataset
from typing_extensions import override

from leyden.callbacks import StageHooks

Quick = Callable[..., Trainer]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended:UserWarning"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists:UserWarning"),
]

VALIDATION = ["val:iter", "val:batch", "val:iter", "val:batch", "val:epoch"]

ONE_EPOCH = """
    before_epoch 0
    before_step 0  after_step 1  train:iter  train:batch
    before_step 1  after_step 2  train:iter  train:batch
    before_step 2  after_step 3  train:iter  train:batch
    after_epoch 0  train:epoch
    val:iter  val:batch
    val:iter  val:batch
    val:epoch
    val_end+train:epoch
"""


def documented(
    num_epochs: int,
    *,
    num_steps: int = 3,
    validated: Collection[int] = (),
    between: Collection[int] = (),
) -> list[str]:
    """Write out epochs of which some end with a validation, or have some between two steps."""
    calls, step = [], 0
    for epoch in range(num_epochs):
        calls += [f"before_epoch {epoch}"]
        for index in range(1, num_steps + 1):
            calls += [f"before_step {step}", f"after_step {step + 1}", "train:iter", "train:batch"]
            calls += [*VALIDATION, "val_end"] if index in between else []
            step += 1
        calls += [f"after_epoch {epoch}", "train:epoch"]
        calls += [*VALIDATION, "val_end+train:epoch"] if epoch in validated else []
    return calls


def words(text: str) -> list[str]:
    """Read calls that are written with two blanks or a line's end between them."""
    return [call.strip() for line in text.strip().splitlines() for call in line.split("  ") if call]


def test_one_epoch_is_as_documented(notes: Any, quick: Quick) -> None:
    quick(StageHooks([notes.hook(), notes.stages()])).fit(BoringModel())
    assert list(notes) == [call for call in words(ONE_EPOCH) if call]
    assert list(notes) == documented(1, validated=[0])


@pytest.mark.parametrize(
    ("every", "validated"), [(1, [0, 1, 2]), (2, [1]), (4, [])], ids=["each", "second", "none"]
)
def test_three_epochs_are_validated_every_so_often(
    notes: Any, quick: Quick, every: int, validated: list[int]
) -> None:
    trainer = quick(
        StageHooks([notes.hook(), notes.stages()]), max_epochs=3, check_val_every_n_epoch=every
    )
    trainer.fit(BoringModel())
    assert list(notes) == documented(3, validated=validated)


def test_without_validation_the_epoch_ends_all_the_same(notes: Any, quick: Quick) -> None:
    hooks = StageHooks([notes.hook(), notes.stages()])
    quick(hooks, max_epochs=2, limit_val_batches=0).fit(BoringModel())
    assert list(notes) == documented(2)


@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_validation_in_the_middle_ends_no_epoch(
    notes: Any, quick: Quick, accumulated: int
) -> None:
    trainer = quick(
        StageHooks([notes.hook(), notes.stages()]),
        max_epochs=2,
        limit_train_batches=4,
        val_check_interval=0.5,
        accumulate_grad_batches=accumulated,
    )
    trainer.fit(BoringModel())
    assert list(notes) == documented(2, num_steps=4, between=[2], validated=[0, 1])


def test_a_validation_that_misses_the_last_step_ends_no_epoch(notes: Any, quick: Quick) -> None:
    trainer = quick(StageHooks([notes.hook(), notes.stages()]), val_check_interval=2)
    trainer.fit(BoringModel())
    assert list(notes) == documented(1, between=[2])


def test_steps_are_batches_when_gradients_are_accumulated(notes: Any, quick: Quick) -> None:
    trainer = quick(
        StageHooks([notes.hook(), notes.stages()]), max_epochs=3, accumulate_grad_batches=3
    )
    trainer.fit(BoringModel())
    assert trainer.global_step == 3
    assert list(notes) == documented(3, validated=[0, 1, 2])


class TwoOptimizers(BoringModel):
    """Makes two optimizer steps of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    @override
    def training_step(self, batch: Any, batch_idx: int) -> None:
        for optimizer in self.optimizers():  # type: ignore[union-attr] # there are several
            optimizer.zero_grad()
            self.manual_backward(self.layer(batch).mean())
            optimizer.step()

    @override
    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]


def test_steps_are_batches_with_two_optimizers(notes: Any, quick: Quick) -> None:
    trainer = quick(StageHooks([notes.hook(), notes.stages()]))
    trainer.fit(TwoOptimizers())
    assert trainer.global_step == 6
    assert list(notes) == documented(1, validated=[0])


class Stream(IterableDataset[torch.Tensor]):
    """Rows without a known number."""

    @override
    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(torch.ones(3, 32))


@pytest.mark.parametrize("limit", [1.0, 2])
def test_a_loader_without_length_ends_its_epochs(notes: Any, quick: Quick, limit: Any) -> None:
    trainer = quick(
        StageHooks([notes.hook(), notes.stages()]), max_epochs=2, limit_train_batches=limit
    )
    trainer.fit(BoringModel(), DataLoader(Stream(), batch_size=1), BoringModel().val_dataloader())
    num_steps = 3 if limit == 1.0 else 2
    assert list(notes) == documented(2, num_steps=num_steps, validated=[0, 1])


def test_running_out_of_steps_in_the_middle_of_an_epoch_ends_it(notes: Any, quick: Quick) -> None:
    hooks = StageHooks([notes.hook(), notes.stages()])
    quick(hooks, max_epochs=-1, max_steps=4).fit(BoringModel())
    both = documented(2, validated=[0])
    after_four = both.index("after_step 4") + 3
    assert list(notes) == [*both[:after_four], "after_epoch 1", "train:epoch"]


def test_the_last_step_allowed_ends_the_epoch_before_its_validation(
    notes: Any, quick: Quick
) -> None:
    hooks = StageHooks([notes.hook(), notes.stages()])
    quick(hooks, max_epochs=-1, max_steps=2, val_check_interval=2).fit(BoringModel())
    assert list(notes) == documented(1, num_steps=2, validated=[0])


class Stopping:
    """Stops the run after a number of steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def attach(self, run: Any) -> None:
        self.run = run

    def after_step(self, step: int, results: Any) -> None:
        self.run.trainer.should_stop |= step == self.after

    def after_epoch(self, epoch: int) -> None:
        self.run.trainer.should_stop |= self.after == 0


def test_a_hook_may_stop_the_run_after_an_epoch(notes: Any, quick: Quick) -> None:
    hooks = StageHooks([notes.hook(), notes.stages(), Stopping(0)])
    quick(hooks, max_epochs=3).fit(BoringModel())
    assert list(notes) == documented(1, validated=[0])


def test_a_hook_may_stop_the_run_in_the_middle_of_an_epoch(notes: Any, quick: Quick) -> None:
    hooks = StageHooks([notes.hook(), notes.stages(), Stopping(2)])
    quick(hooks, max_epochs=3).fit(BoringModel())
    assert list(notes) == documented(1, num_steps=2, validated=[0])


def test_a_run_that_may_not_stop_yet_goes_on(notes: Any, quick: Quick) -> None:
    class Urging(Stopping):
        @override
        def after_step(self, step: int, results: Any) -> None:
            self.run.trainer.should_stop = True

    hooks = StageHooks([notes.hook(), notes.stages(), Urging(1)])
    options = {"max_epochs": 3, "min_epochs": 2, "val_check_interval": 1}
    quick(hooks, limit_train_batches=2, **options).fit(BoringModel())
    assert list(notes) == documented(2, num_steps=2, between=[1], validated=[0, 1])


def test_an_epoch_that_ordinary_early_stopping_ends_is_whole(notes: Any, quick: Quick) -> None:
    class Logging(BoringModel):
        @override
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.log("val/loss", torch.tensor(1.0))

    stopping = EarlyStopping("val/loss", patience=1)
    quick(stopping, StageHooks([notes.hook(), notes.stages()]), max_epochs=5).fit(Logging())
    assert list(notes) == documented(2, validated=[0, 1])


def test_an_epoch_that_the_module_skips_the_rest_of_is_whole(notes: Any, quick: Quick) -> None:
    class Skipping(BoringModel):
        @override
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 1 else None

    quick(StageHooks([notes.hook(), notes.stages()])).fit(Skipping())
    assert list(notes) == [
        "before_epoch 0",
        *("before_step 0", "after_step 1", "train:iter", "train:batch"),
        "before_step 1",
        *("after_epoch 0", "train:epoch"),
    ]


def test_validating_alone_has_only_its_own_moments(notes: Any, quick: Quick) -> None:
    hooks = StageHooks([notes.hook(), notes.stages(), notes.experiment()])
    quick(hooks).validate(BoringModel(), verbose=False)
    assert list(notes) == [*VALIDATION, "val_end"]


def test_fitting_and_testing_are_steps_of_an_experiment(notes: Any, quick: Quick) -> None:
    trainer = quick(StageHooks([notes.experiment()]))
    trainer.fit(BoringModel())
    trainer.test(BoringModel(), verbose=False)
    assert list(notes) == [
        *("fit_model begins", "fit_model ends"),
        *("evaluate_model begins", "evaluate_model ends"),
    ]


def test_the_checkpoint_of_a_validation_is_written_before_its_end(
    notes: Any, quick: Quick, tmp_path: Path
) -> None:
    checkpoint = ModelCheckpoint(tmp_path, save_on_train_epoch_end=False)
    hooks = StageHooks([notes.hook(), notes.stages()])
    trainer = quick(checkpoint, hooks, max_epochs=2, enable_checkpointing=True)
    trainer.fit(BoringModel())
    trainer.fit(BoringModel(), ckpt_path=checkpoint.best_model_path)
    expected = documented(2, validated=[0, 1])
    for place in [index for index, call in enumerate(expected) if call.startswith("val_end")][::-1]:
        expected.insert(place, "save")
    assert list(notes) == [*expected, "load", "val_end+train:epoch"]


class Stages:
    """Notes all stages but those of saving and loading."""

    def __init__(self, notes: Any) -> None:
        self.on_train_iter_end = self.on_train_batch_end = self.on_train_epoch_end = notes.append
        self.on_val_iter_end = self.on_val_batch_end = self.on_val_epoch_end = notes.append
        self.on_val_end = lambda stage: notes.append("val_end" if stage == "val_end" else "tuple")


EACH_STEP = {"every_n_train_steps": 1}
AFTER_VALIDATION = {"save_on_train_epoch_end": False}
AFTER_EPOCH = {"save_on_train_epoch_end": True}


@pytest.mark.parametrize(
    ("when", "options"),
    [
        (EACH_STEP, {}),
        (EACH_STEP, {"max_epochs": -1, "max_steps": 5}),
        (EACH_STEP, {"accumulate_grad_batches": 3}),
        (AFTER_VALIDATION, {"val_check_interval": 1}),
        (AFTER_VALIDATION, {}),
        (AFTER_EPOCH, {}),
        (AFTER_EPOCH, {"limit_val_batches": 0}),
    ],
)
def test_a_resumed_run_calls_what_is_left(
    notes: Any, quick: Quick, tmp_path: Path, when: Any, options: Any
) -> None:
    saved: list[int] = []
    hooks = StageHooks([notes.hook(), Stages(notes), {"save": lambda _: saved.append(len(notes))}])
    checkpoint = ModelCheckpoint(tmp_path, filename="{epoch}-{step}", save_top_k=-1, **when)
    options = {"max_epochs": 3, **options}
    quick(checkpoint, hooks, enable_checkpointing=True, **options).fit(BoringModel())
    whole, paths = list(notes), sorted(tmp_path.glob("*.ckpt"), key=_written)
    assert len(paths) == len(saved) > 1
    for path, place in zip(paths, saved, strict=True):
        notes.clear()
        resumed = StageHooks([notes.hook(), Stages(notes)])
        quick(resumed, **options).fit(BoringModel(), ckpt_path=path)
        left = whole[place:]
        if when is EACH_STEP and left[0].startswith("after_epoch"):
            del left[2 : 2 + len([*VALIDATION, "tuple"])]  # which Lightning itself leaves out
        assert list(notes) == left


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_a_checkpoint_without_hooks_begins_where_it_is(
    notes: Any, quick: Quick, tmp_path: Path
) -> None:
    checkpoint = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=2)
    quick(checkpoint, enable_checkpointing=True).fit(BoringModel())
    hooks = StageHooks([notes.hook(), notes.stages()])
    quick(hooks).fit(BoringModel(), ckpt_path=tmp_path / "step=2.ckpt")
    assert list(notes) == documented(1, num_steps=1, validated=[0])


def test_another_run_of_the_same_trainer_goes_on_counting(notes: Any, quick: Quick) -> None:
    trainer = quick(StageHooks([notes.hook(), notes.stages()]), max_epochs=1)
    module = BoringModel()
    trainer.fit(module)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module)
    assert list(notes) == documented(2, validated=[0, 1])


def test_a_new_trainer_counts_from_zero(notes: Any, quick: Quick) -> None:
    hooks = StageHooks([notes.hook(), notes.stages()])
    for _ in range(2):
        quick(hooks).fit(BoringModel())
    assert list(notes) == 2 * documented(1, validated=[0])
