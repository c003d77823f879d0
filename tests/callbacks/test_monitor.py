"""What all monitors have in common."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden import latest_checkpoint
from leyden.callbacks import (
    ActivationMonitor,
    ExactResume,
    GradientMonitor,
    HealthMonitor,
    NaNGuard,
    WeightMonitor,
)
from leyden.errors import ConfigError, ResumeError
from leyden.lifecycle import Every
from leyden.tracking import FileLogger, read_metrics

Quick = Callable[..., Trainer]

ROWS: Any = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
MONITORS: list[Any] = [ActivationMonitor, GradientMonitor, HealthMonitor, WeightMonitor]


class Small(LightningModule):
    """Has randomness, buffers and a log in its step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1)
        )

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor | None:
        loss: Tensor = self.net(batch).square().mean()
        self.log("loss", loss)
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/loss", self.net(batch).square().mean())

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 0.01)

    @override
    def train_dataloader(self) -> Any:
        return DataLoader(ROWS, batch_size=4, shuffle=True)

    @override
    def val_dataloader(self) -> Any:
        return DataLoader(ROWS, batch_size=8)


class Manual(Small):
    """Steps two optimizers by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            loss: Tensor = self.net(batch).square().mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    @override
    def configure_optimizers(self) -> Any:
        first, last = self.net[0], self.net[4]
        return [torch.optim.SGD(part.parameters(), 0.1) for part in (first, last)]


class Noting(Logger):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    name = version = "noting"

    @override
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    @override
    def log_hyperparams(self, *_: Any, **__: Any) -> None: ...


def looks(logger: Noting) -> list[tuple[int | None, dict[str, float]]]:
    """Find the rows of monitors among those of Lightning."""
    mine = ("activation/", "gradient_norm/", "health/", "weight_norm/")
    return [(step, row) for step, row in logger.rows if any(key.startswith(mine) for key in row)]


@pytest.fixture
def quick(quick: Quick) -> Quick:
    """Make a trainer that logs at every step."""
    return partial(quick, log_every_n_steps=1)


def train(
    quick: Quick, kind: type[Small], callbacks: Sequence[Callback], **options: Any
) -> dict[str, Tensor]:
    module = kind()
    torch.manual_seed(1)
    quick(*callbacks, max_epochs=2, limit_train_batches=5, **options).fit(module)
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def at_every_step() -> list[Callback]:
    every = Every(batches=1)
    return [
        ActivationMonitor(every),
        GradientMonitor(every),
        WeightMonitor(every),
        HealthMonitor(every, dead_fraction=1, large_fraction=1),
        NaNGuard(),
    ]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Small, {}),
        (Small, {"gradient_clip_val": 0.01}),
        (Small, {"precision": "bf16-mixed"}),
        (Small, {"accumulate_grad_batches": 2}),
        (Small, {"precision": "bf16-mixed", "gradient_clip_val": 0.01}),
        (Manual, {}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value.__name__,
)
def test_training_comes_out_bit_for_bit_the_same(
    quick: Quick, kind: type[Small], options: dict[str, Any]
) -> None:
    plain = train(quick, kind, [], **options)
    watched = train(quick, kind, at_every_step(), logger=Noting(), **options)
    assert plain.keys() == watched.keys()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


@pytest.mark.parametrize("kind", MONITORS)
def test_one_line_without_arguments_is_enough(quick: Quick, kind: Any) -> None:
    logger = Noting()
    monitor: Any = kind() if kind is not HealthMonitor else HealthMonitor(dead_fraction=1)
    module = Small()
    rows: Any = torch.randn(100, 4)
    loader: Any = DataLoader(rows, batch_size=2)
    quick(monitor, logger=logger, limit_train_batches=50).fit(
        module, loader, module.val_dataloader()
    )
    assert looks(logger) == [(49, {"epoch": 0} | monitor.figures)]
    assert monitor.step == 49
    assert monitor.figures


@pytest.mark.parametrize("kind", MONITORS)
def test_state_is_plain_and_goes_on(quick: Quick, tmp_path: Path, kind: Any) -> None:
    every = Every(validations=2) if kind is HealthMonitor else Every(batches=4)
    options: dict[str, Any] = {"enable_checkpointing": False, "limit_train_batches": 5}

    def run(max_epochs: int, resume: Path | None) -> tuple[Trainer, list[int | None]]:
        logger, monitor = Noting(), kind(every)
        trainer = quick(monitor, logger=logger, max_epochs=max_epochs, **options)
        trainer.fit(Small(), ckpt_path=resume, weights_only=True)
        assert json.loads(json.dumps(monitor.state_dict())) == monitor.state_dict()
        return trainer, [step for step, _ in looks(logger)]

    trainer, first = run(1, None)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    _, rest = run(4, tmp_path / "one.ckpt")
    _, whole = run(4, None)
    assert first + rest == whole
    assert whole == ([9, 19] if kind is HealthMonitor else [3, 7, 11, 15, 19])


@pytest.mark.parametrize("kind", [*MONITORS, NaNGuard])
def test_state_of_another_version_is_refused(kind: type[Any]) -> None:
    monitor = kind()
    before = monitor.state_dict()
    with pytest.raises(ResumeError, match="version of the state to be 1, but got 2"):
        monitor.load_state_dict(before | {"version": 2})
    assert monitor.state_dict() == before


def test_state_keys_tell_monitors_apart() -> None:
    monitors = [
        *(kind() for kind in MONITORS),
        GradientMonitor(Every(batches=1)),
        GradientMonitor(layers="head"),
        GradientMonitor(name="sum_of_gradients"),
    ]
    assert len({monitor.state_key for monitor in monitors}) == len(monitors)


@pytest.mark.parametrize("kind", [*MONITORS, NaNGuard])
def test_teardown_may_come_twice_and_before_everything(quick: Quick, kind: type[Any]) -> None:
    monitor, trainer, module = kind(), quick(), Small()
    for _ in range(2):
        monitor.teardown(trainer, module, "fit")
    monitor.on_exception(trainer, module, RuntimeError())


@pytest.mark.parametrize("kind", MONITORS)
def test_sanity_check_is_skipped(quick: Quick, kind: Any) -> None:
    monitor, logger = kind(), Noting()
    quick(monitor, logger=logger, num_sanity_val_steps=2, limit_train_batches=0).fit(Small())
    assert logger.rows == []
    assert monitor.figures == {}


def test_second_training_counts_from_zero(quick: Quick) -> None:
    monitor = WeightMonitor(Every(batches=2))
    for _ in range(2):
        logger = Noting()
        quick(monitor, logger=logger, limit_train_batches=3).fit(Small())
        assert [step for step, _ in looks(logger)] == [1]


def test_figures_go_to_every_logger_in_one_row(quick: Quick, tmp_path: Path) -> None:
    noting, monitor = Noting(), GradientMonitor(Every(batches=2))
    loggers = [FileLogger(tmp_path), noting]
    quick(monitor, logger=loggers, limit_train_batches=4).fit(Small())
    history = read_metrics(tmp_path / "metrics.csv")
    steps, values = history["gradient_norm/total"]
    rows = [row for _, row in looks(noting)]
    assert steps.tolist() == [1, 3]
    assert values.tolist() == [row["gradient_norm/total"] for row in rows]
    assert history["loss"][0].tolist() == [0, 1, 2, 3]  # which Lightning logged with its own steps


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        (Every(iters=3), [2, 5, 8]),
        (Every(epochs=1), [4, 9]),
        (Every(epochs=2), [9]),
        (Every(batches=4), [3, 7]),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", MONITORS)
def test_looks_come_when_they_are_due(
    quick: Quick, kind: Any, every: Every, steps: list[int]
) -> None:
    logger = Noting()
    options: dict[str, Any] = {"max_epochs": 2, "limit_train_batches": 5}
    quick(kind(every), logger=logger, **options).fit(Small())
    assert [step for step, _ in looks(logger)] == steps


@pytest.mark.parametrize("kind", [GradientMonitor, ActivationMonitor])
def test_monitors_of_a_step_refuse_validations(kind: type[Any]) -> None:
    with pytest.raises(ConfigError, match="but got 'every 1 validations'"):
        kind(Every(validations=1))


@pytest.mark.parametrize("kind", MONITORS)
def test_layers_that_are_not_there_are_told_when_training_begins(
    quick: Quick, kind: type[Any]
) -> None:
    with pytest.raises(ConfigError, match=r"got 'nett\.7'\. Did you mean"):
        quick(kind(layers="nett.7")).fit(Small())


class Stopping(Small):
    """Fails once, in the middle of a step."""

    def __init__(self, at: int | None) -> None:
        super().__init__()
        self.at = at

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor | None:
        loss = super().training_step(batch, batch_idx)
        if self.trainer.fit_loop.total_batch_idx == self.at:
            raise KeyError("out of luck")
        return loss


@pytest.mark.parametrize(("accumulate", "at"), [(1, 8), (2, 3), (2, 8)])
def test_resumed_run_writes_what_one_without_a_break_does(
    tmp_path: Path, accumulate: int, at: int
) -> None:
    def run(folder: Path, at: int | None) -> str:
        torch.manual_seed(1)
        monitors = [
            GradientMonitor(Every(batches=3)),
            WeightMonitor(Every(batches=2)),
            ActivationMonitor(Every(iters=5)),
            HealthMonitor(dead_fraction=1, large_fraction=1),
        ]
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=3,
            callbacks=[*monitors, ExactResume(folder / "kept", every_n_steps=1)],
            logger=FileLogger(folder),
            log_every_n_steps=1,
            accumulate_grad_batches=accumulate,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Stopping(at), ckpt_path=latest_checkpoint(folder / "kept"))
        return (folder / "metrics.csv").read_text()

    with pytest.raises(KeyError, match="out of luck"):
        run(tmp_path / "broken", at)
    assert run(tmp_path / "broken", None) == run(tmp_path / "whole", None)


class Uneven(Manual):
    """Steps its second optimizer in every other batch only, and logs in each."""

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        first, second = self.optimizers()  # type: ignore[attr-defined] # there are two
        loss = self.net(batch).square().mean()
        self.manual_backward(loss)
        for optimizer in (first, second) if batch_idx % 2 == 0 else (first,):
            optimizer.step()
            optimizer.zero_grad()
        self.log("loss", loss)


@pytest.mark.parametrize("unit", ["batches", "epochs", "validations"])
def test_figures_are_logged_with_the_steps_of_other_metrics(tmp_path: Path, unit: str) -> None:
    monitor = WeightMonitor(Every(**{unit: 1}))
    options: Any = {"logger": FileLogger(tmp_path), "log_every_n_steps": 1, "max_epochs": 2}
    options |= dict.fromkeys(
        ("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    Trainer(accelerator="cpu", callbacks=[monitor], **options).fit(Uneven())
    history = read_metrics(tmp_path / "metrics.csv")
    looks = history["weight_norm/total"][0].tolist()
    steps = history["loss" if unit == "batches" else "val/loss"][0].tolist()
    assert looks == steps == (list(range(12)) if unit == "batches" else [5, 11])
