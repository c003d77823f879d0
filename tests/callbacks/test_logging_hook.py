import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers.logger import Logger
from matplotlib.figure import Figure
from PIL import Image
from typing_extensions import override

from leyden.callbacks import IntervalHook, LoggingHook, StageHooks
from leyden.errors import DataError
from leyden.tracking import FileLogger, read_metrics

Quick = Callable[..., Trainer]


def log_op(module: Any, inputs: Any) -> dict[str, Any]:
    pictures = torch.full((4, 2, 3, 1), -1.0)
    pictures[3] = 1.0
    return {
        "scalars": {"size": inputs.numel(), "mean/bias": module.layer.bias.mean()},
        "images": {"inputs": pictures, "deep/ones": np.ones((1, 2, 2, 3))},
        "figures": {"plot": Figure(figsize=(1, 1), dpi=50)},
    }


def test_numbers_go_to_the_loggers_at_doubling_steps(quick: Quick, tmp_path: Path) -> None:
    hook = IntervalHook([LoggingHook(["nested/log_op"])], 1, modify_each=1, max_interval=1000)
    hooks = StageHooks([hook], {"nested": {"log_op": log_op}})
    quick(hooks, logger=FileLogger(tmp_path), limit_train_batches=60).fit(BoringModel())
    history = read_metrics(tmp_path / "metrics.csv")
    steps, sizes = history["nested/log_op/size"]
    assert steps.tolist() == [0, 2, 4, 8, 16, 32]
    assert set(sizes) == {32}


def test_numbers_are_those_before_the_step(quick: Quick, tmp_path: Path) -> None:
    class Noting(BoringModel):
        @override
        def on_train_batch_start(self, *_: Any) -> None:
            biases.append(self.layer.bias.mean().item())

    biases: list[float] = []
    hooks = StageHooks(
        [LoggingHook(["bias"])], {"bias": lambda module, **_: module.layer.bias.mean()}
    )
    quick(hooks, logger=FileLogger(tmp_path), log_every_n_steps=1).fit(Noting())
    steps, values = read_metrics(tmp_path / "metrics.csv")["bias"]
    assert steps.tolist() == [0, 1, 2]
    assert values.tolist() == biases
    assert len(set(biases)) == 3


def test_images_and_figures_are_files_of_the_run(quick: Quick, tmp_path: Path) -> None:
    hooks = StageHooks([LoggingHook(["log_op"])], {"log_op": log_op})
    quick(hooks, limit_train_batches=2).fit(BoringModel())
    folder = tmp_path / "train" / "log_op"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.png")} == {
        *("inputs_0000000.png", "inputs_0000001.png"),
        *("plot_0000000.png", "plot_0000001.png"),
        *("deep/ones_0000000.png", "deep/ones_0000001.png"),
    }
    with Image.open(folder / "inputs_0000001.png") as image:
        grey = np.asarray(image)[..., 0]
    assert grey.shape == (4, 6)
    assert grey[2:, 3:].min() == 255
    assert grey.sum() == 6 * 255
    with Image.open(folder / "plot_0000000.png") as image:
        assert image.size == (50, 50)


class Tracker(Logger):
    """Takes images as W&B does, or as TensorBoard does."""

    name = version = "tracker"

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.taken: list[Any] = []
        if kind == "wandb":
            self.log_image = self.take
        else:
            self.experiment = self

    def take(self, name: str, images: Any, step: int, **options: Any) -> None:
        self.taken.append((name, type(images), step, options))

    add_figure = add_image = take

    @override
    def log_metrics(self, *_: Any, **__: Any) -> None: ...

    @override
    def log_hyperparams(self, *_: Any, **__: Any) -> None: ...


def test_loggers_that_take_pictures_get_them(quick: Quick, tmp_path: Path) -> None:
    wandb, board = Tracker("wandb"), Tracker("tensorboard")
    hooks = StageHooks([LoggingHook(["log_op"], root_path=tmp_path / "mine")], {"log_op": log_op})
    options = {"limit_train_batches": 1, "log_every_n_steps": 1}
    quick(hooks, logger=[FileLogger(tmp_path), wandb, board], **options).fit(BoringModel())
    assert wandb.taken == [
        ("log_op/inputs", list, 0, {}),
        ("log_op/deep/ones", list, 0, {}),
        ("log_op/plot", list, 0, {}),
    ]
    assert board.taken == [
        ("log_op/inputs", np.ndarray, 0, {"dataformats": "HWC"}),
        ("log_op/deep/ones", np.ndarray, 0, {"dataformats": "HWC"}),
        ("log_op/plot", Figure, 0, {"close": False}),
    ]
    assert (tmp_path / "mine" / "log_op" / "plot_0000000.png").exists()


def test_handlers_of_ones_own_are_called_too(quick: Quick) -> None:
    hook = LoggingHook(["log_op"])
    taken: list[Any] = []
    hook.handlers["figures"] = [
        lambda results, step, path: taken.append((list(results), step, path))
    ]
    hook.handlers["images"].clear()
    quick(StageHooks([hook], {"log_op": log_op}), limit_train_batches=2).fit(BoringModel())
    assert taken == [(["plot"], 0, "log_op"), (["plot"], 1, "log_op")]


def test_numbers_are_written_to_the_log_by_name(
    quick: Quick, caplog: pytest.LogCaptureFixture
) -> None:
    fetches = {"log": lambda module, inputs: {"scalars": {"b": 2, "a": 1}}}
    with caplog.at_level(logging.INFO, "leyden"):
        quick(StageHooks([LoggingHook(["log"])], fetches), max_steps=1).fit(BoringModel())
    lines = [record.message for record in caplog.records if record.name.startswith("leyden")]
    assert lines == ["global_step: 0", "log/a: 1", "log/b: 2"]


def test_an_unknown_kind_is_answered_with_the_nearest(quick: Quick) -> None:
    hooks = StageHooks([LoggingHook(["log"])], {"log": lambda module, inputs: {"scalar": {}}})
    with pytest.raises(DataError, match=r"but got 'scalar'. Did you mean 'scalars'?"):
        quick(hooks).fit(BoringModel())


def test_an_unknown_path_is_an_error(quick: Quick) -> None:
    with pytest.raises(KeyError, match=r"but got 'lgo'. Did you mean 'log'?"):
        quick(StageHooks([LoggingHook(["lgo"])], {"log": max})).fit(BoringModel())
