"""The data module under a real trainer; that is where orders, places and epochs can go wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import OneCycleLR
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ResumeError
from leyden.shards import write_shards

# The runs that go on write no checkpoints, and so have no callback for it.
pytestmark = pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")

MakeTrainer: TypeAlias = Callable[..., Trainer]

LENGTHS = {1: 5, 2: 3, 7: 4, 8: 6}  # val=[8] leaves 12 rows: batches of 5, 5 and 2


@pytest.fixture
def folder(write: Callable[..., Path]) -> Path:
    return write(LENGTHS)


def make_data(folder: Path, **arguments: Any) -> AutoDataModule:
    return AutoDataModule(folder, **{"val": [8], "batch_size": 5, **arguments})


def fetched(data: AutoDataModule, phase: str, *epochs: int) -> list[object]:
    """Fetch the batches of epochs one by one."""
    found = [
        data.fetch(phase, epoch, index)
        for epoch in epochs
        for index in range(len(data.plan(phase, epoch)))
    ]
    return [batch.tolist() for batch in found if isinstance(batch, Tensor)]


def seen(module: Any, phase: str = "train") -> list[object]:
    """List what a module has seen, in order."""
    return [
        batch for (name, _), batches in module.seen.items() for batch in batches if name == phase
    ]


class Watcher(Callback):
    """Notes the status at every moment that a callback can ask for it."""

    def __init__(self) -> None:
        self.moments: list[tuple[str, str | None]] = []

    def _note(self, moment: str, trainer: Trainer) -> None:
        status = trainer.datamodule.status  # type: ignore[attr-defined] # set outside its class
        place = status and f"{status.phase} {status.epoch}.{status.batch} {status.name}"
        self.moments.append((moment, place))

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note("start", trainer)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._note("epoch", trainer)

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._note("batch", trainer)

    @override
    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._note("val", trainer)


class AsksForSteps:
    """Makes an optimizer whose schedule needs the number of steps, as many do."""

    trainer: Trainer

    def configure_optimizers(self) -> tuple[list[Optimizer], list[OneCycleLR]]:
        optimizer = SGD(self.parameters(), lr=1e-6)  # type: ignore[attr-defined] # a mixin
        steps = int(self.trainer.estimated_stepping_batches)
        return [optimizer], [OneCycleLR(optimizer, 1e-6, total_steps=steps)]


def save_every_step(folder: Path, make_trainer: MakeTrainer, module: Any, data: Any) -> None:
    keep = ModelCheckpoint(folder / "saved", "{step}", every_n_train_steps=1, save_top_k=-1)
    make_trainer(max_epochs=3, callbacks=[keep]).fit(module, data)


def test_every_epoch_is_the_one_that_fetch_says(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder)
    make_trainer(max_epochs=3).fit(module, data)
    for epoch in range(3):
        assert module.seen["train", epoch] == fetched(data, "train", epoch)
        assert module.seen["val", epoch] == fetched(data, "val", epoch)
    assert len(module.seen) == 6
    assert module.seen["train", 0] != module.seen["train", 1]


@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("val", [[8], None])
def test_a_checkpoint_goes_on_with_exactly_the_batches_that_are_left(
    folder: Path, recorder: Any, make_trainer: MakeTrainer, step: int, val: list[int] | None
) -> None:
    save_every_step(folder, make_trainer, recorder(), make_data(folder, val=val))
    module, data = recorder(), make_data(folder, val=val)
    path = folder / "saved" / f"step={step}.ckpt"
    make_trainer(max_epochs=3).fit(module, data, ckpt_path=path, weights_only=True)
    assert seen(module) == fetched(data, "train", 0, 1, 2)[step:]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_it_does_so_too_where_lightning_loads_no_state_of_a_loader(
    folder: Path, recorder: Any, make_trainer: MakeTrainer, step: int
) -> None:
    module_type = type("Scheduled", (AsksForSteps, recorder), {})
    save_every_step(folder, make_trainer, module_type(), make_data(folder))
    module, data = module_type(), make_data(folder)
    path = folder / "saved" / f"step={step}.ckpt"
    make_trainer(max_epochs=3).fit(module, data, ckpt_path=path)
    assert seen(module) == fetched(data, "train", 0, 1, 2)[step:]


def test_a_checkpoint_at_the_end_of_an_epoch_goes_on_with_the_next(
    folder: Path, tmp_path: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(max_epochs=2)
    trainer.fit(recorder(), make_data(folder))
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    module, data = recorder(), make_data(folder, batch_size=4)  # between epochs, it may change
    make_trainer(max_epochs=4).fit(module, data, ckpt_path=tmp_path / "end.ckpt")
    assert seen(module) == fetched(data, "train", 2, 3)


@pytest.mark.parametrize(("key", "old", "new"), [("seed", 0, 1), ("shuffle", "rows", "full")])
def test_a_checkpoint_of_another_order_is_refused(
    folder: Path, recorder: Any, make_trainer: MakeTrainer, key: str, old: object, new: object
) -> None:
    save_every_step(folder, make_trainer, recorder(), make_data(folder))
    data = make_data(folder, **{key: new})
    path = folder / "saved" / "step=1.ckpt"
    problem = rf"Expected a state with the {key} of this .*\nstate: {old}\nloader: {new}"
    with pytest.raises(ResumeError, match=problem):
        make_trainer(max_epochs=3).fit(recorder(), data, ckpt_path=path, weights_only=True)


@pytest.mark.parametrize("step", [3, 6])
@pytest.mark.parametrize("val", [[8], None])
def test_a_checkpoint_of_the_end_of_an_epoch_is_refused_with_other_data(
    folder: Path,
    write: Callable[..., Path],
    recorder: Any,
    make_trainer: MakeTrainer,
    val: list[int] | None,
    step: int,
) -> None:
    """Most checkpoints are written there."""
    train = [1, 2, 7]
    keep = ModelCheckpoint(folder / "saved", "{step}", save_top_k=-1)
    data = make_data(folder, train=train, val=val)
    make_trainer(max_epochs=2, callbacks=[keep]).fit(recorder(), data)
    other, module = write({**LENGTHS, 7: 5}, "other"), recorder()
    path = folder / "saved" / f"step={step}.ckpt"
    with pytest.raises(ResumeError, match=r"fingerprint of this .*\nstate: \w+\nloader: \w+"):
        make_trainer(max_epochs=3).fit(
            module, make_data(other, train=train, val=val), ckpt_path=path
        )
    assert module.seen == {}
    same = make_data(folder, train=train, val=val)
    make_trainer(max_epochs=3).fit(module, same, ckpt_path=path)
    assert seen(module) == fetched(same, "train", *range(step // 3, 3))


def test_a_checkpoint_is_tested_on_other_data(
    folder: Path, write: Callable[..., Path], recorder: Any, make_trainer: MakeTrainer
) -> None:
    make_trainer(callbacks=[ModelCheckpoint(folder / "saved")], max_epochs=1).fit(
        recorder(), make_data(folder)
    )
    (path,) = (folder / "saved").iterdir()
    module, data = recorder(), make_data(write({1: 4, 2: 3}, "other"), val=None, test=[2])
    make_trainer().test(module, data, ckpt_path=path, verbose=False)
    assert seen(module, "test") == fetched(data, "test", 0)


def test_a_checkpoint_that_is_only_tested_moves_nothing(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    save_every_step(folder, make_trainer, recorder(), make_data(folder))
    module, data = recorder(), make_data(folder, test=[7], seed=5)
    path = folder / "saved" / "step=1.ckpt"
    make_trainer().test(module, data, ckpt_path=path, weights_only=True, verbose=False)
    make_trainer(max_epochs=1).fit(module, data)
    assert seen(module) == fetched(data, "train", 0)


def test_the_same_data_serves_one_fit_after_another(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    data = make_data(folder)
    for _ in range(2):
        module = recorder()
        make_trainer(max_steps=4).fit(module, data)
        assert seen(module) == fetched(data, "train", 0, 1)[:4]


def test_overfitting_has_the_same_batches_in_every_epoch(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder)
    shuffled = data.origin("train", 0, 0)
    make_trainer(max_epochs=3, overfit_batches=2).fit(module, data)
    natural = [[[1, row] for row in range(5)], [[2, 0], [2, 1], [2, 2], [7, 0], [7, 1]]]
    assert [module.seen["train", epoch] for epoch in range(3)] == [natural] * 3
    assert data.origin("train", 2, 1).name == "2+7-a"  # what is told is what is seen
    make_trainer(max_epochs=1).fit(recorder(), data)
    assert data.origin("train", 0, 0) == shuffled


def test_limits_leave_the_order_alone(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder)
    make_trainer(max_epochs=2, limit_train_batches=2, limit_val_batches=1).fit(module, data)
    first, second = fetched(data, "train", 0)[:2], fetched(data, "train", 1)[:2]
    assert seen(module) == first + second
    assert seen(module, "val") == 2 * fetched(data, "val", 0)[:1]


def test_the_status_counts_the_batches_that_limits_leave(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    class Counting(Callback):
        def __init__(self) -> None:
            self.told: set[tuple[str, int]] = set()

        def _note(self, trainer: Trainer, *_: Any) -> None:
            status = trainer.datamodule.status  # type: ignore[attr-defined] # set outside its class
            name = "sanity" if trainer.sanity_checking else str(status.phase)
            self.told.add((name, status.num_batches))

        on_train_batch_start = _note  # type: ignore[assignment] # it takes what each of them does
        on_validation_batch_start = _note  # type: ignore[assignment] # likewise
        on_test_batch_start = _note  # type: ignore[assignment] # likewise

    data, counting = make_data(folder, batch_size=2, val=[7], test=[8]), Counting()
    limits = {f"limit_{phase}_batches": 2 for phase in ("train", "val")}
    trainer = make_trainer(
        max_epochs=2, num_sanity_val_steps=1, callbacks=[counting], limit_test_batches=1, **limits
    )
    trainer.fit(recorder(), data)
    trainer.test(recorder(), data, verbose=False)
    assert counting.told == {("train", 2), ("sanity", 1), ("val", 2), ("test", 1)}


def test_fast_dev_run_takes_one_batch(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder)
    make_trainer(fast_dev_run=True).fit(module, data)
    assert seen(module) == fetched(data, "train", 0)[:1]
    assert seen(module, "val") == fetched(data, "val", 0)[:1]


def test_validating_several_times_an_epoch_starts_over_each_time(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder)
    make_trainer(max_epochs=2, val_check_interval=1).fit(module, data)
    assert seen(module) == fetched(data, "train", 0, 1)
    assert seen(module, "val") == 6 * fetched(data, "val", 0)


def test_reloading_the_loaders_leaves_the_order_alone(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder)
    make_trainer(max_epochs=3, reload_dataloaders_every_n_epochs=1).fit(module, data)
    assert seen(module) == fetched(data, "train", 0, 1, 2)


def test_without_validation_data_there_is_no_validation(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder, val=None)
    make_trainer(max_epochs=2).fit(module, data)
    assert sorted(module.seen) == [("train", 0), ("train", 1)]


def test_testing_and_predicting_see_every_row_in_its_order(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder, test=[1, 7])
    trainer = make_trainer()
    trainer.test(module, data, verbose=False)
    assert len(trainer.predict(module, data) or []) == 2
    rows = [[1, row] for row in range(5)] + [[7, row] for row in range(4)]
    assert seen(module, "test") == seen(module, "predict") == [rows[:5], rows[5:]]


def test_status_is_that_of_the_last_batch_at_every_moment(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    watcher, data = Watcher(), make_data(folder, shuffle="none")
    trainer = make_trainer(
        max_epochs=2, limit_train_batches=2, callbacks=[watcher], num_sanity_val_steps=0
    )
    trainer.fit(recorder(), data)
    train = [[("batch", f"train {n}.0 1"), ("batch", f"train {n}.1 2+7-a")] for n in range(2)]
    val = [[("val", f"val {n}.0 8-a"), ("val", f"val {n}.1 8-b")] for n in range(2)]
    assert watcher.moments == [
        ("start", None),
        ("epoch", None),
        *train[0],
        *val[0],
        ("epoch", "val 0.1 8-b"),
        *train[1],
        *val[1],
    ]


def test_status_can_be_asked_for_between_epochs_without_validation(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    watcher, data = Watcher(), make_data(folder, shuffle="none", val=None)
    make_trainer(max_epochs=2, callbacks=[watcher]).fit(recorder(), data)
    epochs = [place for moment, place in watcher.moments if moment == "epoch"]
    assert epochs == [None, "train 0.3 8-b"]
    assert data.status
    assert (data.status.epoch, data.status.batch, data.status.sets_left) == (1, 3, ())


@pytest.mark.parametrize("arguments", [{"overfit_batches": 1}, {"enable_progress_bar": True}])
def test_no_validation_data_is_no_trouble_to_other_options(
    folder: Path, recorder: Any, make_trainer: MakeTrainer, arguments: dict[str, Any]
) -> None:
    module, data = recorder(), make_data(folder, val=None)
    make_trainer(max_epochs=1, **arguments).fit(module, data)
    assert list(module.seen) == [("train", 0)]
    assert make_trainer().validate(module, data, verbose=False) == []


def test_a_schedule_of_another_length_is_followed_to_its_end(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    class Scheduler(Callback):
        @override
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            order: dict[int, list[int] | None] = {0: [7, 7, 7, 1, 2, 1], 1: [2], 2: None}
            data.schedule("train", order.get(trainer.current_epoch))

    data, module = make_data(folder), recorder()
    make_trainer(max_epochs=4, callbacks=[Scheduler()]).fit(module, data)
    assert seen(module) == fetched(data, "train", 0, 1, 2, 3)
    assert [data.plan("train", epoch).num_rows for epoch in range(4)] == [
        12,
        25,
        3,
        12,
    ]  # 3 x 4 + 5 + 3 + 5


def sets_of(data: AutoDataModule, epoch: int) -> list[int]:
    """List the sets of an epoch of training, as they are visited."""
    return list(data.plan("train", epoch).set_order)


@pytest.mark.parametrize(("step", "epoch"), [(1, 0), (2, 0), (3, 0), (4, 1), (6, 1)])
def test_a_schedule_asked_for_before_going_on_holds_from_the_next_epoch_on(
    folder: Path, recorder: Any, make_trainer: MakeTrainer, step: int, epoch: int
) -> None:
    first = recorder()
    save_every_step(folder, make_trainer, first, make_data(folder, shuffle="none"))
    module, data = recorder(), make_data(folder, shuffle="none")
    data.schedule("train", [7, 7])
    make_trainer(max_epochs=4).fit(
        module, data, ckpt_path=folder / "saved" / f"step={step}.ckpt", weights_only=True
    )
    orders = [sets_of(data, number) for number in range(4)]
    assert orders == [[1, 2, 7]] * (epoch + 1) + [[7, 7]] * (3 - epoch)
    expected = fetched(data, "train", *range(4))
    assert seen(module) == expected[step:]
    assert seen(first)[:step] == expected[:step]


def test_a_schedule_that_a_checkpoint_has_goes_before_the_one_it_was_begun_with(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    """A script that is run again asks for the first order again."""

    class Scheduler(Callback):
        @override
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.datamodule.schedule("train", [2])  # type: ignore[attr-defined] # set outside

    data = make_data(folder)
    data.schedule("train", [7, 1])
    trainer = make_trainer(max_epochs=2, callbacks=[Scheduler()])
    trainer.fit(recorder(), data)
    trainer.save_checkpoint(folder / "end.ckpt")
    again = make_data(folder)
    again.schedule("train", [7, 1])
    make_trainer(max_epochs=4).fit(recorder(), again, ckpt_path=folder / "end.ckpt")
    assert [sets_of(again, epoch) for epoch in range(4)] == [[7, 1], [2], [2], [2]]


def test_a_schedule_of_the_validation_is_followed_to_its_end(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    class Scheduler(Callback):
        @override
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            order: dict[int, list[int] | None] = {0: [8, 8, 8], 1: None}
            data.schedule("val", order.get(trainer.current_epoch))

    data, module = make_data(folder), recorder()
    make_trainer(max_epochs=3, callbacks=[Scheduler()]).fit(module, data)
    assert seen(module, "val") == fetched(data, "val", 0, 1, 2)
    assert [data.plan("val", epoch).num_rows for epoch in range(3)] == [6, 18, 6]
    assert seen(module) == fetched(data, "train", 0, 1, 2)


TIME = 7


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Series of ``(set number, 10 * row + time)``."""
    inputs = {}
    for number, rows in LENGTHS.items():
        row, time = np.ogrid[:rows, :TIME]
        values = (10 * row + time).astype(np.float32)
        inputs[number] = np.stack([np.full_like(values, number), values], -1)
    write_shards(tmp_path / "series", inputs)
    return tmp_path / "series"


def windowed(series: Path, **arguments: Any) -> AutoDataModule:
    """Three windows of each batch; one in every second training epoch."""
    windows = {"size": 3, "stride": 2, "starts": [0, 3]}
    return make_data(series, **{"windows": windows, **arguments})


def test_epochs_with_other_numbers_of_windows_are_followed_to_their_end(
    series: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), windowed(series)
    make_trainer(max_epochs=4).fit(module, data)
    assert [len(module.seen["train", epoch]) for epoch in range(4)] == [9, 3, 9, 3]
    assert [len(module.seen["val", epoch]) for epoch in range(4)] == [6, 6, 6, 6]
    assert seen(module) == fetched(data, "train", 0, 1, 2, 3)
    assert seen(module, "val") == fetched(data, "val", 0, 1, 2, 3)


def test_every_window_of_a_batch_comes_before_the_next_batch(
    series: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), windowed(series, val=None, shuffle="none", batch_size=9)
    make_trainer(max_epochs=1).fit(module, data)
    firsts = [batch[0][0] for batch in module.seen["train", 0]]
    starts = [0, 2, 4]
    first, second = [[1, start] for start in starts], [[7, 10 + start] for start in starts]
    assert firsts == first + second


def check_going_on(module: Any, data: AutoDataModule, step: int) -> None:
    """Make sure that nothing is left out of three epochs, of 9, 3 and 9 steps, after a step."""
    assert seen(module) == fetched(data, "train", 0, 1, 2)[step:]
    unfinished = [epoch for epoch, end in enumerate((9, 12, 21)) if end > step]
    assert seen(module, "val") == fetched(data, "val", *unfinished)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_checkpoint_goes_on_with_the_very_next_window(
    series: Path, recorder: Any, make_trainer: MakeTrainer, num_workers: int
) -> None:
    save_every_step(series, make_trainer, recorder(), windowed(series))
    for step in range(1, 21) if num_workers == 0 else (4, 9):
        module, data = recorder(), windowed(series, num_workers=num_workers)
        path = series / "saved" / f"step={step}.ckpt"
        make_trainer(max_epochs=3).fit(module, data, ckpt_path=path, weights_only=True)
        check_going_on(module, data, step)


@pytest.mark.parametrize("before_validation", [True, False])
@pytest.mark.parametrize("step", [9, 12])
def test_a_checkpoint_of_an_epoch_goes_on_with_all_windows_of_the_next(
    series: Path, recorder: Any, make_trainer: MakeTrainer, before_validation: bool, step: int
) -> None:
    keep = ModelCheckpoint(
        series / "saved", "{step}", save_top_k=-1, save_on_train_epoch_end=before_validation
    )
    make_trainer(max_epochs=2, callbacks=[keep]).fit(recorder(), windowed(series))
    module, data = recorder(), windowed(series)
    path = series / "saved" / f"step={step}.ckpt"
    make_trainer(max_epochs=3).fit(module, data, ckpt_path=path, weights_only=True)
    check_going_on(module, data, step)


def test_a_checkpoint_within_a_batch_goes_on_with_another_batch_size(
    series: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    save_every_step(series, make_trainer, recorder(), windowed(series, shuffle="none"))
    module, data = recorder(), windowed(series, shuffle="none", batch_size=3)
    path = series / "saved" / "step=4.ckpt"  # the second batch has two windows to come
    make_trainer(max_epochs=2).fit(module, data, ckpt_path=path, weights_only=True)
    found: Any = module.seen["train", 0]
    assert [len(batch) for batch in found] == [5, 5, 2, 2, 2]
    assert [batch[0][0][1] % 10 for batch in found] == [2, 4, 0, 2, 4]
    assert module.seen["train", 1] == fetched(data, "train", 1)


def test_windows_are_tested_and_predicted_from_the_first_start(
    series: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), windowed(series, test=[1])
    trainer = make_trainer()
    trainer.test(module, data, verbose=False)
    assert len(trainer.predict(module, data) or []) == 3
    expected = [
        [[[1, 10 * row + start + step] for step in range(3)] for row in range(5)]
        for start in (0, 2, 4)
    ]
    assert seen(module, "test") == seen(module, "predict") == expected


def test_status_tells_the_window_of_the_last_batch(
    series: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    told: list[object] = []

    class Asker(Callback):
        @override
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            status = data.status
            assert status is not None
            window = status.window and (status.window.index, status.window.count)
            told.append((status.epoch, status.batch, window))

    data = windowed(series)
    make_trainer(max_epochs=2, callbacks=[Asker()]).fit(recorder(), data)
    assert told == [
        *((0, index, (index % 3, 3)) for index in range(9)),
        *((1, index, None) for index in range(3)),
    ]
