"""One training run of the matrix of `test_matrix`, in a process of its own.

``python training_script.py FOLDER JSON``, where the JSON names a loader, a training and, if the run
is to be broken off, how and where. What came out is written to ``result.json``.
"""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchmetrics
from lightning.pytorch import (
    Callback,
    LightningDataModule,
    LightningModule,
    Trainer,
    seed_everything,
)
from lightning.pytorch.callbacks import (
    BaseFinetuning,
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from lightning.pytorch.demos.boring_classes import (
    BoringDataModule,
    BoringDataModuleNoLen,
    BoringModel,
    ManualOptimBoringModel,
    RandomIterableDataset,
)
from lightning.pytorch.demos.lstm import LightningLSTM, SequenceSampler
from lightning.pytorch.demos.transformer import LightningTransformer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)

from leyden import AutoDataModule, latest_checkpoint
from leyden.callbacks import ExactResume
from leyden.resume.checkpoints import store

ROWS, WIDTH = 96, 8


def _nothing(_: int) -> None:
    """What happens at most rows."""


class Rows(Dataset[Any]):
    """Rows that are disturbed by every kind of random number."""

    def __init__(self, count: int = ROWS, *, augment: bool = True) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(count, WIDTH, generator=generator)
        self.augment, self.own = augment, np.random.default_rng(3)
        self.fails: Callable[[int], None] = _nothing

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.fails(index)
        row = self.inputs[index]
        target = (row.sum() > 0).long()
        if self.augment:
            noise = np.random.rand() + random.random() + self.own.random()
            row = row + 0.1 * torch.rand(WIDTH) + 0.01 * noise
        return row, target


class Stream(IterableDataset[Any]):
    """As many rows, without a length."""

    def __iter__(self) -> Iterator[Any]:
        rows, worker = Rows(), get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for index in range(first, ROWS, step):
            yield rows[index]


class Lazy(Sampler[int]):
    """Draws from a global generator at every index."""

    def __len__(self) -> int:
        return ROWS

    def __iter__(self) -> Iterator[int]:
        return (random.randrange(ROWS) for _ in range(ROWS))


class Endless(Sampler[list[int]]):
    """Batches without a number."""

    def __iter__(self) -> Iterator[list[int]]:
        return (torch.randint(ROWS, (8,)).tolist() for _ in range(12))


class Batches:
    """An iterable that is nothing else, and draws as it goes."""

    def __iter__(self) -> Iterator[Any]:
        rows = Rows()
        for _ in range(12):
            chosen = [rows[int(index)] for index in torch.randint(ROWS, (8,))]
            yield [torch.stack(parts) for parts in zip(*chosen, strict=True)]


def _rows(**kwargs: Any) -> DataLoader[Any]:
    sampler = kwargs.pop("sampler", None)
    order = {"shuffle": True} if sampler is None else {"sampler": sampler}
    return DataLoader(Rows(), 8, **order, **kwargs)


def _torchdata(**kwargs: Any) -> Any:
    from torchdata.stateful_dataloader import StatefulDataLoader  # noqa: PLC0415 - not needed else

    return StatefulDataLoader(Rows(), 8, shuffle=True, **kwargs)


LOADERS: dict[str, Callable[[], Any]] = {
    "plain": _rows,
    "2 workers": lambda: _rows(num_workers=2),
    "persistent workers": lambda: _rows(num_workers=2, persistent_workers=True),
    "own generator": lambda: _rows(generator=torch.Generator().manual_seed(5)),
    "own generator, 2 workers": lambda: _rows(
        generator=torch.Generator().manual_seed(5), num_workers=2
    ),
    "with replacement": lambda: _rows(sampler=RandomSampler(Rows(), replacement=True)),
    "weighted": lambda: _rows(sampler=WeightedRandomSampler(range(1, ROWS + 1), ROWS)),
    "weighted, 2 workers": lambda: _rows(
        sampler=WeightedRandomSampler(range(1, ROWS + 1), ROWS), num_workers=2
    ),
    "subset": lambda: _rows(sampler=SubsetRandomSampler(range(0, ROWS, 2))),
    "DistributedSampler": lambda: _rows(sampler=DistributedSampler(Rows(), 1, 0)),
    "DistributedSampler, 2 workers": lambda: _rows(
        sampler=DistributedSampler(Rows(), 1, 0), num_workers=2
    ),
    "drawing at every index": lambda: _rows(sampler=Lazy()),
    "drawing at every index, 2 workers": lambda: _rows(sampler=Lazy(), num_workers=2),
    "batches without a number": lambda: DataLoader(Rows(), batch_sampler=Endless()),
    "iterable": lambda: DataLoader(Stream(), 8),
    "iterable, 2 workers": lambda: DataLoader(Stream(), 8, num_workers=2),
    "torchdata": _torchdata,
    "torchdata, 2 workers": lambda: _torchdata(num_workers=2),
    "dictionary": lambda: {"first": _rows(), "second": DataLoader(Rows(40), 8, shuffle=True)},
    "dictionary, 2 workers": lambda: {
        "first": _rows(num_workers=2),
        "second": DataLoader(Rows(40), 8, shuffle=True),
    },
    "any iterable": Batches,
}


class Net(LightningModule):
    """Dropout, batch normalisation, averages and metrics of every kind."""

    def __init__(self, training: str) -> None:
        super().__init__()
        self.kind = training
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(WIDTH, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(16, 2),
        )
        self.accuracy = torchmetrics.Accuracy("multiclass", num_classes=2)
        both = {"f1": torchmetrics.F1Score, "recall": torchmetrics.Recall}
        self.val_metrics = torchmetrics.MetricCollection(
            {name: metric("multiclass", num_classes=2) for name, metric in both.items()}
        )
        self.auroc = torchmetrics.AUROC("binary")
        self.own = torch.Generator().manual_seed(7)

    def loss(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        if isinstance(batch, dict):
            first, second = batch["first"], batch["second"]
            batch = [torch.cat(parts) for parts in zip(first, second, strict=True)]
        inputs, targets = batch
        inputs = inputs + 0.01 * torch.rand(inputs.shape, generator=self.own)
        outputs = self.net(inputs)
        return nn.functional.cross_entropy(outputs, targets), outputs, targets

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss, outputs, targets = self.loss(batch)
        self.accuracy(outputs, targets)
        self.log("accuracy", self.accuracy, on_step=True, on_epoch=True)
        self.log("loss", loss, on_step=True, on_epoch=True, sync_dist=True)
        self.log("worst", loss, on_step=False, on_epoch=True, reduce_fx="max")
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        loss, outputs, targets = self.loss(batch)
        self.val_metrics(outputs, targets)
        self.auroc(outputs.softmax(1)[:, 1], targets)
        self.log_dict(self.val_metrics)
        self.log("auroc", self.auroc)
        noisy = loss + 0.01 * torch.rand(())
        self.log("val_loss", noisy, add_dataloader_idx=dataloader_idx != 0)

    def configure_optimizers(self) -> Any:
        schedule: Any
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        if self.kind.startswith("estimated steps"):
            total = int(self.trainer.estimated_stepping_batches)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=total)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]
        if self.kind == "step schedule":
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.9)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]
        if self.kind == "epoch schedule":
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]
        if self.kind == "plateau schedule":
            schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
            return [optimizer], [{"scheduler": schedule, "monitor": "val_loss"}]
        return optimizer


class Manual(Net):
    """Two optimizers, stepped by hand, and gradients that go on over batches."""

    def __init__(self, training: str) -> None:
        super().__init__(training)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss)
        optimizers: Any = self.optimizers()
        first, second = optimizers
        first.step()
        first.zero_grad()
        if batch_idx % 4 == 3:
            second.step()
            second.zero_grad()

    def configure_optimizers(self) -> Any:
        return (
            torch.optim.Adam(self.net[1].parameters(), 1e-2),
            torch.optim.SGD(self.net[5].parameters(), 1e-2, momentum=0.9),
        )


class Custom(Callback):
    """A callback of the user's, with a state."""

    def __init__(self) -> None:
        self.seen = 0
        self.noise = 0.0

    def on_train_batch_end(self, *args: Any) -> None:
        self.seen += 1
        self.noise += random.random()

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, "noise": self.noise}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seen, self.noise = state_dict["seen"], state_dict["noise"]


TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"accumulate_grad_batches": 5},
    "step schedule": {},
    "epoch schedule": {},
    "plateau schedule": {},
    "estimated steps": {},
    "max_steps": {"max_steps": 30, "max_epochs": -1},
    "val_check_interval fraction": {"val_check_interval": 0.5},
    "val_check_interval number": {"val_check_interval": 5, "check_val_every_n_epoch": None},
    "several validation loaders": {},
    "early stopping": {"max_epochs": 12},
    "EMA": {},
    "averaging of weights": {},
    "scheduled accumulation": {},
    "unfreezing": {},
    "gradient clipping": {"gradient_clip_val": 0.1},
    "manual optimization": {},
    "bf16": {"precision": "bf16-mixed"},
    "no validation": {"limit_val_batches": 0},
    "limited batches": {"limit_train_batches": 7, "limit_val_batches": 2},
    "logging every 5 steps": {"log_every_n_steps": 5},
    "loaders reloaded every epoch": {"reload_dataloaders_every_n_epochs": 1},
    "estimated steps, loaders reloaded every epoch": {"reload_dataloaders_every_n_epochs": 1},
    "two ranks": {"strategy": "ddp", "devices": 2},
}


class Unfreezing(BaseFinetuning):
    """Trains the first layer from the second epoch on."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(next(pl_module.net.children()))

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(next(pl_module.net.children()), optimizer)


class Interrupter(Callback):
    """Breaks the run off, at the batch and in the way that it was told."""

    def __init__(self, how: str, where: str, at: int) -> None:
        self.how, self.where, self.at = how, where, at

    def _now(self, where: str, trainer: Trainer, batch_idx: int = 0) -> None:
        count = trainer.fit_loop.epoch_loop.total_batch_idx
        if where.startswith("val"):
            is_now = (where, count) == (self.where, self.at) and batch_idx == 1
        else:
            is_now = (where, count) == (self.where, self.at)
        if is_now and not trainer.sanity_checking:
            self.strike()

    def strike(self) -> None:
        if self.how == "exception":
            raise RuntimeError("broken off")
        name, _, group = self.how.partition(" of ")  # as a terminal sends it, to the workers too
        (os.killpg if group else os.kill)(os.getpid(), getattr(signal, name))

    def on_fit_end(self, trainer: Trainer, *args: Any) -> None:
        self._now("fit end", trainer)

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self._now("batch start", trainer)

    def on_before_backward(self, trainer: Trainer, *args: Any) -> None:
        self._now("step", trainer)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        self._now("batch end", trainer)

    def on_validation_batch_end(
        self, trainer: Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int, *args: Any
    ) -> None:
        self._now("val", trainer, batch_idx)

    def on_validation_start(self, trainer: Trainer, module: Any) -> None:
        self._now("val start", trainer, 1)

    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        self._now("val end", trainer, 1)

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        self._now("epoch end", trainer)


class Record(Callback):
    """Writes down what every batch contained."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, index: int) -> None:
        line = json.dumps([trainer.current_epoch, index, digest(batch)])
        with self.path.open("a") as file:
            file.write(line + "\n")


def digest(values: Any) -> str:
    """Digest of all tensors in nested containers."""
    hashed = hashlib.sha256()
    for leaf in torch.utils._pytree.tree_leaves(values):
        tensor = torch.as_tensor(leaf).detach().cpu()
        hashed.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        hashed.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()[:16]


class Tokens(Dataset[Any]):
    """Sequences of random tokens, in place of the text that Lightning's demos download."""

    vocab_size = 50

    def __init__(self) -> None:
        self.tokens = torch.randint(50, (80, 6), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.tokens[index, :-1], self.tokens[index, 1:]


def _nothing_to_prepare() -> None:
    """In place of a download."""


def _transformer() -> tuple[LightningModule, Any]:
    module = LightningTransformer(vocab_size=50)
    module.prepare_data = _nothing_to_prepare
    return module, DataLoader(Tokens(), 8, shuffle=True)


def _lstm() -> tuple[LightningModule, Any]:
    module = LightningLSTM(vocab_size=50)
    module.prepare_data = _nothing_to_prepare
    return module, DataLoader(Tokens(), batch_sampler=SequenceSampler(Tokens(), 8))


_BRIGHTNESS = [{"type": "random_brightness", "min_factor": 0.5, "max_factor": 1.5}]


def _auto(folder: Path, training: str = "plain", **kwargs: Any) -> tuple[LightningModule, Any]:
    shards = folder.parent / ("images" if "augmentors" in kwargs else "shards")
    return Net(training), AutoDataModule(shards, batch_size=8, **kwargs)


PROJECTS: dict[str, Callable[[Path], tuple[LightningModule, Any]]] = {
    "boring module, loaders of its own": lambda _: (BoringModel(), None),
    "boring module and data module": lambda _: (BoringModel(), BoringDataModule()),
    "boring data without length": lambda _: (BoringModel(), BoringDataModuleNoLen()),
    "boring iterable data": lambda _: (
        BoringModel(),
        DataLoader(RandomIterableDataset(32, 64), num_workers=2),
    ),
    "boring manual optimization": lambda _: (ManualOptimBoringModel(), BoringDataModule()),
    "transformer": lambda _: _transformer(),
    "LSTM that keeps its state": lambda _: _lstm(),
    **{
        f"AutoDataModule, {shuffle}": partial(_auto, shuffle=shuffle)
        for shuffle in ("none", "sets", "blocks", "rows", "window:3", "full")
    },
    "AutoDataModule, estimated steps": lambda folder: _auto(folder, "estimated steps"),
    "AutoDataModule, augmented": lambda folder: _auto(folder, augmentors=_BRIGHTNESS),
    "AutoDataModule, 2 workers": lambda folder: _auto(
        folder, augmentors=_BRIGHTNESS, num_workers=2
    ),
}


def make(cell: dict[str, Any], folder: Path) -> tuple[LightningModule, Any, Any]:
    """The module, and data module or training loaders, and validation loaders of a cell."""
    training = cell.get("training", "plain")
    if "project" in cell:
        return *PROJECTS[cell["project"]](folder), None
    module = (Manual if training == "manual optimization" else Net)(training)
    val: Any = DataLoader(Rows(32), 8)
    if training == "several validation loaders":
        val = [val, DataLoader(Rows(20), 8), DataLoader(Rows(24), 8, num_workers=1)]
    loader = LOADERS[cell.get("loader", "plain")]
    if cell.get("from") == "module":
        module.train_dataloader, module.val_dataloader = loader, lambda: val
        return module, None, None
    if cell.get("from") == "data module":
        data = LightningDataModule()
        data.train_dataloader, data.val_dataloader = loader, lambda: val
        return module, data, None
    if training.endswith("loaders reloaded every epoch"):
        module.train_dataloader, module.val_dataloader = loader, lambda: DataLoader(Rows(32), 8)
        return module, None, None
    return module, loader(), val


def callbacks(cell: dict[str, Any], folder: Path) -> list[Callback]:
    training = cell.get("training", "plain")
    best: dict[str, Any] = cell.get("best", {"monitor": "val_loss", "save_top_k": 2})
    if "project" in cell or training == "no validation":
        best = {"every_n_train_steps": 4, "save_top_k": -1}
    resume = ExactResume(
        folder / "checkpoints", every_n_steps=cell.get("every", 5), every_seconds=None
    )
    made: list[Callback] = [Record(folder / "batches.jsonl"), Custom(), resume]
    made.append(ModelCheckpoint(folder / "best", **best))
    if training == "early stopping":
        made.append(EarlyStopping("val_loss", patience=1))
    if training == "EMA":
        made.append(EMAWeightAveraging(decay=0.9))
    if training == "averaging of weights":
        made.append(StochasticWeightAveraging(1e-2, swa_epoch_start=1))
    if training == "scheduled accumulation":
        made.append(GradientAccumulationScheduler({1: 3}))
    if training == "unfreezing":
        made.append(Unfreezing())
    if "interrupt" in cell:
        made.append(Interrupter(*cell["interrupt"]))
    return made


def main(folder: Path, cell: dict[str, Any]) -> None:
    """Train once, from where the folder's checkpoints are."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    seed_everything(cell["seed"], verbose=False)
    module, data, val = make(cell, folder)
    given: dict[str, Any] = {"train_dataloaders": data, "val_dataloaders": val}
    if data is None or isinstance(data, LightningDataModule):
        given = {"datamodule": data}
    interrupt = cell.get("interrupt", [None, None, 0])
    if interrupt[1] in ("loader", "worker"):
        _fail_in(data, interrupt)
    trainer = Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder, name="", version=""),
        callbacks=callbacks(cell, folder),
        enable_progress_bar=False,
        enable_model_summary=False,
        **{
            "max_epochs": 3,
            "log_every_n_steps": 1,
            "use_distributed_sampler": False,
            **TRAININGS[cell.get("training", "plain")],
        },
    )
    checkpoint = cell.get("checkpoint") or latest_checkpoint(folder / "checkpoints")
    trainer.fit(module, **given, ckpt_path=checkpoint)
    if trainer.is_global_zero:
        (folder / "result.json").write_text(json.dumps(result(trainer, module, folder), indent=1))


def _fail_in(loader: Any, interrupt: list[Any]) -> None:
    """Have the row fail, in this process or in a worker's, that the run comes to somewhere."""
    how, _, at = interrupt

    def fails(index: int) -> None:
        if index == at:
            if how == "exception":
                raise RuntimeError("broken off")
            os.kill(os.getpid(), getattr(signal, how))

    loader.dataset.fails = fails


def result(trainer: Any, module: LightningModule, folder: Path) -> dict[str, Any]:
    """Everything that must be the same, bit for bit."""
    custom = next(callback for callback in trainer.callbacks if isinstance(callback, Custom))
    return {
        "weights": digest(module.state_dict()),
        "optimizers": [digest(one.state_dict()["state"]) for one in trainer.optimizers],
        "schedules": repr([one.scheduler.state_dict() for one in trainer.lr_scheduler_configs]),
        "steps": [trainer.global_step, trainer.current_epoch],
        "metrics": {name: float(value).hex() for name, value in trainer.callback_metrics.items()},
        "custom": [custom.seen, custom.noise.hex()],
        "best": {
            path.name: digest(torch.load(path)["state_dict"])
            for path in sorted((folder / "best").glob("*.ckpt"))
        },
    }


def logged_main(folder: Path, cell: dict[str, Any], writes: Connection | None = None) -> None:
    """Train once in a fork of a process that has imported this script.

    Through ``writes`` it says when the writing of a checkpoint begins.
    """
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.setsid()  # a signal to the group stays with this process and its workers
    multiprocessing.set_start_method("fork", force=True)  # of the workers of loaders
    if writes is not None:
        _announce(writes)
    main(folder, cell)


def _announce(writes: Connection) -> None:
    def announced(checkpoint: dict[str, Any], path: Path) -> None:
        writes.send_bytes(b"w")
        save(checkpoint, path)

    save = vars(store)["save"]
    vars(store)["save"] = announced


def load_result(folder: Path) -> tuple[Any, dict[tuple[int, int], str], bytes]:
    """What came out, what each batch contained, and what was logged.

    Of batches that were made again, the last content counts.
    """
    lines = (folder / "batches.jsonl").read_text().splitlines()
    batches = {(epoch, index): content for epoch, index, content in map(json.loads, lines)}
    csv = folder / "metrics.csv"  # which is not there if the module logs nothing
    logged = csv.read_bytes() if csv.exists() else b""
    return json.loads((folder / "result.json").read_text()), batches, logged


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
