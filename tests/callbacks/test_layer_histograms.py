from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers.logger import Logger
from PIL import Image
from typing_extensions import override

from leyden.callbacks import LayerHistograms, StageHooks

Quick = Callable[..., Trainer]


class Keeping(Logger):
    """Takes figures."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[tuple[str, Any, int]] = []

    name = version = "keeping"

    @override
    def log_metrics(self, *_: Any, **__: Any) -> None: ...

    @override
    def log_hyperparams(self, *_: Any, **__: Any) -> None: ...

    def log_figure(self, name: str, figure: Any, step: int) -> None:
        self.figures.append((name, figure, step))


def test_there_is_a_pane_for_each_array(quick: Quick, tmp_path: Path) -> None:
    module, logger = BoringModel(), Keeping()
    module.unused = torch.nn.Parameter(torch.tensor([1.0, torch.inf, 3.0]))
    hooks = StageHooks([{("val_end", "train:epoch"): LayerHistograms(weights="*", bins=7)}])
    quick(hooks, logger=logger, log_every_n_steps=1).fit(module)
    ((name, figure, step),) = logger.figures
    assert (name, step) == ("histograms", 3)
    unused, weights, bias = figure.axes
    assert weights.get_title("left") == "weights/layer.weight"
    assert bias.get_title("left") == "weights/layer.bias"
    assert unused.get_title("left") == "weights/unused (1 not finite)"
    heights = [bar.get_height() for bar in weights.patches]
    counted, _ = np.histogram(module.layer.weight.detach().double().numpy(), bins=7)
    assert heights == counted.tolist()
    with Image.open(tmp_path / "histograms" / "val_end-train-epoch_0000003.png") as image:
        assert image.size == tuple((figure.get_size_inches() * figure.dpi).round().astype(int))


def test_where_gradients_are_gone_there_is_no_figure(quick: Quick, tmp_path: Path) -> None:
    histograms = LayerHistograms(gradients="*", folder=tmp_path / "mine")
    hooks = StageHooks([{"train:iter": histograms, "val:epoch": histograms}])
    quick(hooks, limit_train_batches=1).fit(BoringModel())
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["train-iter_0000001.png"]
