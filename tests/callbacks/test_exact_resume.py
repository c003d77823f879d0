"""The callback's arguments, messages and manners; that runs go on exactly is shown elsewhere."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import ExactResume
from leyden.errors import ConfigError, ResumeError
from leyden.generators import global_state, restore_global_state
from leyden.resume import CheckpointStore, Interrupted, latest_checkpoint

Quick = Callable[..., Trainer]
SCRIPT = Path(__file__).parent / "exact_resume_script.py"
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    state = global_state()
    yield
    restore_global_state(state)


class At(Callback):
    """Does something when a batch of training begins, or ends."""

    def __init__(self, step: int, do: Callable[[Trainer], None], *, at_end: bool = False) -> None:
        self.step, self.do, self.at_end = step, do, at_end
        self.seen: list[int] = []

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen.append(trainer.global_step)
        if trainer.global_step == self.step and not self.at_end:
            self.do(trainer)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step + 1 and self.at_end:
            self.do(trainer)


def fail(_: Trainer) -> None:
    raise KeyError("mine")


def send(signum: int) -> Callable[[Trainer], None]:
    return lambda _: os.kill(os.getpid(), signum)


class Model(BoringModel):
    """Draws random numbers in its steps, and in the order of its data."""

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step(batch + torch.rand(()) + random.random(), batch_idx)

    @override
    def train_dataloader(self) -> Any:
        rows = torch.randn(12, 32, generator=torch.Generator().manual_seed(1))
        return DataLoader(list(rows), 2, shuffle=True)  # type: ignore[arg-type] # torch takes it


def model() -> Model:
    torch.manual_seed(1)
    random.seed(1)
    return Model()


def weights(module: torch.nn.Module) -> list[Any]:
    return [parameter.tolist() for parameter in module.parameters()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_steps": 0}, "Expected `every_n_steps` to be at least 1, but got 0."),
        ({"every_seconds": -1.0}, "Expected `every_seconds` to be at least 0, but got -1.0."),
        ({"keep": 0}, "Expected `keep` to be at least 1, but got 0."),
    ],
)
def test_argument_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ExactResume("checkpoints", **options)


def test_unknown_way_to_go_forward_is_refused() -> None:
    with pytest.raises(ConfigError, match="Expected `fast_forward` to be 'auto'"):
        ExactResume("checkpoints", fast_forward="skip")  # type: ignore[arg-type] # a misspelt one


def state_of_the_process() -> list[Any]:
    handlers = [signal.getsignal(signum) for signum in HANDLED]
    held = torch.default_generator, np.random.mtrand._rand, random._inst
    return [handlers, [id(one) for one in held], dict(os.environ), threading.active_count()]


def own_names(trainer: Trainer) -> dict[str, set[str]]:
    loop = trainer.fit_loop
    owners = {
        "trainer": trainer,
        "fit": loop,
        "epoch": loop.epoch_loop,
        "val": loop.epoch_loop.val_loop,
        "validate": trainer.validate_loop,
        "test": trainer.test_loop,
        "predict": trainer.predict_loop,
        "strategy": trainer.strategy,
        "signals": trainer._signal_connector,
    }
    return {
        name: {key for key, value in vars(owner).items() if isinstance(value, FunctionType)}
        for name, owner in owners.items()
    }


@pytest.mark.parametrize(
    ("do", "error"),
    [
        (lambda _: None, None),
        (fail, KeyError),
        (send(signal.SIGINT), Interrupted),
        (send(signal.SIGTERM), Interrupted),
    ],
    ids=["end", "exception", "SIGINT", "SIGTERM"],
)
def test_everything_is_left_as_it_was_found(
    tmp_path: Path, quick: Quick, do: Any, error: Any
) -> None:
    plain = own_names(quick())
    quick().fit(model())  # Lightning itself leaves traces
    trainer = quick(At(1, do), ExactResume(tmp_path / "c"))
    before = state_of_the_process()
    if error is None:
        trainer.fit(model())
    else:
        with pytest.raises(error):
            trainer.fit(model())
    assert state_of_the_process() == before
    assert own_names(trainer) == plain
    store = CheckpointStore(tmp_path / "c")
    store.open()  # it is no longer locked
    store.close()


def test_handlers_of_others_are_put_back(tmp_path: Path, quick: Quick) -> None:
    def mine(*_: Any) -> None:
        """Nothing."""

    before = {signum: signal.signal(signum, mine) for signum in HANDLED}
    try:
        quick(ExactResume(tmp_path / "c")).fit(model())
        assert [signal.getsignal(signum) for signum in HANDLED] == [mine] * 3
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def test_trial_run_writes_and_handles_nothing(tmp_path: Path, quick: Quick) -> None:
    handlers: list[Any] = []
    note = At(0, lambda _: handlers.append([signal.getsignal(one) for one in HANDLED]))
    before = [signal.getsignal(signum) for signum in HANDLED]
    quick(note, ExactResume(tmp_path / "c"), fast_dev_run=True).fit(model())
    assert not (tmp_path / "c").exists()
    assert handlers[0][2] == before[2]


def test_folder_that_cannot_be_made_is_refused_before_the_first_step(
    tmp_path: Path, quick: Quick
) -> None:
    (tmp_path / "file").write_text("in the way")
    note = At(0, lambda _: None)
    with pytest.raises(ConfigError, match="Expected `dirpath` to be a folder that can be written"):
        quick(note, ExactResume(tmp_path / "file" / "c")).fit(model())
    assert note.seen == []


def test_folder_in_use_is_refused(tmp_path: Path, quick: Quick) -> None:
    note, store = At(0, lambda _: None), CheckpointStore(tmp_path / "c")
    store.open()
    with pytest.raises(ResumeError, match=r"but this process \(\d+\) has it open"):
        quick(note, ExactResume(tmp_path / "c")).fit(model())
    assert note.seen == []
    store.close()


def test_folder_in_use_by_another_process_is_refused(tmp_path: Path, quick: Quick) -> None:
    code = (
        "import sys; from leyden.resume import CheckpointStore; "
        f"store = CheckpointStore({str(tmp_path / 'c')!r}); store.open(); "
        "print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ResumeError, match=r"but process \d+ on \S+ has it open"):
            quick(ExactResume(tmp_path / "c")).fit(model())
        other.communicate("")
    quick(ExactResume(tmp_path / "c")).fit(model())


def test_checkpoint_is_of_use_without_the_callback(tmp_path: Path, quick: Quick) -> None:
    first = model()
    quick(ExactResume(tmp_path / "c", every_n_steps=1)).fit(first)
    path = latest_checkpoint(tmp_path / "c")
    assert path is not None
    loaded = torch.load(path, weights_only=True)
    assert loaded["leyden.resume"]["version"] == 3
    assert weights(Model.load_from_checkpoint(path)) == weights(first)
    quick(limit_val_batches=1).validate(model(), ckpt_path=path)
    trainer = quick(max_epochs=2)
    trainer.fit(model(), ckpt_path=path)
    assert trainer.global_step == 6


def test_checkpoint_of_others_is_used_with_a_warning(tmp_path: Path, quick: Quick) -> None:
    plain = quick()
    plain.fit(model())
    plain.save_checkpoint(tmp_path / "plain.ckpt")
    trainer = quick(ExactResume(tmp_path / "c"), max_epochs=2)
    with pytest.warns(UserWarning, match="The checkpoint was written without `ExactResume`"):
        trainer.fit(model(), ckpt_path=tmp_path / "plain.ckpt")
    assert trainer.global_step == 6


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before")
def test_checkpoint_from_the_middle_of_a_step_is_used_with_a_warning(
    tmp_path: Path, quick: Quick
) -> None:
    path = tmp_path / "middle.ckpt"
    write = At(2, lambda trainer: trainer.save_checkpoint(path))
    quick(write, ExactResume(tmp_path / "c")).fit(model())
    trainer = quick(ExactResume(tmp_path / "d"), max_epochs=2)
    with pytest.warns(UserWarning, match=r"written in the middle of a step.*latest_checkpoint"):
        trainer.fit(model(), ckpt_path=path)


def test_state_of_another_version_is_refused(tmp_path: Path, quick: Quick) -> None:
    quick(ExactResume(tmp_path / "c")).fit(model())
    checkpoint = torch.load(str(latest_checkpoint(tmp_path / "c")), weights_only=True)
    checkpoint["leyden.resume"]["version"] = 99
    torch.save(checkpoint, tmp_path / "new.ckpt")
    with pytest.raises(ResumeError, match="Expected a state of version 3, but got 99"):
        quick(ExactResume(tmp_path / "d"), max_epochs=2).fit(
            model(), ckpt_path=tmp_path / "new.ckpt"
        )


def test_loader_that_cannot_go_on_is_named_before_the_first_step(
    tmp_path: Path, quick: Quick
) -> None:
    note = At(0, lambda _: None)
    batches = iter([torch.rand(2, 32) for _ in range(8)])
    with pytest.warns(
        UserWarning,
        match=r"A train loader \(list_iterator\) cannot be resumed exactly: an iterator can be "
        r"gone through once only; hand in the iterable that makes it, or a DataLoader\.",
    ):
        quick(note, ExactResume(tmp_path / "c")).fit(BoringModel(), batches)


@pytest.mark.parametrize(("every", "steps"), [(1, 6), (2, 4), (4, 3)])
def test_checkpoints_are_written_every_so_many_steps(
    tmp_path: Path, quick: Quick, every: int, steps: int
) -> None:
    resume = ExactResume(tmp_path / "c", every_n_steps=every, every_seconds=None, keep=99)
    quick(resume, limit_train_batches=6, limit_val_batches=0).fit(model())
    names = sorted(path.name for path in (tmp_path / "c").glob("*.ckpt"))
    written = {int(name.partition("step=")[2].removesuffix(".ckpt")) for name in names}
    assert written <= {0, *range(every, 7, every), 6}
    assert {0, 6} <= written


def test_signal_has_a_checkpoint_written(tmp_path: Path, quick: Quick) -> None:
    resume = ExactResume(tmp_path / "c", every_seconds=None, keep=99)
    quick(At(1, send(signal.SIGUSR1)), resume, limit_val_batches=0).fit(model())
    names = sorted(path.name for path in (tmp_path / "c").glob("*.ckpt"))
    assert names == ["000001-step=0.ckpt", "000002-step=2.ckpt", "000003-step=3.ckpt"]


@pytest.mark.parametrize("stop", [0, 2, 4])
@pytest.mark.parametrize("at_end", [False, True])
def test_run_that_was_paused_goes_on_in_the_same_process(
    tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, stop: int, *, at_end: bool
) -> None:
    options = {"limit_train_batches": 1.0, "max_epochs": 2}
    whole, paused = model(), None
    quick(ExactResume(tmp_path / "a"), **options).fit(whole)
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    paused, note = model(), At(stop, send(signal.SIGINT), at_end=at_end)
    trainer = quick(note, ExactResume(tmp_path / "b"), **options)
    trainer.fit(paused)
    assert trainer.global_step == stop + 1
    note.do = lambda _: None
    torch.manual_seed(99)
    random.seed(99)
    trainer.fit(paused)
    assert note.seen == list(range(12))
    assert weights(paused) == weights(whole)


def test_callback_can_be_used_for_another_run(tmp_path: Path, quick: Quick) -> None:
    resume, modules = ExactResume(tmp_path / "c", every_n_steps=1), [model(), model()]
    for module in modules:
        torch.manual_seed(2)
        random.seed(2)
        quick(resume).fit(module)
    assert weights(modules[0]) == weights(modules[1])


def test_trainer_can_fit_twice(tmp_path: Path, quick: Quick) -> None:
    trainer = quick(ExactResume(tmp_path / "c"))
    trainer.fit(model())
    trainer.fit_loop.max_epochs = 2
    trainer.fit(model())
    assert trainer.global_step == 6
    trainer.validate(model())
    assert own_names(trainer) == own_names(quick())


def test_run_outside_the_main_thread_is_written_too(tmp_path: Path, quick: Quick) -> None:
    trainer, errors = quick(ExactResume(tmp_path / "c")), []

    def fit() -> None:
        try:
            trainer.fit(model())
        except BaseException as error:  # noqa: BLE001 - for the main thread
            errors.append(error)

    before = state_of_the_process()
    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert errors == []
    assert latest_checkpoint(tmp_path / "c") is not None
    assert state_of_the_process() == before


def test_files_of_model_checkpoint_hold_the_state(tmp_path: Path, quick: Quick) -> None:
    best = ModelCheckpoint(tmp_path / "best", every_n_train_steps=2)
    quick(best, ExactResume(tmp_path / "c"), enable_checkpointing=True).fit(model())
    loaded = torch.load(best.best_model_path, weights_only=True)
    assert loaded["leyden.resume"]["moment"] == "batch end"


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("task", "name", "code"),
    [
        ("fit", "SIGINT", 130),
        pytest.param("fit", "SIGTERM", 143, marks=pytest.mark.slow),
        ("validate", "SIGINT", 130),
        pytest.param("test", "SIGTERM", 143, marks=pytest.mark.slow),
        ("predict", "SIGTERM", 143),
        pytest.param("predict", "SIGINT", 130, marks=pytest.mark.slow),
    ],
)
def test_signal_ends_the_process_after_the_batch(
    tmp_path: Path, task: str, name: str, code: int
) -> None:
    done = run(tmp_path, task, name, 3)
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines() == [f"batch {number}" for number in range(4)]
    assert f"{name}: leaving after this batch; once more to leave at once" in done.stderr
    written = latest_checkpoint(tmp_path / "checkpoints")
    assert (None if written is None else written.name) == (
        "000002-step=4.ckpt" if task == "fit" else None
    )


def test_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, "fit", "SIGINT", 3, "again")
    assert done.returncode == 130, done.stderr
    assert done.stdout.splitlines() == [f"batch {number}" for number in range(3)]
    written = latest_checkpoint(tmp_path / "checkpoints")
    assert written is not None
    assert written.name == "000001-step=0.ckpt"
