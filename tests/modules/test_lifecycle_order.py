"""farabio's hooks come once each, in the documented order, however the loop goes."""

import json
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader, IterableDataset
from typing_extensions import override

from leyden.modules import LifecycleModule

MakeTrainer: TypeAlias = Callable[..., Trainer]

pytestmark = [
    # Checkpoints are resumed in trainers that write none.
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended:UserWarning"),
]

SCRIPT = Path(__file__).parent / "lifecycle_ranks_script.py"


def training(
    *epochs: Collection[int], num_batches: int = 3, num_evaluated: int = 2, starts: bool = True
) -> list[str]:
    """Write out the documented graph of training.

    Args:
        *epochs: For each, the numbers of batches, from one, after which there is an evaluation.
        num_batches: Batches of each epoch.
        num_evaluated: Batches of each evaluation.
        starts: Whether training starts and ends, or goes on.
    """
    calls = ["on_train_start", "start_logger"] if starts else []
    for number, evaluated in enumerate(epochs, start=1):
        calls += epoch(number, evaluated, num_batches, num_evaluated)
    return [*calls, "on_train_end"] if starts else calls


def epoch(
    number: int, evaluated: Collection[int], num_batches: int, num_evaluated: int
) -> list[str]:
    calls = [f"on_train_epoch_start {number}"]
    for batch in range(1, num_batches + 1):
        calls += ["on_start_training_batch", "training_step", "on_end_training_batch"]
        if batch == num_batches:
            calls += [f"on_train_batches_end {number}"]
        if batch in evaluated:
            calls += evaluation(num_evaluated)
    return [*calls, f"on_epoch_end {number}"]


def evaluation(num_batches: int) -> list[str]:
    batch = ["on_evaluate_batch_start", "evaluate_batch", "on_evaluate_batch_end"]
    return ["on_evaluate_epoch_start", *num_batches * batch, "on_evaluate_epoch_end"]


class Recorder(LifecycleModule):
    """Overrides every hook, under its documented name."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.stop_at = ""
        self.layer = nn.Linear(2, 1)

    def note(self, call: str) -> None:
        self.calls.append(call)
        if self.stop_at and self.calls.count(self.stop_at) == 1 and call == self.stop_at:
            self.stop_train()

    @override
    def on_train_start(self) -> None:
        self.note("on_train_start")

    @override
    def start_logger(self) -> None:
        self.note("start_logger")

    @override
    def on_train_epoch_start(self) -> None:
        self.note(f"on_train_epoch_start {self._epoch}")

    @override
    def on_start_training_batch(self, item: tuple[int, Any]) -> None:
        self.note("on_start_training_batch")

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.note("training_step")
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def on_end_training_batch(self) -> None:
        self.note("on_end_training_batch")

    @override
    def on_train_batches_end(self) -> None:
        self.note(f"on_train_batches_end {self._epoch}")

    @override
    def on_evaluate_epoch_start(self) -> None:
        self.note("on_evaluate_epoch_start")

    @override
    def on_evaluate_batch_start(self, item: tuple[int, Any]) -> None:
        self.note("on_evaluate_batch_start")

    @override
    def evaluate_batch(self, item: tuple[int, Any]) -> None:
        self.note("evaluate_batch")

    @override
    def on_evaluate_batch_end(self) -> None:
        self.note("on_evaluate_batch_end")

    @override
    def on_evaluate_epoch_end(self) -> None:
        self.note("on_evaluate_epoch_end")

    @override
    def on_epoch_end(self) -> None:
        self.note(f"on_epoch_end {self._epoch}")

    @override
    def on_train_end(self) -> None:
        self.note("on_train_end")

    @override
    def load_model(self) -> None:
        self.note("load_model")

    @override
    def on_test_start(self) -> None:
        self.note("on_test_start")

    @override
    def on_start_test_batch(self) -> None:
        self.note("on_start_test_batch")

    @override
    def test_step(self, item: Tensor) -> None:
        self.note("test_step")

    @override
    def on_end_test_batch(self) -> None:
        self.note("on_end_test_batch")

    @override
    def on_test_end(self) -> None:
        self.note("on_test_end")

    @override
    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters(), lr=1e-6)


class Checkpoints(ModelCheckpoint):
    """Remembers how far the module was when each checkpoint was written."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, save_top_k=-1, filename="{epoch}-{step}", **options)
        self.num_calls: dict[str, int] = {}

    @override
    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        module: Any = trainer.lightning_module
        self.num_calls[filepath] = len(module.calls)
        super()._save_checkpoint(trainer, filepath)


class Endless(IterableDataset[Tensor]):
    """Three samples, but it does not say so."""

    @override
    def __iter__(self) -> Any:
        return iter(torch.ones(3, 2))


def batches(count: int) -> DataLoader[Tensor]:
    rows: Any = torch.ones(count, 2)
    return DataLoader(rows, batch_size=1)


def record(make_trainer: MakeTrainer, *, stop_at: str = "", **options: Any) -> list[str]:
    module = Recorder()
    module.stop_at = stop_at
    trainer = make_trainer(**{"max_epochs": 1, **options})
    trainer.fit(module, batches(3), batches(2))
    return module.calls


@pytest.mark.parametrize("num_epochs", [1, 3])
def test_each_epoch_is_trained_then_evaluated_then_ended(
    make_trainer: MakeTrainer, num_epochs: int
) -> None:
    assert record(make_trainer, max_epochs=num_epochs) == training(*num_epochs * [[3]])


def test_the_graph_of_an_epoch_is_the_one_that_is_documented() -> None:
    assert training([1], num_batches=1, num_evaluated=1) == [
        "on_train_start",
        "start_logger",
        "on_train_epoch_start 1",
        "on_start_training_batch",
        "training_step",
        "on_end_training_batch",
        "on_train_batches_end 1",
        "on_evaluate_epoch_start",
        "on_evaluate_batch_start",
        "evaluate_batch",
        "on_evaluate_batch_end",
        "on_evaluate_epoch_end",
        "on_epoch_end 1",
        "on_train_end",
    ]


def test_every_second_epoch_is_evaluated(make_trainer: MakeTrainer) -> None:
    calls = record(make_trainer, max_epochs=4, check_val_every_n_epoch=2)
    assert calls == training([], [3], [], [3])


def test_no_epoch_is_evaluated(make_trainer: MakeTrainer) -> None:
    assert record(make_trainer, max_epochs=2, limit_val_batches=0) == training([], [])


def test_evaluations_within_an_epoch_do_not_end_its_batches(make_trainer: MakeTrainer) -> None:
    calls = record(make_trainer, max_epochs=2, val_check_interval=1)
    assert calls == training([1, 2, 3], [1, 2, 3])


def test_evaluations_may_be_counted_across_epochs(make_trainer: MakeTrainer) -> None:
    options: dict[str, Any] = {"check_val_every_n_epoch": None, "val_check_interval": 2}
    assert record(make_trainer, max_epochs=2, **options) == training([2], [1, 3])


@pytest.mark.parametrize("moment", ["on_epoch_end 2", "on_evaluate_epoch_end"])
def test_a_hook_ends_training_with_its_epoch(make_trainer: MakeTrainer, moment: str) -> None:
    calls = record(make_trainer, max_epochs=5, stop_at=moment)
    assert calls == training(*(int(moment.split()[1]) if " " in moment else 1) * [[3]])


@pytest.mark.parametrize("moment", ["on_start_training_batch", "on_end_training_batch"])
def test_a_hook_ends_training_within_an_epoch(make_trainer: MakeTrainer, moment: str) -> None:
    calls = record(make_trainer, max_epochs=5, stop_at=moment)
    assert calls == training([1], num_batches=1)


def test_training_that_has_to_go_on_does(make_trainer: MakeTrainer) -> None:
    """The evaluations in between are such as Lightning adds once it may stop."""
    calls = record(make_trainer, min_epochs=2, max_epochs=3, stop_at="on_end_training_batch")
    assert calls == training([3], [3])


def test_a_stop_in_an_evaluation_within_an_epoch_ends_its_batches(
    make_trainer: MakeTrainer,
) -> None:
    calls = record(make_trainer, val_check_interval=2, stop_at="on_evaluate_epoch_end")
    in_time = training([2], num_batches=2)
    # That there would be no more batches was not known before.
    batches_end = in_time.index("on_train_batches_end 1")
    assert calls == [
        *in_time[:batches_end],
        *evaluation(2),
        "on_train_batches_end 1",
        "on_epoch_end 1",
        "on_train_end",
    ]


@pytest.mark.parametrize("options", [{}, {"val_check_interval": 1}])
def test_the_number_of_steps_ends_training_within_an_epoch(
    make_trainer: MakeTrainer, options: dict[str, Any]
) -> None:
    calls = record(make_trainer, max_epochs=-1, max_steps=5, **options)
    first = training([1, 2, 3] if options else [3], starts=False)
    second = epoch(2, [1, 2] if options else [], 2, 2)
    assert calls == ["on_train_start", "start_logger", *first, *second, "on_train_end"]


@pytest.mark.parametrize("max_steps", [-1, 2])
def test_gradients_of_three_batches_are_accumulated(
    make_trainer: MakeTrainer, max_steps: int
) -> None:
    calls = record(make_trainer, max_epochs=2, max_steps=max_steps, accumulate_grad_batches=3)
    assert calls == training([3], [3])


def test_a_strategy_may_accumulate_gradients_by_itself(
    make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning then leaves out the hook by which the end of batches is announced."""
    module, trainer = Recorder(), make_trainer(max_epochs=2, accumulate_grad_batches=2)
    monkeypatch.setattr(type(trainer.strategy), "handles_gradient_accumulation", True)
    trainer.fit(module, batches(3), batches(2))
    assert module.calls == training([3], [3])


def test_a_loader_need_not_know_its_length(make_trainer: MakeTrainer) -> None:
    module, loader = Recorder(), DataLoader(Endless(), batch_size=1)
    make_trainer(max_epochs=2).fit(module, loader, loader)
    assert module.calls == training([3], [3], num_evaluated=3)


def test_batches_are_limited(make_trainer: MakeTrainer) -> None:
    calls = record(make_trainer, max_epochs=2, limit_train_batches=2, limit_val_batches=1)
    assert calls == training([2], [2], num_batches=2, num_evaluated=1)


def test_an_epoch_that_a_hook_of_lightning_skips_is_ended(make_trainer: MakeTrainer) -> None:
    class Skipping(Recorder):
        @override
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if batch_idx == 1 else None

    module = Skipping()
    make_trainer(max_epochs=1).fit(module, batches(3), batches(2))
    wanted = training([], num_batches=1)
    wanted.insert(wanted.index("on_train_batches_end 1"), "on_start_training_batch")
    assert module.calls == wanted


def test_two_optimizers_take_turns(make_trainer: MakeTrainer) -> None:
    class Adversaries(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.other = nn.Linear(2, 1)

        @override
        def training_step(self, batch: Tensor, batch_idx: int) -> None:  # type: ignore[override] # it does the steps itself
            self.note("training_step")
            for layer, optimizer in zip((self.layer, self.other), self.optimizers(), strict=True):
                optimizer.zero_grad()
                self.loss_backward(layer(batch).sum())
                optimizer.step()

        @override
        def configure_optimizers(self) -> list[Optimizer]:  # type: ignore[override] # two of them
            return [SGD(layer.parameters(), lr=1e-6) for layer in (self.layer, self.other)]

    module = Adversaries()
    trainer = make_trainer(max_epochs=5, max_steps=10)
    trainer.fit(module, batches(3), batches(2))
    first = training([3], starts=False)
    wanted = ["on_train_start", "start_logger", *first, *epoch(2, [], 2, 2), "on_train_end"]
    assert module.calls == wanted
    assert trainer.global_step == 10


def test_a_test_begins_with_loading_the_model(make_trainer: MakeTrainer) -> None:
    module = Recorder()
    make_trainer().test(module, batches(2), verbose=False)
    batch = ["on_start_test_batch", "test_step", "on_end_test_batch"]
    assert module.calls == ["load_model", "on_test_start", *2 * batch, "on_test_end"]


def test_the_sanity_check_calls_no_hook(make_trainer: MakeTrainer) -> None:
    calls = record(make_trainer, num_sanity_val_steps=2)
    assert calls == training([3])


def test_a_trainer_trains_on(make_trainer: MakeTrainer) -> None:
    module, trainer = Recorder(), make_trainer(max_epochs=1)
    trainer.fit(module, batches(3), batches(2))
    module.calls.clear()
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, batches(3), batches(2))
    second = epoch(2, [3], 3, 2)
    assert module.calls == ["on_train_start", "start_logger", *second, "on_train_end"]


@pytest.mark.parametrize("in_same_trainer", [False, True])
def test_an_epoch_that_broke_off_begins_anew(
    make_trainer: MakeTrainer, *, in_same_trainer: bool
) -> None:
    class Breaking(Recorder):
        breaks = True

        @override
        def on_evaluate_epoch_start(self) -> None:
            super().on_evaluate_epoch_start()
            if self.breaks:
                raise KeyError("broken")

    module, trainer = Breaking(), make_trainer(max_epochs=1)
    with pytest.raises(KeyError, match="broken"):
        trainer.fit(module, batches(3), batches(2))
    module.breaks = False
    module.calls.clear()
    trainer = trainer if in_same_trainer else make_trainer(max_epochs=1)
    trainer.fit(module.train(), batches(3), batches(2))
    assert module.calls == training([3])


@pytest.mark.parametrize(
    ("moment", "evaluated", "num_checkpoints"),
    [
        ({"every_n_train_steps": 4}, [5], 3),  # within epochs
        ({"save_on_train_epoch_end": True}, [5], 2),
        ({"save_on_train_epoch_end": True}, [1, 2, 3, 4, 5], 2),
        ({"save_on_train_epoch_end": False}, [5], 3),  # at the end of evaluations
        ({"save_on_train_epoch_end": False}, [1, 2, 3, 4, 5], 15),
    ],
)
def test_a_resumed_run_doubles_and_misses_no_hook(
    make_trainer: MakeTrainer,
    tmp_path: Path,
    moment: dict[str, Any],
    evaluated: list[int],
    num_checkpoints: int,
) -> None:
    options: dict[str, Any] = {"max_epochs": 3, "val_check_interval": evaluated[0]}
    checkpoints, module = Checkpoints(tmp_path / "checkpoints", **moment), Recorder()
    make_trainer(**options, callbacks=[checkpoints]).fit(module, batches(5), batches(2))
    whole = training(*3 * [evaluated], num_batches=5)
    assert module.calls == whole
    # There is nothing to resume where only the end of training was left.
    resumable = {path: num for path, num in checkpoints.num_calls.items() if num < len(whole) - 1}
    for path, num_calls in resumable.items():
        resumed = Recorder()
        make_trainer(**options).fit(resumed, batches(5), batches(2), ckpt_path=path)
        assert resumed.calls == ["on_train_start", "start_logger", *whole[num_calls:]]
    assert len(resumable) == num_checkpoints


def test_an_epoch_resumed_after_its_last_step_is_still_ended(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """Lightning leaves out its validation and whatever it calls itself at an epoch's end."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_n_train_steps=3)
    options = {"max_epochs": 1, "num_sanity_val_steps": 0}
    make_trainer(**options, callbacks=[checkpoints]).fit(Recorder(), batches(3), batches(2))
    (path,) = checkpoints.num_calls
    for max_epochs in (1, 2):
        resumed = Recorder()
        trainer = make_trainer(**options | {"max_epochs": max_epochs})
        trainer.fit(resumed, batches(3), batches(2), ckpt_path=path)
        late = [call for call in resumed.calls if call.endswith("1")]
        assert late == ["on_train_batches_end 1", "on_epoch_end 1"]
        assert resumed.calls.count("on_train_batches_end 2") == max_epochs - 1


def test_a_run_resumed_with_nothing_left_to_train_is_still_ended(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", every_n_train_steps=2)
    options = {"max_epochs": -1, "max_steps": 2}
    make_trainer(**options, callbacks=[checkpoints]).fit(Recorder(), batches(3), batches(2))
    (path,) = checkpoints.num_calls
    resumed = Recorder()
    make_trainer(**options).fit(resumed, batches(3), batches(2), ckpt_path=path)
    assert resumed.calls == ["on_train_batches_end 1", "on_epoch_end 1"]


def test_a_checkpoint_that_knows_nothing_of_hooks_is_resumed(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    class Plain(Recorder):
        @override
        def configure_callbacks(self) -> list[Any]:
            return []

        @override
        def configure_model(self) -> None:
            pass

    checkpoints = Checkpoints(tmp_path / "checkpoints", every_n_train_steps=2)
    make_trainer(max_epochs=1, callbacks=[checkpoints]).fit(Plain(), batches(3), batches(2))
    (path,) = checkpoints.num_calls
    resumed = Recorder()
    make_trainer(max_epochs=1).fit(resumed, batches(3), batches(2), ckpt_path=path)
    last_batch = epoch(1, [1], 1, 2)[1:]
    assert resumed.calls == ["on_train_start", "start_logger", *last_batch, "on_train_end"]


def test_two_processes_call_every_hook_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    subprocess.run([sys.executable, SCRIPT, path], check=True, timeout=120)
    for rank in (0, 1):
        said = json.loads(path.with_name(f"calls-{rank}.json").read_text())
        assert said["calls"] == ["build_parallel_model", *training([1, 2], [1, 2], num_batches=2)]
        assert said["tested"] == ["load_parallel_model", "on_start_test_batch", "on_end_test_batch"]
        assert said["means"] == {"rank": 0.5, "recorded": 0.5}  # over ranks 0 and 1
