"""Draw how the numbers of layers are spread."""

from pathlib import Path
from typing import Any

from leyden.callbacks.array_log import stage_path
from leyden.callbacks.layer_arrays import LayerArrays, Patterns
from leyden.lifecycle import RunView
from leyden.report import draw_histograms, save_figure
from leyden.tracking import log_figure

__all__ = ["LayerHistograms"]


class LayerHistograms:
    """Draw histograms of weights, gradients or outputs of chosen layers, one pane for each.

    To be called with the run, at a stage of ``StageHooks``:
    ``{("val_end", "train:epoch"): LayerHistograms(weights="*")}``. The figure is a PNG file, and
    goes to the loggers that take figures. What is not finite is counted in the title and left out.

    Args:
        weights: Names of parameters, in which ``*`` stands for any part.
        gradients: Names of parameters whose gradients are drawn; see ``ArrayLog``.
        outputs: Names of layers whose outputs are drawn.
        probe: What the model is called with for its outputs: a tensor, or its arguments in a tuple
            or a dictionary.
        bins: Bars in each pane.
        folder: Where the files go; ``histograms`` in the folder of the run if ``None``.

    Raises:
        ConfigError: If nothing is asked for, or outputs without a probe; when it is called, if
            there is no such layer.
    """

    def __init__(
        self,
        *,
        weights: Patterns = (),
        gradients: Patterns = (),
        outputs: Patterns = (),
        probe: Any = None,
        bins: int = 100,
        folder: str | Path | None = None,
    ) -> None:
        self._arrays = LayerArrays(weights, gradients, outputs, probe)
        self._bins = bins
        self._folder = None if folder is None else Path(folder)

    def __call__(self, run: RunView) -> None:
        """Draw a figure.

        Args:
            run: The run.
        """
        arrays = self._arrays.collect(run.module)
        if run.writes and arrays:
            figure = draw_histograms(arrays, bins=self._bins)
            folder = self._folder or run.folder / "histograms"
            save_figure(figure, stage_path(folder, run, ".png"))
            log_figure(run.trainer.loggers, "histograms", figure, run.global_step)
