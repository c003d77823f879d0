"""Keep weights, gradients and outputs of layers in files."""

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from leyden.callbacks.layer_arrays import LayerArrays, Patterns
from leyden.files import replacing
from leyden.lifecycle import RunView

__all__ = ["ArrayLog", "stage_path"]


class ArrayLog:
    """Write arrays of chosen layers to a safetensors file.

    To be called with the run, at a stage of ``StageHooks``:
    ``{Every(epochs=1): ArrayLog(weights="*")}``. A file is named after the stage and the number of
    train steps, as in ``train-epoch_0000120.safetensors``, and has arrays such as
    ``weights/layer.bias``. Gradients are those of the last step, so ask for them at ``train:iter``
    or ``train:batch``: where a validation comes next, Lightning has removed them.

    Args:
        weights: Names of parameters, in which ``*`` stands for any part.
        gradients: Names of parameters whose gradients are written.
        outputs: Names of layers whose outputs are written.
        probe: What the model is called with for its outputs: a tensor, or its arguments in a tuple
            or a dictionary.
        folder: Where the files go; ``arrays`` in the folder of the run if ``None``.

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
        folder: str | Path | None = None,
    ) -> None:
        self._arrays = LayerArrays(weights, gradients, outputs, probe)
        self._folder = None if folder is None else Path(folder)

    def __call__(self, run: RunView) -> None:
        """Write a file.

        Args:
            run: The run.
        """
        arrays = self._arrays.collect(run.module)
        if run.writes:
            folder = self._folder or run.folder / "arrays"
            arrays = {name: array.contiguous() for name, array in arrays.items()}
            with replacing(stage_path(folder, run, ".safetensors")) as temporary:
                save_file(arrays, temporary)


def stage_path(folder: Path, run: RunView, extension: str) -> Path:
    """Name a file after the stage that a run is at.

    Args:
        folder: Its folder.
        run: The run.
        extension: With its dot.
    """
    stage = "-".join(run.stage) if isinstance(run.stage, tuple) else str(run.stage)
    return folder / f"{stage.replace(':', '-')}_{run.global_step:07d}{extension}"
