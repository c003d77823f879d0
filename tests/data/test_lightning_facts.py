"""Eight facts about how Lightning treats loaders, and that leyden's loaders live with them.

Of each fact, the tests with ``lightning`` in their names watch Lightning itself with a loader that
notes what is done to it, so that a release with other ways fails them by name. The others train
on leyden's loaders under the same circumstances. Run as a script, this file is two processes that
train together; see ``ranks``.
"""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.shards import write_shards

MakeTrainer: TypeAlias = Callable[..., Trainer]

# The runs that go on write no checkpoints, and so have no callback for it.
pytestmark = pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")

LENGTHS = {1: 5, 2: 3, 7: 4, 8: 6}  # val=[8] leaves 12 rows: batches of 5, 5 and 2


class Sampler:
    """Notes the epochs that it is told."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def set_epoch(self, epoch: int) -> None:
        self._events.append(f"epoch {epoch}")


class Endless:
    """A loader of three batches that does not know their number; notes what is done to it."""

    batch_sampler = None

    def __init__(self, columns: int = 2) -> None:
        self.columns, self.place = columns, 0
        self.events: list[str] = []

    def __iter__(self) -> Iterator[Tensor]:
        self.events.append("iter")
        return self._batches()

    def _batches(self) -> Iterator[Tensor]:
        for self.place in (1, 2, 3):
            self.events.append(f"batch {self.place}")
            yield torch.full((1, self.columns), float(self.place))
        self.events.append("end")

    @property
    def sampler(self) -> Sampler:
        return Sampler(self.events)

    def set_epoch(self, epoch: int) -> None:
        self.events.append("set_epoch of the loader itself")

    def state_dict(self) -> dict[str, Any]:
        self.events.append("save")
        return {"place": self.place}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.events.append(f"load {state_dict['place']}")


class Probe(Endless):
    """One that does know their number."""

    def __len__(self) -> int:
        return 3


class AsksForSteps:
    """Makes an optimizer after asking for the number of steps, as for a schedule of them."""

    trainer: Trainer

    def configure_optimizers(self) -> SGD:
        assert self.trainer.estimated_stepping_batches > 0
        return SGD(self.parameters(), lr=1e-6)  # type: ignore[attr-defined] # a mixin


class BreaksOff:
    """Keeps a checkpoint in the middle of the first validation, and breaks the run off."""

    trainer: Trainer
    path: Path

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        if batch_idx == 1:
            self.trainer.save_checkpoint(self.path)
            raise InterruptedError


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
    return lists(found)


def lists(batches: Iterable[Any]) -> list[object]:
    return [batch.tolist() for batch in batches]


def seen(module: Any, phase: str = "train") -> list[object]:
    """List what a module has seen, in order."""
    return [
        batch for (name, _), batches in module.seen.items() for batch in batches if name == phase
    ]


def at_every_step(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)


def at_the_end_of_epochs(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, "{epoch}", save_on_train_epoch_end=True, save_top_k=-1)


@pytest.fixture
def resumed_probe(tmp_path: Path, recorder: Any, make_trainer: MakeTrainer) -> Callable[..., Any]:
    """Train with a probe, and go on with another from one of the checkpoints, for two epochs."""

    def resume(path: str, keep: Any = at_every_step, module: Any = None) -> list[str]:
        make_trainer(max_epochs=2, callbacks=[keep(tmp_path / "saved")]).fit(
            recorder(), Probe(), Probe()
        )
        probe, trainer = Probe(), make_trainer(max_epochs=2)
        trainer.fit(module or recorder(), probe, Probe(), ckpt_path=tmp_path / "saved" / path)
        return probe.events

    return resume


# Fact 1: `iter` is called several times without `next`, and before `set_epoch` of that epoch.


def test_fact_1_lightning_calls_iter_twice_and_before_it_sets_the_epoch(
    recorder: Any, make_trainer: MakeTrainer
) -> None:
    probe = Probe()
    make_trainer(max_epochs=1).fit(recorder(), probe, Probe())
    assert probe.events[:4] == ["iter", "iter", "epoch 0", "batch 1"]


def test_fact_1_nothing_is_read_and_no_epoch_is_begun_before_the_first_batch(
    folder: Path, counting: Any, recorder: Any, make_trainer: MakeTrainer
) -> None:
    class Watcher(Callback):
        @override
        def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            counting.read_rows.clear()

        @override
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            read.append(len(counting.read_rows))

    read: list[int] = []
    module, data = recorder(), make_data(folder, reader=counting, val=None)
    make_trainer(max_epochs=3, callbacks=[Watcher()], enable_checkpointing=False).fit(module, data)
    assert read == [0, 18, 36]  # and 18 rows in each epoch, so that none is begun twice
    assert seen(module) == fetched(data, "train", 0, 1, 2)


# Fact 2: a loader with a length is never pulled to its end.


def test_fact_2_lightning_does_not_pull_a_loader_to_its_end(
    recorder: Any, make_trainer: MakeTrainer
) -> None:
    probe = Probe()
    make_trainer(max_epochs=3).fit(recorder(), probe, Probe())
    assert probe.events.count("batch 3") == 3
    assert "end" not in probe.events


def test_fact_2_an_epoch_is_over_with_its_last_batch(
    folder: Path, tmp_path: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    data = make_data(folder)
    loader = data.train_dataloader()
    for epoch in range(3):
        assert lists(islice(loader, 3)) == fetched(data, "train", epoch)
    keep = at_every_step(tmp_path / "saved")
    make_trainer(max_epochs=1, callbacks=[keep]).fit(recorder(), make_data(folder))
    module, path = recorder(), tmp_path / "saved" / "step=3.ckpt"
    make_trainer(max_epochs=3).fit(module, data, ckpt_path=path)
    assert seen(module) == fetched(data, "train", 1, 2)  # no epoch is left out


# Fact 3: the length has to be that of the whole epoch; without one, a batch is fetched ahead.


def test_fact_3_lightning_counts_batches_from_before_a_restart_against_the_length(
    resumed_probe: Callable[..., list[str]],
) -> None:
    events = resumed_probe("step=2.ckpt")
    first = events[events.index("epoch 0") + 1 : events.index("epoch 1")]
    assert first == ["batch 1"]  # the loader does not mind the state; two of three were done


def test_fact_3_lightning_is_a_batch_ahead_where_there_is_no_length(
    tmp_path: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    probe, trainer = (
        Endless(),
        make_trainer(max_epochs=1, callbacks=[at_every_step(tmp_path / "s")]),
    )
    trainer.fit(recorder(), probe, Probe())
    assert probe.events[:6] == ["iter", "iter", "batch 1", "epoch 0", "batch 2", "save"]
    state = torch.load(tmp_path / "s" / "step=1.ckpt", weights_only=True)["loops"]["fit_loop"]
    assert state["state_dict"]["combined_loader"] == [{"place": 2}]


@pytest.mark.parametrize(("batch_size", "length"), [(5, 3), (2, 5), (100, 2)])
def test_fact_3_the_length_counts_the_batches_that_were_done_and_those_to_come(
    folder: Path,
    tmp_path: Path,
    recorder: Any,
    make_trainer: MakeTrainer,
    batch_size: int,
    length: int,
) -> None:
    before, keep = recorder(), at_every_step(tmp_path / "saved")
    make_trainer(max_steps=1, callbacks=[keep]).fit(before, make_data(folder))
    after, data = recorder(), make_data(folder, batch_size=batch_size)
    trainer = make_trainer(max_epochs=2)
    trainer.fit(after, data, ckpt_path=tmp_path / "saved" / "step=1.ckpt")
    assert 1 + len(after.seen["train", 0]) == length  # one batch of 5 rows, and 7 rows are left
    whole = [row for batch in fetched(make_data(folder), "train", 0) for row in batch]  # type: ignore[attr-defined] # lists
    assert [row for batch in seen(before) + after.seen["train", 0] for row in batch] == whole
    assert after.seen["train", 1] == fetched(data, "train", 1)


# Fact 4: a state is loaded before `iter` in the middle of an epoch, and otherwise not at all.


def test_fact_4_lightning_loads_a_state_in_the_middle_of_an_epoch_before_the_last_iter(
    resumed_probe: Callable[..., list[str]],
) -> None:
    events = resumed_probe("step=2.ckpt")
    assert events[:5] == ["iter", "load 2", "iter", "epoch 0", "batch 1"]


def test_fact_4_lightning_loads_no_state_where_the_number_of_steps_is_asked_for(
    recorder: Any, resumed_probe: Callable[..., list[str]]
) -> None:
    module = type("Asking", (AsksForSteps, recorder), {})()
    events = resumed_probe("step=2.ckpt", module=module)
    assert events[:4] == ["iter", "iter", "epoch 0", "batch 1"]


def test_fact_4_lightning_loads_no_state_of_the_end_of_an_epoch(
    resumed_probe: Callable[..., list[str]],
) -> None:
    events = resumed_probe("epoch=0.ckpt", at_the_end_of_epochs)
    assert events == ["iter", "iter", "epoch 1", "batch 1", "batch 2", "batch 3"]


@pytest.mark.parametrize(
    ("path", "keep", "asks", "done"),
    [
        ("step=2.ckpt", at_every_step, False, 2),
        ("step=2.ckpt", at_every_step, True, 2),
        ("step=5.ckpt", at_every_step, True, 5),
        ("epoch=0.ckpt", at_the_end_of_epochs, False, 3),
        ("epoch=0.ckpt", at_the_end_of_epochs, True, 3),
    ],
)
def test_fact_4_training_goes_on_exactly_whether_a_state_is_loaded_or_not(
    folder: Path,
    tmp_path: Path,
    recorder: Any,
    make_trainer: MakeTrainer,
    path: str,
    keep: Callable[[Path], ModelCheckpoint],
    asks: bool,
    done: int,
) -> None:
    make = type("Asking", (AsksForSteps, recorder), {}) if asks else recorder
    trainer = make_trainer(max_epochs=3, callbacks=[keep(tmp_path / "saved")])
    trainer.fit(make(), make_data(folder))
    module, data = make(), make_data(folder)
    make_trainer(max_epochs=3).fit(module, data, ckpt_path=tmp_path / "saved" / path)
    assert seen(module) == fetched(data, "train", 0, 1, 2)[done:]


# Fact 5: what is saved is the state of rank 0.


class RankProbe(Probe):
    """One whose state says which rank it is on."""

    rank = 0

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"rank": self.rank}


def train_on_ranks(folder: Path) -> None:
    """Train with three loaders in two processes, each of which notes what it has afterwards."""

    def fit(name: str, **source: Any) -> Any:
        trainer = Trainer(
            accelerator="cpu",
            devices=2,
            strategy="ddp",
            max_steps=2,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(BoringModel(), **source)
        trainer.save_checkpoint(folder / f"{name}.ckpt")
        notes["rank"] = trainer.global_rank
        return trainer.train_dataloader

    notes: dict[str, Any] = {}
    rows = TensorDataset(torch.zeros(12, 32))
    loader = fit("torch", train_dataloaders=DataLoader(rows, collate_fn=lambda batch: batch[0][0]))
    notes["torch"] = type(loader.sampler).__name__
    probe = RankProbe(columns=32)
    RankProbe.rank = notes["rank"]
    notes["probe"] = fit("probe", train_dataloaders=probe) is probe
    loader = fit("leyden", datamodule=AutoDataModule(folder / "shards", batch_size=2))
    notes["leyden"], notes["state"] = type(loader).__name__, loader.state_dict()
    (folder / f"{notes['rank']}.json").write_text(json.dumps(notes))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Let two processes train together: the folder of their checkpoints, and what each noted."""
    folder = tmp_path_factory.mktemp("ranks")
    write_shards(folder / "shards", {n: np.zeros((7, 32), np.float32) for n in (1, 2)})
    subprocess.run([sys.executable, __file__, folder], check=True, timeout=120)
    return folder, [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


Ranks: TypeAlias = tuple[Path, list[dict[str, Any]]]


def saved_loaders(path: Path) -> Any:
    return torch.load(path, weights_only=True)["loops"]["fit_loop"]["state_dict"]["combined_loader"]


def test_fact_5_lightning_saves_the_state_of_rank_0(ranks: Ranks) -> None:
    folder, notes = ranks
    assert [note["rank"] for note in notes] == [0, 1]
    assert saved_loaders(folder / "probe.ckpt") == [{"rank": 0}]


def test_fact_5_every_rank_has_the_state_that_is_saved(ranks: Ranks) -> None:
    folder, notes = ranks
    assert saved_loaders(folder / "leyden.ckpt") == [notes[0]["state"]]
    assert notes[1]["state"] == notes[0]["state"]
    assert (notes[1]["state"]["epoch"], notes[1]["state"]["rows"]) == (0, 8)  # 2 x 2 x 2


# Fact 6: `set_epoch` is called on `loader.sampler`, and never on the loader.


def test_fact_6_lightning_tells_the_epoch_to_the_sampler_only(
    recorder: Any, make_trainer: MakeTrainer
) -> None:
    probe, val = Probe(), Probe()
    make_trainer(max_epochs=3, num_sanity_val_steps=0).fit(recorder(), probe, val)
    for loader in (probe, val):
        told = [event for event in loader.events if "epoch" in event]
        assert told == ["epoch 0", "epoch 1", "epoch 2"]


def test_fact_6_a_place_goes_before_the_epoch_that_is_told_and_that_before_counting(
    folder: Path,
) -> None:
    def told(epoch: int) -> list[object]:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined] # as Lightning does
        return lists(loader)

    data = make_data(folder)
    loader = data.train_dataloader()
    list(islice(loader, 2))
    middle = loader.state_dict()
    assert told(4) == fetched(data, "train", 4)
    assert told(5) == fetched(data, "train", 5)
    at_the_end = loader.state_dict()
    loader.load_state_dict(middle)
    assert told(0) == fetched(data, "train", 0)[2:]
    loader.load_state_dict(middle)
    assert told(7) == fetched(data, "train", 7)
    loader.load_state_dict(at_the_end)
    assert told(5) == fetched(data, "train", 6)  # epoch 5 is over, whatever is told


# Fact 7: loaders that are not torch's are left as they are.


def test_fact_7_lightning_gives_only_loaders_of_torch_a_sampler_for_ranks(ranks: Ranks) -> None:
    _, notes = ranks
    assert [note["torch"] for note in notes] == ["DistributedSampler"] * 2
    assert [note["probe"] for note in notes] == [True] * 2


def test_fact_7_lightning_warns_of_other_samplers_when_overfitting_and_leaves_them(
    recorder: Any, make_trainer: MakeTrainer
) -> None:
    probe, trainer = Probe(), make_trainer(max_epochs=2, overfit_batches=2)
    with pytest.warns(UserWarning, match="requested to overfit but enabled .* shuffling"):
        trainer.fit(recorder(), probe, Probe())
    assert trainer.train_dataloader is probe


def test_fact_7_the_loader_is_left_as_it_is_on_every_rank(ranks: Ranks) -> None:
    _, notes = ranks
    assert [note["leyden"] for note in notes] == ["BatchLoader"] * 2


def test_fact_7_overfitting_has_the_same_rows_in_every_epoch_and_nothing_is_warned_of(
    folder: Path, recorder: Any, make_trainer: MakeTrainer
) -> None:
    module, data = recorder(), make_data(folder, shuffle="full")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_trainer(max_epochs=2, overfit_batches=1).fit(module, data)
    told = " ".join(str(warning.message) for warning in caught)
    assert "overfit" not in told
    assert "many workers" not in told
    assert seen(module) == 2 * [[[1, row] for row in range(5)]]


# Fact 8: loaders of validation are not saved; a validation that is broken off begins anew.


@pytest.fixture
def break_off(tmp_path: Path, recorder: Any, make_trainer: MakeTrainer) -> Callable[..., Path]:
    """Train for an epoch, and break its validation off; the checkpoint of that moment."""

    def train(*data: Any) -> Path:
        module = type("BreaksOff", (BreaksOff, recorder), {"path": tmp_path / "broken.ckpt"})()
        with pytest.raises(InterruptedError):
            make_trainer(max_epochs=2, num_sanity_val_steps=0).fit(module, *data)
        return tmp_path / "broken.ckpt"

    return train


def test_fact_8_lightning_neither_saves_nor_loads_the_state_of_a_loader_of_validation(
    break_off: Callable[..., Path], recorder: Any, make_trainer: MakeTrainer
) -> None:
    train, val = Probe(), Probe()
    path = break_off(train, val)
    assert (train.events.count("save"), val.events.count("save")) == (1, 0)
    train, val = Probe(), Probe()
    make_trainer(max_epochs=2, num_sanity_val_steps=0).fit(recorder(), train, val, ckpt_path=path)
    batches = [event for event in val.events if "batch" in event]
    assert not any("load" in event for event in val.events)
    # It begins anew, but only as many batches are validated on as were left.
    assert batches == ["batch 1", "batch 2", "batch 1", "batch 2", "batch 3"]


def test_fact_8_a_validation_that_is_broken_off_begins_anew_and_the_next_is_whole(
    folder: Path, break_off: Callable[..., Path], recorder: Any, make_trainer: MakeTrainer
) -> None:
    arguments = {"val": [2, 8], "batch_size": 3}  # three batches of validation, and of training
    path = break_off(make_data(folder, **arguments))
    module, data = recorder(), make_data(folder, **arguments)
    make_trainer(max_epochs=2, num_sanity_val_steps=0).fit(module, data, ckpt_path=path)
    whole = fetched(data, "val", 0)
    assert len(whole) == 3
    assert module.seen["val", 0] == whole[:2]  # as many as were left, from the first on
    assert module.seen["val", 1] == whole
    assert seen(module) == fetched(data, "train", 1)


if __name__ == "__main__":
    train_on_ranks(Path(sys.argv[1]))
