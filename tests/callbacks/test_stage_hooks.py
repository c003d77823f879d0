"""Hooks of three systems beside each other, and what they are given."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import StageHooks
from leyden.errors import ConfigError, ResumeError
from leyden.lifecycle import Every, Hook, Moments, Results, RunView, StageCallback, TraingenCallback

Quick = Callable[..., Trainer]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Be aware that when using `ckpt_path`:UserWarning",
    "ignore:You're resuming from a checkpoint that ended:UserWarning",
)


class Reading(Hook):
    """Reads one path after each step."""

    def __init__(self, path: str, *, beforehand: bool = False) -> None:
        self.path, self.beforehand = path, beforehand
        self.values: list[Any] = []

    @override
    def wants(self, step: int) -> list[str]:
        return [self.path] if self.beforehand else []

    @override
    def after_step(self, step: int, results: Results) -> None:
        self.values.append(results[self.path])


def test_results_are_computed_once_and_only_if_somebody_reads_them(quick: Quick) -> None:
    computed: list[str] = []

    def compute(name: str) -> Callable[..., int]:
        def function(module: Any, **feeds: Any) -> int:
            computed.append(name)
            return len(computed)

        return function

    fetches = {"nested": {"read": compute("read")}, "unread": compute("unread")}
    hooks = [Reading("nested/read"), Reading("nested/read")]
    quick(StageHooks(hooks, fetches)).fit(BoringModel())
    assert computed == ["read", "read", "read"]
    assert hooks[0].values == hooks[1].values == [1, 2, 3]


def test_functions_are_given_the_module_and_the_feeds(quick: Quick) -> None:
    def mean(module: Any, inputs: Tensor) -> Any:
        return type(module).__name__, tuple(inputs.shape), module.training, torch.is_grad_enabled()

    hook = Reading("mean")
    quick(StageHooks([hook], {"mean": mean}), max_steps=1).fit(BoringModel())
    assert hook.values == [("BoringModel", (1, 32), False, False)]


def test_hooks_may_add_fetches_and_change_feeds_but_not_the_batch(quick: Quick) -> None:
    class Doubling(Hook):
        @override
        def before_step(self, step: int, fetches: Any, feeds: Any, batch: Any) -> None:
            fetches["double"] = lambda module, inputs: inputs[0, 0].item()
            feeds["inputs"] = 2 * feeds["inputs"]

    class Noting(BoringModel):
        @override
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            seen.append(batch[0, 0].item())
            return super().training_step(batch, batch_idx)

    seen: list[float] = []
    hook = Reading("double")
    quick(StageHooks([Doubling(), hook])).fit(Noting(), loader(), loader())
    assert seen == [1, 1, 1]
    assert hook.values == [2, 2, 2]


def loader() -> DataLoader[Any]:
    rows: Any = torch.ones(4, 32)
    return DataLoader(rows, batch_size=1)


def test_wanted_results_come_before_the_step_and_others_after_it(quick: Quick) -> None:
    def bias(module: Any, inputs: Tensor) -> Any:
        return module.layer.bias[0].item()

    first, second = Reading("bias", beforehand=True), Reading("bias")
    module = BoringModel()
    before = module.layer.bias[0].item()
    quick(StageHooks([first], {"bias": bias}), max_steps=1).fit(module)
    after = module.layer.bias[0].item()
    quick(StageHooks([second], {"bias": bias}), max_steps=1).fit(module)
    assert first.values == [before]
    assert before != after
    assert second.values == [module.layer.bias[0].item()]


def test_what_the_step_returned_and_its_number_are_results(quick: Quick) -> None:
    outputs, numbers = Reading("outputs/loss"), Reading("global_step")
    quick(StageHooks([outputs, numbers])).fit(BoringModel())
    assert [loss.requires_grad for loss in outputs.values] == [False] * 3
    assert numbers.values == [0, 1, 2]


def test_a_module_may_offer_fetches_of_its_own(quick: Quick) -> None:
    class Offering(BoringModel):
        def step_ops(self) -> Any:
            return {
                "mine": lambda module, inputs: "module",
                "both": lambda module, inputs: "module",
            }

    mine, both = Reading("mine"), Reading("both")
    fetches = {"both": lambda module, inputs: "hooks"}
    hooks = StageHooks([mine, both], fetches)
    quick(hooks, max_steps=1).fit(Offering())
    assert (mine.values, both.values) == (["module"], ["hooks"])
    with pytest.raises(KeyError, match=r"Known: both, global_step, outputs"):
        quick(hooks, max_steps=1).fit(BoringModel())  # which does not offer it


def test_the_longer_form_is_given_results_feeds_and_the_batch(quick: Quick) -> None:
    class Longer:
        def after_step(self, step: int, fetches: Any, feeds: Any, batch: Any) -> None:
            given.append((step, fetches["size"], feeds["inputs"] is batch))

    given: list[Any] = []
    fetches = {"size": lambda module, inputs: inputs.numel()}
    quick(StageHooks([Longer()], fetches)).fit(BoringModel())
    assert given == [(1, 32, True), (2, 32, True), (3, 32, True)]


def test_training_is_the_same_bit_for_bit_when_it_is_looked_at(quick: Quick) -> None:
    class Dropping(BoringModel):
        @override
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Sequential(  # type: ignore[assignment] # another layer
                torch.nn.Linear(32, 8),
                torch.nn.BatchNorm1d(8),
                torch.nn.Dropout(),
                torch.nn.Linear(8, 2),
            )

        @override
        def train_dataloader(self) -> DataLoader[Any]:
            return DataLoader(torch.randn(64, 32), batch_size=8, shuffle=True)  # type: ignore[arg-type] # a tensor has rows

    def train(*hooks: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        module = Dropping()
        fetches = {"noisy": lambda module, inputs: module(inputs) + torch.randn(1)}
        quick(StageHooks(hooks, fetches), max_epochs=2).fit(module)
        return module.state_dict()

    plain, watched = train(), train(Reading("noisy"), Reading("noisy", beforehand=True))
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_hooks_of_one_moment_are_called_in_the_order_of_the_list(notes: Any, quick: Quick) -> None:
    quick(StageHooks([notes.hook("a:"), [notes.hook("b:")]]), max_steps=1).fit(BoringModel())
    assert list(notes) == [
        *("a:before_epoch 0", "b:before_epoch 0"),
        *("a:before_step 0", "b:before_step 0"),
        *("a:after_step 1", "b:after_step 1"),
        *("a:after_epoch 0", "b:after_epoch 0"),
    ]


def test_functions_of_a_stage_are_given_the_run(quick: Quick) -> None:
    def look(run: RunView) -> None:
        counters = run.counters
        seen.append((run.stage, run.epoch, counters.num_iters, counters.num_val_iters))
        assert run.trainer.lightning_module is run.module
        assert run.data is None

    seen: list[Any] = []
    stages = {"train:epoch": look, "val:epoch": [look, look], ("val_end", "train:epoch"): [look]}
    quick(StageHooks([stages]), max_epochs=2, check_val_every_n_epoch=2).fit(BoringModel())
    ends = ("val_end", "train:epoch")
    assert seen == [
        ("train:epoch", 0, 3, 0),
        ("train:epoch", 1, 6, 0),
        *[("val:epoch", 1, 6, 2)] * 2,
        *[(ends, 1, 6, 2)] * 2,  # a function of either of its parts is called as well
    ]


def test_frequencies_are_looked_at_at_their_own_moment(notes: Any, quick: Quick) -> None:
    def note(name: str) -> Callable[[RunView], None]:
        return lambda run: notes.append(f"{name} {run.counters.num_iters}")

    functions = {
        Every(iters=2): note("iters"),
        Every(batches=4): note("batches"),
        Every(epochs=2): note("epochs"),
        Every(validations=3): note("validations"),
    }
    quick(StageHooks([functions]), max_epochs=4).fit(BoringModel())
    assert list(notes) == [
        *("iters 2", "iters 4", "batches 4", "iters 6", "epochs 6"),
        *("iters 8", "batches 8", "validations 9", "iters 10", "iters 12", "batches 12"),
        "epochs 12",
    ]


class InTwos(LightningDataModule):
    """Serves two windows to a batch."""

    def num_windows(self, phase: str, epoch: int) -> int:
        return 2

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        return loader()

    val_dataloader = train_dataloader


def test_a_batch_ends_with_its_last_window(notes: Any, quick: Quick) -> None:
    options = {"limit_train_batches": 1.0, "limit_val_batches": 1.0}
    quick(StageHooks([notes.stages()]), **options).fit(BoringModel(), InTwos())
    two = ["iter", "iter", "batch"]
    assert list(notes) == [
        *(f"train:{end}" for end in [*two, *two, "epoch"]),
        *(f"val:{end}" for end in [*two, *two, "epoch"]),
        "val_end+train:epoch",
    ]


def test_all_systems_and_ordinary_callbacks_work_beside_each_other(
    notes: Any, quick: Quick
) -> None:
    class Ordinary(Callback):
        @override
        def on_train_batch_end(self, *arguments: Any) -> None:
            notes.append("ordinary")

    class Stages(TraingenCallback):
        @override
        def on_train_batch_end(self, stage: Any) -> None:
            notes.append(f"{stage} of {self.tg.module.__class__.__name__}")

    class Experiment(StageCallback):
        @override
        def on_fit_model_end(self) -> None:
            notes.append("fit_model ends")

    hooks = StageHooks([Stages(), Experiment(), notes.hook()])
    quick(hooks, Ordinary(), limit_train_batches=1, limit_val_batches=0).fit(BoringModel())
    assert list(notes) == [
        *("before_epoch 0", "before_step 0"),
        *("after_step 1", "train:batch of BoringModel", "ordinary"),
        *("after_epoch 0", "fit_model ends"),
    ]


class Failing(Hook):
    """Fails in the method of a name."""

    def __init__(self, method: str) -> None:
        setattr(self, method, self.fail)

    def fail(self, *arguments: Any) -> None:
        raise RuntimeError("out of luck")


class Finalized(DummyLogger):
    """Keeps what it is told last."""

    status = ""

    @override
    def finalize(self, status: str) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("method", "note"),
    [
        ("before_epoch", "in `before_epoch` of the hook `Failing`"),
        ("before_step", "in `before_step` of the hook `Failing`"),
        ("wants", "in `wants` of the hook `Failing`"),
        ("after_epoch", "in `after_epoch` of the hook `Failing`"),
        ("on_train_iter_end", "in `train:iter` of the hook `Failing`"),
        ("on_val_end", r"in `\('val_end', 'train:epoch'\)` of the hook `Failing`"),
        ("on_fit_model_end", "in `on_fit_model_end` of the hook `Failing`"),
        ("attach", "in `attach` of the hook `Failing`"),
    ],
)
def test_a_hook_that_fails_is_named_and_the_run_fails(
    notes: Any, quick: Quick, method: str, note: str
) -> None:
    logger = Finalized()
    hooks = StageHooks([notes.hook("a:"), Failing(method), notes.hook("b:")])
    with pytest.raises(RuntimeError, match="out of luck") as error:
        quick(hooks, logger=logger, log_every_n_steps=1).fit(BoringModel())
    assert error.match(note)
    assert logger.status == "failed"
    assert notes[-2:] == ["a:at_exception RuntimeError", "b:at_exception RuntimeError"]
    assert sum("at_exception" in call for call in notes) == 2


def test_a_hook_that_fails_at_an_exception_does_not_keep_it_from_the_others(
    notes: Any, quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = StageHooks([Failing("at_exception"), Failing("before_step"), notes.hook()])
    with pytest.raises(RuntimeError, match="out of luck") as error:
        quick(hooks).fit(BoringModel())
    assert notes[-1] == "at_exception RuntimeError"
    assert error.match("`at_exception` of the hook `Failing` failed too")
    assert "`at_exception` of the hook `Failing` failed" in caplog.text


def test_an_exception_before_training_is_told_to_hooks(notes: Any, quick: Quick) -> None:
    class Broken(BoringModel):
        @override
        def prepare_data(self) -> None:
            raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        quick(StageHooks([notes.hook()])).fit(Broken())
    assert list(notes) == ["at_exception RuntimeError"]


class Misspelt:
    """A hook with a method that nobody would call."""

    def __new__(cls, name: str) -> Any:
        methods = {"before_epoch": lambda self, epoch: None, name: lambda self, *given: None}
        return type("Misspelt", (), methods)()


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        (
            [{"train:bath": print}],
            "a stage, but got 'train:bath'. Did you mean 'train:batch'",
        ),
        ([{("val_end", "epoch"): print}], r"name of a stage, but got \('val_end', 'epoch'\)"),
        (
            [{"train:iter": [print, 3]}],
            "called at `train:iter` to be a function, but got 3",
        ),
        ([ModelCheckpoint()], r"Callbacks of Lightning go to `Trainer\(callbacks=...\)`"),
        ([print], "Expected a hook to be an object with methods"),
        ([StageCallback], "Expected a hook to be an object with methods"),
        (print, "Expected a hook to be an object with methods"),
        (Misspelt("aftr_step"), r"but got 'aftr_step'. Did you mean 'after_step'\?"),
        (Misspelt("on_val_iters_end"), "Did you mean 'on_val_iter_end'"),
        (Misspelt("on_fitmodel_end"), "Did you mean 'on_fit_model_end'"),
    ],
)
def test_what_is_no_hook_is_refused_at_once(hooks: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StageHooks(hooks)


def test_one_hook_will_do_alone(quick: Quick) -> None:
    stages: list[Any] = []
    quick(StageHooks({"train:iter": lambda run: stages.append(run.stage)})).fit(BoringModel())
    assert stages == ["train:iter"] * 3


def test_a_method_with_three_arguments_is_refused_at_once() -> None:
    class Odd:
        def after_step(self, step: int, results: Any, batch: Any) -> None: ...

    message = r"`after_step` of `Odd` to take \(step, results\) or \(step, fetches, feeds, batch\)"
    with pytest.raises(ConfigError, match=message):
        StageHooks([Odd()])


class Counting(TraingenCallback):
    """Has a state."""

    def __init__(self) -> None:
        self.count = 0

    @override
    def on_train_iter_end(self, stage: Any) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def test_states_are_found_by_hooks_although_others_have_come(quick: Quick, tmp_path: Path) -> None:
    saved = StageHooks([Counting(), Counting()])
    trainer = quick(saved)
    trainer.fit(BoringModel())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    assert json.loads(json.dumps(saved.state_dict())) == saved.state_dict()
    first, second, third = Counting(), Counting(), Counting()
    hooks = StageHooks([{"val_end": print}, first, second, third])
    quick(hooks, max_epochs=2).fit(BoringModel(), ckpt_path=tmp_path / "one.ckpt")
    assert [first.count, second.count, third.count] == [6, 6, 3]


def test_a_hook_may_change_its_state_when_it_is_saved(quick: Quick, tmp_path: Path) -> None:
    class Saving(Counting):
        @override
        def on_save(self, stage: Any) -> None:
            self.count = 100

    trainer = quick(StageHooks([Saving()]))
    trainer.fit(BoringModel())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    checkpoint = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert checkpoint["callbacks"]["StageHooks"]["hooks"] == {"Saving": {"count": 100}}


def test_a_state_of_another_version_is_refused(quick: Quick, tmp_path: Path) -> None:
    trainer = quick(StageHooks([Counting()]))
    trainer.fit(BoringModel())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    checkpoint = torch.load(tmp_path / "one.ckpt", weights_only=True)
    checkpoint["callbacks"]["StageHooks"]["version"] = 9
    torch.save(checkpoint, tmp_path / "one.ckpt")
    with pytest.raises(ResumeError, match="state of hooks to have version 1, but got 9"):
        quick(StageHooks([Counting()])).fit(BoringModel(), ckpt_path=tmp_path / "one.ckpt")


def test_without_step_hooks_feeds_are_not_even_made(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(sys.modules[Moments.__module__], "make_feeds", refuse)
    quick(StageHooks([{"train:iter": lambda run: None}, Hook()])).fit(BoringModel())


def test_what_a_step_gave_is_let_go_of(quick: Quick) -> None:
    view: list[RunView] = []
    quick(StageHooks([{"train:iter": view.append}])).fit(BoringModel())
    assert view[0].outputs is view[0].batch is None


def test_every_process_calls_every_hook_once(tmp_path: Path) -> None:
    script = Path(__file__).parent / "stage_hooks_ranks_script.py"
    subprocess.run([sys.executable, script, str(tmp_path)], check=True, timeout=120)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    epoch = "before_step, after_step, train:iter, train:batch, " * 2
    epoch = f"before_epoch, {epoch}after_epoch, train:epoch, val:iter, val:batch, val:epoch"
    assert first == second == 2 * [*epoch.split(", "), "val_end+train:epoch", "save"]
