"""Checkpoints that the trainer wrote, at any moment of an epoch, go on with another batch size."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden import latest_checkpoint
from leyden.callbacks import ExactResume
from leyden.data import AutoDataModule, BatchLoader
from leyden.errors import ResumeError

# The runs that go on write no checkpoints, and so have no callback for it.
pytestmark = pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")

MakeTrainer: TypeAlias = Callable[..., Trainer]
Step: TypeAlias = tuple[int, int, list[tuple[int, int]]]  # epoch, batch, rows

LENGTHS = {1: 17, 2: 14, 3: 1, 9: 3}  # val=[9] leaves 32 rows
BATCH_SIZE, NUM_STEPS = 4, 8
EPOCHS = (0, 1, 2)
MOMENTS: dict[str, dict[str, Any]] = {
    "step": {"every_n_train_steps": 1},
    "end of an epoch": {"save_on_train_epoch_end": True},
    "validation": {"save_on_train_epoch_end": False},
}


@pytest.fixture
def folder(write: Callable[..., Path]) -> Path:
    return write(LENGTHS)


def make_module(recorder: Any, *, asks_for_steps: bool = False) -> Any:
    """Make a model that lists the rows of each of its steps."""

    class Listing(recorder):  # type: ignore[misc] # given as a fixture
        def __init__(self) -> None:
            super().__init__()
            self.steps: list[Step] = []

        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            rows = [(int(number), int(row)) for number, row in batch.tolist()]
            self.steps.append((self.current_epoch, batch_idx, rows))
            return super().training_step(batch, batch_idx)  # type: ignore[no-any-return] # a mixin

        def configure_optimizers(self) -> SGD:
            if asks_for_steps:
                _ = self.trainer.estimated_stepping_batches
            return super().configure_optimizers()  # type: ignore[no-any-return] # likewise

    return Listing()


def check_epochs(
    before: list[Step], after: list[Step], batch_size: int, *, drop_last: bool
) -> None:
    """Expect every row in every epoch, but for what does not fill a batch, and batches in order."""
    for epoch in EPOCHS:
        done = [step for step in before if step[0] == epoch]
        steps = [*done, *(step for step in after if step[0] == epoch)]
        assert [batch for _, batch, _ in steps] == list(range(len(steps)))
        count = Counter(row for _, _, rows in steps for row in rows)
        assert set(count.values()) == {1}
        num_rows = sum(LENGTHS.values()) - LENGTHS[9]
        rest = num_rows - sum(len(rows) for _, _, rows in done)
        assert len(count) == num_rows - (rest % batch_size if drop_last else 0)


@pytest.mark.parametrize("asks_for_steps", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize(
    ("moment", "validates"),
    [*product(MOMENTS, [True]), ("step", False), ("end of an epoch", False)],
)
def test_no_row_comes_twice_and_none_is_missing(
    tmp_path: Path,
    folder: Path,
    recorder: Any,
    make_trainer: MakeTrainer,
    moment: str,
    drop_last: bool,
    asks_for_steps: bool,
    validates: bool,
) -> None:
    def make_data(batch_size: int) -> AutoDataModule:
        val = [9] if validates else None
        train = [1, 2, 3]
        return AutoDataModule(
            folder, batch_size=batch_size, train=train, val=val, drop_last=drop_last
        )

    often = {"val_check_interval": 0.5} if moment == "validation" else {}
    keep = ModelCheckpoint(tmp_path / "saved", "{step}", save_top_k=-1, **MOMENTS[moment])
    first = make_module(recorder)
    trainer = make_trainer(max_epochs=2, callbacks=[keep], **often)
    trainer.fit(first, make_data(BATCH_SIZE))
    paths = list((tmp_path / "saved").iterdir())
    assert {path.stem for path in paths} >= {f"step={NUM_STEPS}", f"step={2 * NUM_STEPS}"}
    for path, batch_size in product(paths, (3, 12)):
        step = int(path.stem.removeprefix("step="))
        module = make_module(recorder, asks_for_steps=asks_for_steps)
        trainer = make_trainer(max_epochs=len(EPOCHS), **often)
        trainer.fit(module, make_data(batch_size), ckpt_path=path)
        check_epochs(first.steps[:step], module.steps, batch_size, drop_last=drop_last)


@pytest.mark.parametrize("step", [NUM_STEPS, 2 * NUM_STEPS])
def test_limits_hold_for_the_batches_there_are_now(
    tmp_path: Path, folder: Path, recorder: Any, make_trainer: MakeTrainer, step: int
) -> None:
    """Twelve batches are more than there were, but fewer than there are."""

    def make_data(batch_size: int) -> AutoDataModule:
        return AutoDataModule(folder, batch_size=batch_size, train=[1, 2, 3])

    keep = ModelCheckpoint(tmp_path / "saved", "{step}", every_n_train_steps=1, save_top_k=-1)
    make_trainer(max_epochs=2, limit_train_batches=12, callbacks=[keep]).fit(
        make_module(recorder), make_data(BATCH_SIZE)
    )
    module = make_module(recorder)
    make_trainer(max_epochs=4, limit_train_batches=12).fit(
        module, make_data(2), ckpt_path=tmp_path / f"saved/step={step}.ckpt"
    )
    epochs = range(step // NUM_STEPS, 4)
    expected = [(epoch, batch) for epoch in epochs for batch in range(12)]
    assert [(epoch, batch) for epoch, batch, _ in module.steps] == expected


@pytest.mark.parametrize("every", [0, 2])
def test_loaders_are_reloaded_as_often_as_the_user_says_afterwards(
    folder: Path, recorder: Any, make_trainer: MakeTrainer, every: int
) -> None:
    """A trainer is told to ask again where the next epoch has another length."""

    class Data(AutoDataModule):
        num_asked = 0

        @override
        def train_dataloader(self) -> BatchLoader:
            self.num_asked += 1
            return super().train_dataloader()

    data = Data(folder, batch_size=BATCH_SIZE, train=[1, 2, 3])
    trainer = make_trainer(max_epochs=1, reload_dataloaders_every_n_epochs=every)
    trainer.fit(make_module(recorder), data)
    data.schedule("train", [1])  # all epochs to come are alike
    data.num_asked, trainer.fit_loop.max_epochs = 0, 5
    module = make_module(recorder)
    trainer.fit(module, data)
    assert {rows[0][0] for _, _, rows in module.steps} == {1}
    assert data.num_asked == (1 if every == 0 else 2)


class Stop(Callback):
    """Ends a run after some steps, as somebody who interrupts it would."""

    def __init__(self, step: int) -> None:
        self._step = step

    @override
    def on_train_batch_start(self, trainer: Trainer, *details: Any) -> None:
        if trainer.global_step == self._step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("asks_for_steps", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [3, 4, 7, 12])
@pytest.mark.parametrize("last", [3, NUM_STEPS - 1])
def test_so_does_an_exact_resume(
    tmp_path: Path,
    folder: Path,
    recorder: Any,
    make_trainer: MakeTrainer,
    *,
    drop_last: bool,
    batch_size: int,
    asks_for_steps: bool,
    last: int,
) -> None:
    """In the last batches of an epoch, less may be left than a batch, or more than one."""

    def make_data(batch_size: int) -> AutoDataModule:
        return AutoDataModule(folder, batch_size=batch_size, train=[1, 2, 3], drop_last=drop_last)

    keep = ExactResume(tmp_path / "saved", every_n_steps=1, every_seconds=None)
    first = make_module(recorder)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make_trainer(max_epochs=2, callbacks=[keep, Stop(last)]).fit(first, make_data(BATCH_SIZE))
    path = latest_checkpoint(tmp_path / "saved")
    assert path is not None
    done = first.steps[: int(path.stem.partition("step=")[2])]
    module = make_module(recorder, asks_for_steps=asks_for_steps)
    make_trainer(max_epochs=len(EPOCHS), callbacks=[ExactResume(tmp_path / "saved")]).fit(
        module, make_data(batch_size), ckpt_path=path
    )
    assert module.steps[: len(done)] == done  # which is kept in the checkpoint
    check_epochs(done, module.steps[len(done) :], batch_size, drop_last=drop_last)


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("asks_for_steps", [True, False])
@pytest.mark.parametrize("limit", [{"max_epochs": 3}, {"max_steps": 99, "max_epochs": 3}])
@pytest.mark.parametrize(
    "legs",
    [
        [(4, 8), (4, 8), (4, 8)],  # at the ends of epochs
        [(4, 8), (4, 3), (4, 5), (4, 1)],
        [(4, 3), (4, 5), (4, 8), (4, 7)],
        [(4, 8), (12, 3), (3, 11), (4, 1)],
        [(4, 7), (3, 2), (5, 3), (2, 16)],
    ],
    ids=str,
)
def test_so_does_one_that_was_interrupted_several_times(
    tmp_path: Path,
    folder: Path,
    recorder: Any,
    make_trainer: MakeTrainer,
    legs: list[tuple[int, int]],
    limit: dict[str, int],
    asks_for_steps: bool,
) -> None:
    steps: list[Step] = []
    path = None
    for batch_size, num_steps in [*legs, (4, 99)]:
        data = AutoDataModule(folder, batch_size=batch_size, train=[1, 2, 3])
        saved = tmp_path / "saved"
        keep = ModelCheckpoint(saved, "{step}", every_n_train_steps=1, save_top_k=-1)
        module = make_module(recorder, asks_for_steps=asks_for_steps)
        trainer = make_trainer(**limit, callbacks=[Stop(len(steps) + num_steps), keep])
        with suppress(KeyboardInterrupt, SystemExit):
            trainer.fit(module, data, ckpt_path=path)
        steps += module.steps
        path = saved / f"step={len(steps)}.ckpt"
    check_epochs(steps, [], 4, drop_last=False)


@pytest.mark.parametrize("batch_size", [3, 4, 12])
@pytest.mark.parametrize(
    ("moment", "num_steps"),
    [
        *product([*MOMENTS, "afterwards"], [NUM_STEPS, NUM_STEPS + 2]),
        *product(["step", "end of an epoch", "afterwards"], [3]),
    ],
)
def test_so_does_one_that_may_make_more_steps_than_at_first(
    tmp_path: Path,
    folder: Path,
    recorder: Any,
    make_trainer: MakeTrainer,
    moment: str,
    num_steps: int,
    batch_size: int,
) -> None:
    """Its epoch was ended as if it were over."""
    saved = tmp_path / "saved"
    keep = ModelCheckpoint(saved, "{step}", save_top_k=-1, **MOMENTS.get(moment, {}))
    first, then = make_module(recorder), make_module(recorder)
    trainer = make_trainer(max_steps=num_steps, max_epochs=-1, callbacks=[keep])
    trainer.fit(first, AutoDataModule(folder, batch_size=4, train=[1, 2, 3], val=[9]))
    path = saved / f"step={num_steps}.ckpt"
    if moment == "afterwards":
        trainer.save_checkpoint(path)
    done = num_steps if path.exists() else num_steps // NUM_STEPS * NUM_STEPS
    trainer = make_trainer(max_steps=99, max_epochs=3)
    data = AutoDataModule(folder, batch_size=batch_size, train=[1, 2, 3], val=[9])
    trainer.fit(then, data, ckpt_path=saved / f"step={done}.ckpt")
    check_epochs(first.steps[:done], then.steps, batch_size, drop_last=False)


class StopBetweenEpochs(Callback):
    """Ends a run after the last batch of its first epoch, in one hook or another."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self._stop)

    @staticmethod
    def _stop(trainer: Trainer, *details: Any) -> None:
        if not trainer.sanity_checking:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "hook", ["on_validation_batch_end", "on_validation_end", "on_train_epoch_end"]
)
@pytest.mark.parametrize("batch_size", [3, 12])
def test_so_does_an_exact_resume_after_the_last_batch(
    tmp_path: Path,
    folder: Path,
    recorder: Any,
    make_trainer: MakeTrainer,
    hook: str,
    batch_size: int,
) -> None:
    """With another batch size, the epoch would have had more batches or fewer than were drawn."""

    def make_data(batch_size: int) -> AutoDataModule:
        return AutoDataModule(folder, batch_size=batch_size, train=[1, 2, 3], val=[9])

    keep = ExactResume(tmp_path / "saved", every_n_steps=1, every_seconds=None)
    first = make_module(recorder)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make_trainer(max_epochs=2, callbacks=[keep, StopBetweenEpochs(hook)]).fit(
            first, make_data(BATCH_SIZE)
        )
    path = latest_checkpoint(tmp_path / "saved")
    assert path is not None
    done = int(path.stem.partition("step=")[2])  # all steps, unless the last was being written
    module = make_module(recorder)
    make_trainer(max_epochs=len(EPOCHS), callbacks=[ExactResume(tmp_path / "saved")]).fit(
        module, make_data(batch_size), ckpt_path=path
    )
    assert module.steps[:done] == first.steps[:done]
    check_epochs(first.steps[:done], module.steps[done:], batch_size, drop_last=False)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.parametrize("batch_size", [8, 30])
def test_a_loader_that_has_fewer_batches_than_were_drawn_is_refused(
    tmp_path: Path, recorder: Any, make_trainer: MakeTrainer, batch_size: int
) -> None:
    """Of torch's own loader nobody knows which rows are left."""

    def make_loader(batch_size: int) -> DataLoader[Any]:
        return DataLoader(torch.arange(64.0).view(32, 2), batch_size, shuffle=True)  # type: ignore[arg-type] # a tensor will do

    keep = ExactResume(tmp_path / "saved", every_n_steps=1, every_seconds=None)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        make_trainer(max_epochs=2, callbacks=[keep, Stop(7)]).fit(
            recorder(), make_loader(BATCH_SIZE)
        )
    path = latest_checkpoint(tmp_path / "saved")
    trainer = make_trainer(max_epochs=2, callbacks=[ExactResume(tmp_path / "saved")])
    with pytest.raises(ResumeError, match="batches that came before the checkpoint"):
        trainer.fit(recorder(), make_loader(batch_size), ckpt_path=path)
